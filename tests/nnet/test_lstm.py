"""The LSTM mixer: one direction, one sequence at a time."""

import pytest
import torch
from torch.nn import functional as F

from sesame.nnet import lstm
from sesame.nnet.lstm import LSTMMixer


def sequences(steps=5, number=2):
    return torch.randn(number, steps, 3, dtype=torch.float64)


def test_equals_the_equations_unrolled_by_hand():
    mixer, x = LSTMMixer(3, 4).double(), sequences()
    weights = mixer.lstm
    state = memory = torch.zeros(2, 4, dtype=torch.float64)
    states = []
    for step in x.unbind(1):
        gates = F.linear(step, weights.weight_ih_l0, weights.bias_ih_l0)
        gates = gates + F.linear(state, weights.weight_hh_l0, weights.bias_hh_l0)
        gained, kept, candidate, shown = gates.chunk(4, 1)
        memory = kept.sigmoid() * memory + gained.sigmoid() * candidate.tanh()
        state = shown.sigmoid() * memory.tanh()
        states.append(state)
    expected = mixer.projection(torch.stack(states, 1))
    torch.testing.assert_close(mixer(x), expected, rtol=0, atol=1e-12)


def test_every_step_is_heard_by_itself_and_all_later_ones():
    mixer, x = LSTMMixer(3, 4).double(), sequences()
    y = x.clone()
    y[0, 2] += 1.0
    moved = (mixer(x) - mixer(y)).abs().amax(2) > 1e-12
    assert moved.tolist() == [[False] * 2 + [True] * 3, [False] * 5]


def test_reverse_equals_the_mixer_between_two_flips():
    mixer, x = LSTMMixer(3, 4).double(), sequences()
    backward = LSTMMixer(3, 4, reverse=True).double()
    backward.load_state_dict(mixer.state_dict())
    assert not torch.allclose(backward(x), mixer(x), atol=1e-3)
    torch.testing.assert_close(
        backward(x), mixer(x.flip(1)).flip(1), rtol=0, atol=1e-12
    )


def test_parts_of_a_batch_give_the_same_as_the_whole(monkeypatch):
    mixer, x = LSTMMixer(3, 4).double(), sequences(number=50).requires_grad_()
    whole = mixer(x)
    (gradient,) = torch.autograd.grad(whole.square().sum(), x)
    monkeypatch.setattr(lstm, "_GATE_BYTES", 1)
    assert [len(part) for part in mixer._split(x)] == [17, 17, 16]
    parts = mixer(x)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    (of_parts,) = torch.autograd.grad(parts.square().sum(), x)
    torch.testing.assert_close(of_parts, gradient, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("reverse", [False, True])
def test_a_trace_serves_any_number_of_sequences_and_steps(reverse):
    mixer = LSTMMixer(3, 4, reverse=reverse).double()
    traced = torch.jit.trace(mixer, sequences())
    for steps, number in [(1, 1), (9, 7), (2, 150)]:
        x = sequences(steps, number)
        torch.testing.assert_close(traced(x), mixer(x), rtol=0, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_autocast_leaves_the_recurrence_in_float32_on_cuda():
    mixer = LSTMMixer(8, 8).cuda()
    x = torch.randn(2, 5, 8, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        assert mixer._read(x.bfloat16()).dtype == torch.float32
        assert mixer(x).dtype == torch.bfloat16
