"""Our Mamba mixer computes what mamba_ssm's reference does, gradients included."""

import pytest
import torch

from sesame.compat.codec import rename
from sesame.compat.mamba import MIXER_RULES
from sesame.nnet import Mamba
from sesame.nnet.selective_scan import selective_scan

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE)


@pytest.fixture
def mixer(golden):
    def build(dtype):
        weights = golden("mamba_mixer", dtype)["weights"]
        mixer = Mamba(channels=16).to(dtype)
        mixer.load_state_dict({rename(k, MIXER_RULES): w for k, w in weights.items()})
        return mixer

    return build


@every_dtype
def test_output_and_gradients_equal_the_authors(golden, difference, mixer, dtype):
    data, ours = golden("mamba_mixer", dtype), mixer(dtype)
    x = data["input"]["x"].requires_grad_()
    y = ours(x)
    assert difference(y, data["output"]["y"]) < TOLERANCE[dtype]
    y.square().sum().backward()
    gradients = {"x": x.grad} | {n: p.grad for n, p in ours.named_parameters()}
    checked = 0
    for name, expected in data["output"].items():
        if name.startswith("grad."):
            name = name.removeprefix("grad.")
            gradient = gradients["x" if name == "x" else rename(name, MIXER_RULES)]
            scale = expected.abs().max()
            assert difference(gradient, expected) < TOLERANCE[dtype] * max(scale, 1)
            checked += 1
    assert checked == len(gradients)


@every_dtype
@pytest.mark.parametrize("form", ["reference", "sequential"])
def test_scan_equals_the_authors(golden, difference, dtype, form):
    """Their tensors are (B, D, L) and gated; the step sizes lack bias and softplus."""
    data = golden("mamba_mixer", dtype)
    weights, output = data["weights"], data["output"]

    def steps_first(name):
        return output[f"scan.{name}"].transpose(1, 2)

    delta = steps_first("delta") + weights["dt_proj.bias"]
    gate = torch.nn.functional.silu(steps_first("z"))
    y = selective_scan(
        steps_first("u"),
        torch.nn.functional.softplus(delta),
        output["scan.A"],
        steps_first("B"),
        steps_first("C"),
        weights["D"],
        form=form,
    )
    assert difference(y * gate, steps_first("out")) < TOLERANCE[dtype]


@every_dtype
def test_steps_reach_the_authors_last_state(golden, difference, mixer, dtype):
    data, ours = golden("mamba_mixer", dtype), mixer(dtype)
    state, outputs = ours.initial_state(2), []
    for step in data["input"]["x"].unbind(1):
        y, state = ours.step(step, state)
        outputs.append(y)
    y = torch.stack(outputs, dim=1)
    assert difference(y, data["output"]["y"]) < TOLERANCE[dtype]
    assert difference(state.scan, data["output"]["scan.last_state"]) < TOLERANCE[dtype]
