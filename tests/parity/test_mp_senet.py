"""MPSENet computes what the authors' generator does, in both readings of its axes."""

import pytest
import torch
from einops import rearrange

from sesame.compat.mp_senet import convert_state_dict
from sesame.models import MPSENet
from sesame.nnet import GRUFeedForward, SelfAttention, TransformerLayer

READINGS = [
    ("as_run", "frequency_time", ""),
    ("as_named", "time_frequency", "fixed_axes."),
]
every_reading = pytest.mark.parametrize(("axes", "axis_order", "prefix"), READINGS)


def converted_network(golden, axes, axis_order, dtype):
    network = MPSENet(channels=16, axis_order=axis_order).to(dtype)
    network.load_state_dict(convert_state_dict(golden["weights"], axes))
    return network.eval()


@every_reading
@pytest.mark.parametrize(
    ("dtype", "tolerance", "phase_tolerance"),
    [(torch.float64, 1e-6, 1e-6), (torch.float32, 1e-5, 5e-4)],
)
def test_output_equals_the_authors(
    golden,
    difference,
    angle,
    axes,
    axis_order,
    prefix,
    dtype,
    tolerance,
    phase_tolerance,
):
    data = golden("mpsenet_generator", dtype)
    network = converted_network(data, axes, axis_order, dtype)
    noisy_magnitude, noisy_phase = (
        data["input"]["noisy_mag"],
        data["input"]["noisy_pha"],
    )
    magnitude, phase = network(noisy_magnitude, noisy_phase)
    output = data["output"]
    assert difference(magnitude, output[f"{prefix}mag_g"]) < tolerance
    assert angle(phase, output[f"{prefix}pha_g"]) < phase_tolerance
    ours = torch.stack((magnitude * phase.cos(), magnitude * phase.sin()), -1)
    assert difference(ours, output[f"{prefix}com_g"]) < phase_tolerance


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 2e-6), (torch.float32, 2e-4)]
)
def test_every_stage_equals_the_authors(golden, difference, dtype, tolerance):
    data = golden("mpsenet_generator", dtype)
    network = converted_network(data, "as_run", "frequency_time", dtype)
    stages = {}
    for name in ("encoder", "blocks.0", "blocks.3", "mask_decoder"):
        network.get_submodule(name).register_forward_hook(
            lambda module, received, result, name=name: stages.update({name: result})
        )
    network(data["input"]["noisy_mag"], data["input"]["noisy_pha"])
    output = data["output"]
    assert difference(stages["encoder"], output["stage.encoder"]) < tolerance
    assert difference(stages["blocks.0"], output["stage.block0"]) < tolerance
    assert difference(stages["blocks.3"], output["stage.block3"]) < tolerance
    assert difference(stages["mask_decoder"], output["mask"]) < 1e-5


def test_wrong_order_of_the_axes_would_be_noticed(golden, difference):
    data = golden("mpsenet_generator")
    network = converted_network(data, "as_run", "time_frequency", torch.float64)
    magnitude, _ = network(data["input"]["noisy_mag"], data["input"]["noisy_pha"])
    assert difference(magnitude, data["output"]["mag_g"]) > 0.01


@pytest.fixture
def layer(golden):
    """The authors' bare transformer block as our layer."""
    weights = golden("mpsenet_transformer_block")["weights"]
    named = {f"TSTransformer.0.time_transformer.{k}": w for k, w in weights.items()}
    prefix = "blocks.0.time_layer."
    converted = convert_state_dict(named, axes="as_named")
    layer = TransformerLayer(16, SelfAttention(16, 4), GRUFeedForward(16)).double()
    layer.load_state_dict({k.removeprefix(prefix): w for k, w in converted.items()})
    return layer


def test_layer_equals_the_authors_with_the_axes_put_right(golden, difference, layer):
    data = golden("mpsenet_transformer_block")
    expected = data["output"]["fixed_axes.y"]
    assert difference(layer(data["input"]["x"]), expected) < 1e-6
    float32 = layer.float()(data["input"]["x"].float())
    assert difference(float32, expected) < 1e-5


def test_layer_equals_the_authors_as_run_along_the_first_dimension(
    golden, difference, layer
):
    data = golden("mpsenet_transformer_block")
    stages = {}
    for name in ("attention", "feed_forward"):
        layer.get_submodule(name).register_forward_hook(
            lambda module, received, result, name=name: stages.update({name: result})
        )

    def swap(x):
        return rearrange(x, "f t c -> t f c")

    x = data["input"]["x"]
    y = swap(layer(swap(x)))
    output = data["output"]
    assert difference(y, output["y"]) < 1e-6
    assert difference(y + x, output["y_plus_x"]) < 1e-6
    assert difference(swap(stages["attention"]), output["stage.attn"]) < 2e-6
    assert difference(swap(stages["feed_forward"]), output["stage.ffn"]) < 2e-6
