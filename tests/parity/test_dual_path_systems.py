"""SEMamba, MambAttention and xLSTM-SENet compute what the authors' generators do."""

import pytest
import torch

from sesame.compat import mambattention, semamba, xlstm_senet
from sesame.models import MambAttention, SEMamba, XLSTMSENet

SYSTEMS = {
    "semamba_generator": (SEMamba, semamba, 1e-5, 5e-5),
    "mambattention_generator": (MambAttention, mambattention, 1e-5, 5e-5),
    "xlstm_senet_generator": (XLSTMSENet, xlstm_senet, 2e-5, 2e-4),
}
PHASE_TOLERANCE = 5e-4
every_system = pytest.mark.parametrize("name", SYSTEMS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def converted_network(name, data, dtype):
    system, names, _, _ = SYSTEMS[name]
    network = system(channels=16, num_blocks=2).to(dtype)
    network.load_state_dict(names.convert_state_dict(data["weights"]))
    return network.eval()


@every_system
@every_dtype
def test_output_equals_the_authors(golden, difference, angle, name, dtype):
    data = golden(name, dtype)
    network = converted_network(name, data, dtype)
    _, _, tolerance, _ = SYSTEMS[name]
    phase_tolerance = PHASE_TOLERANCE
    if dtype == torch.float64:
        tolerance = phase_tolerance = 1e-6
    with torch.no_grad():
        magnitude, phase = network(
            data["input"]["noisy_mag"], data["input"]["noisy_pha"]
        )
    output = data["output"]
    assert difference(magnitude, output["mag_g"]) < tolerance
    assert angle(phase, output["pha_g"]) < phase_tolerance
    ours = torch.stack((magnitude * phase.cos(), magnitude * phase.sin()), -1)
    assert difference(ours, output["com_g"]) < phase_tolerance


@every_system
@every_dtype
def test_every_stage_equals_the_authors(golden, difference, name, dtype):
    data = golden(name, dtype)
    network = converted_network(name, data, dtype)
    tolerance = 2e-6 if dtype == torch.float64 else SYSTEMS[name][3]
    stages = {}
    for part in ("encoder", "blocks.0", "blocks.1", "mask_decoder"):
        network.get_submodule(part).register_forward_hook(
            lambda module, received, result, part=part: stages.update({part: result})
        )
    network(data["input"]["noisy_mag"], data["input"]["noisy_pha"])
    output = data["output"]
    assert difference(stages["encoder"], output["stage.encoder"]) < tolerance
    assert difference(stages["blocks.0"], output["stage.block0"]) < tolerance
    assert difference(stages["blocks.1"], output["stage.block1"]) < tolerance
    assert difference(stages["mask_decoder"], output["mask"]) < 2e-5


@every_system
def test_swapping_the_directions_would_be_noticed(golden, difference, name):
    data = golden(name, torch.float64)
    network = converted_network(name, data, torch.float64)
    for block in network.blocks:
        both = block.time_layer.backbone
        both.forward_layer, both.backward_layer = (
            both.backward_layer,
            both.forward_layer,
        )
    magnitude, _ = network(data["input"]["noisy_mag"], data["input"]["noisy_pha"])
    assert difference(magnitude, data["output"]["mag_g"]) > 1e-3
