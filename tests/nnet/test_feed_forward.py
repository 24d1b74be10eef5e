"""The recurrent feed-forward: both directions, one sequence at a time."""

import pytest
import torch
from torch.nn import functional as F

from sesame.nnet import (
    GRUFeedForward,
    ProjectedBackbone,
    RecurrentBackbone,
    feed_forward,
)


def test_equals_the_gru_equations_unrolled_by_hand():
    layer = GRUFeedForward(3, hidden_channels=4).double()
    gru = layer.backbone.gru
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    states = []
    for suffix, steps in (("", range(5)), ("_reverse", reversed(range(5)))):
        weights = [
            getattr(gru, f"{name}_l0{suffix}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        state, outputs = torch.zeros(2, 4, dtype=torch.float64), {}
        for step in steps:
            from_input = F.linear(x[:, step], weights[0], weights[2]).chunk(3, 1)
            from_state = F.linear(state, weights[1], weights[3]).chunk(3, 1)
            reset = torch.sigmoid(from_input[0] + from_state[0])
            update = torch.sigmoid(from_input[1] + from_state[1])
            candidate = torch.tanh(from_input[2] + reset * from_state[2])
            state = (1 - update) * candidate + update * state
            outputs[step] = state
        states.append(torch.stack([outputs[step] for step in range(5)], 1))
    rectified = F.leaky_relu(torch.cat(states, 2), 0.01)
    assert torch.allclose(layer(x), layer.projection(rectified), atol=1e-12)


def test_swapping_directions_equals_reversing_time():
    backbone = RecurrentBackbone(3, 4).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    expected = backbone(x).flip(1).roll(4, dims=2)
    weights = backbone.gru.state_dict()
    swapped = {
        (name.removesuffix("_reverse") if "_reverse" in name else f"{name}_reverse"): w
        for name, w in weights.items()
    }
    backbone.gru.load_state_dict({name: w.clone() for name, w in swapped.items()})
    assert torch.allclose(backbone(x.flip(1)), expected, atol=1e-12)


def test_every_step_sees_the_whole_sequence_but_no_other():
    layer = GRUFeedForward(3).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    y = x.clone()
    y[0, 2] += 1.0
    moved = (layer(x) - layer(y)).abs().amax(2) > 1e-12
    assert moved.tolist() == [[True] * 5, [False] * 5]


def test_negative_states_keep_a_hundredth():
    backbone = RecurrentBackbone(3, 4).double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    states, _ = backbone.gru(x)
    ratio = backbone(x) / states
    assert torch.allclose(ratio[states < 0], torch.tensor(0.01).double())
    assert torch.allclose(ratio[states > 0], torch.tensor(1.0).double())


@pytest.mark.parametrize("module", [RecurrentBackbone(3, 4), GRUFeedForward(3)])
def test_parts_of_a_batch_give_the_same_as_the_whole(monkeypatch, module):
    module = module.double()
    x = torch.randn(101, 5, 3, dtype=torch.float64, requires_grad=True)
    whole = module(x)
    (gradient,) = torch.autograd.grad(whole.square().sum(), x)
    monkeypatch.setattr(feed_forward, "_GATE_BYTES", 1)
    backbone = getattr(module, "backbone", module)
    assert [len(part) for part in backbone.split(x)] == [34, 34, 33]
    parts = module(x)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    (of_parts,) = torch.autograd.grad(parts.square().sum(), x)
    torch.testing.assert_close(of_parts, gradient, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_serves_any_number_of_sequences_and_steps():
    layer = GRUFeedForward(3).double()
    traced = torch.jit.trace(layer, torch.randn(101, 5, 3, dtype=torch.float64))
    for shape in [(1, 1, 3), (7, 9, 3), (150, 2, 3)]:
        x = torch.randn(*shape, dtype=torch.float64)
        torch.testing.assert_close(traced(x), layer(x), rtol=0, atol=1e-12)


def test_context_has_no_influence():
    layer = GRUFeedForward(3)
    x = torch.randn(2, 5, 3)
    assert torch.equal(layer(x, torch.randn(1, 5, 7)), layer(x))


def test_default_state_is_twice_as_wide_as_the_input():
    assert GRUFeedForward(64).backbone.gru.hidden_size == 128
    assert sum(p.numel() for p in GRUFeedForward(64).parameters()) == 165_440


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_autocast_leaves_the_recurrence_in_float32_on_cuda():
    layer = GRUFeedForward(8).cuda()
    x = torch.randn(2, 5, 8, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert layer.backbone(x.bfloat16()).dtype == torch.float32
        assert layer(x).dtype == torch.bfloat16


def test_any_backbone_that_names_its_width_can_be_projected():
    class Repeat(torch.nn.Module):
        out_channels = 6

        def forward(self, x):
            return torch.cat((x, x), dim=-1)

    layer = ProjectedBackbone(Repeat(), 3)
    x = torch.randn(2, 5, 3)
    assert torch.equal(layer(x), layer.projection(torch.cat((x, x), dim=-1)))
