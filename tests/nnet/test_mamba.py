"""The Mamba mixer: causal, the same step by step, mirrored in reverse, well begun."""

import pytest
import torch
from torch.nn import functional as F

from sesame.nnet import Mamba, mamba


def mixer(**changes):
    layer = Mamba(**({"channels": 6, "expand": 2, "state_size": 3} | changes)).double()
    with torch.no_grad():  # so that the state matters as much as the direct path
        layer.delta_projection.bias += 3.0
        layer.scan_projection.weight *= 4.0
    return layer


def sequences(count=3, steps=9):
    return torch.randn(count, steps, 6, dtype=torch.float64)


@pytest.mark.parametrize(
    ("reverse", "moved_steps"), [(False, range(4, 9)), (True, range(5))]
)
def test_a_step_reaches_itself_and_what_is_read_later_and_nothing_else(
    reverse, moved_steps
):
    layer, x = mixer(reverse=reverse), sequences()
    y = x.clone()
    y[1, 4] += 1.0
    moved = (layer(x) - layer(y)).abs().amax(2) > 1e-12
    assert moved.nonzero().tolist() == [[1, step] for step in moved_steps]


def test_reverse_is_the_same_function_between_two_flips():
    ahead, back = mixer(), mixer(reverse=True)
    back.load_state_dict(ahead.state_dict())
    x = sequences().requires_grad_()
    ours, theirs = back(x), ahead(x.flip(1)).flip(1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for parameters in zip(back.parameters(), ahead.parameters(), strict=True):
        ours_grad, theirs_grad = (
            torch.autograd.grad(y.square().sum(), p, retain_graph=True)[0]
            for y, p in zip((ours, theirs), parameters, strict=True)
        )
        torch.testing.assert_close(ours_grad, theirs_grad, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 17])
def test_step_by_step_equals_the_whole_sequence(steps):
    layer, x = mixer(), sequences(steps=steps)
    state, outputs = layer.initial_state(3), []
    for step in x.unbind(1):
        y, state = layer.step(step, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), layer(x), rtol=0, atol=1e-12)
    assert state.convolution.shape == (3, 3, 12)
    assert state.scan.shape == (3, 12, 3)


def test_a_state_carries_a_sequence_over_any_cut():
    layer, x = mixer(), sequences(steps=8)
    state = layer.initial_state(3)
    for step in x[:, :5].unbind(1):
        _, state = layer.step(step, state)
    y, _ = layer.step(x[:, 5], state)
    torch.testing.assert_close(y, layer(x)[:, 5], rtol=0, atol=1e-12)


def test_reverse_mixers_do_not_step():
    layer = mixer(reverse=True)
    with pytest.raises(ValueError, match=r"reverse \(True\) must be False"):
        layer.step(torch.zeros(1, 6).double(), layer.initial_state(1))


def test_parts_of_a_batch_give_the_same_as_the_whole(monkeypatch):
    layer, x = mixer(), sequences(count=7)
    whole = layer(x)
    monkeypatch.setattr(mamba, "_PIECE_BYTES", 1)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), whole, rtol=0, atol=1e-12)


def test_a_traced_mixer_holds_at_other_lengths_and_batches():
    layer = mixer(reverse=True)
    with torch.no_grad():
        traced = torch.jit.trace(layer, sequences(2, 5))
        for x in (sequences(1, 1), sequences(4, 23)):
            torch.testing.assert_close(traced(x), layer(x), rtol=0, atol=1e-12)


def test_first_steps_lie_between_a_thousandth_and_a_tenth():
    layer = Mamba(channels=64)
    delta = F.softplus(layer.delta_projection.bias)
    assert delta.min() > 0.9e-3 and delta.max() < 0.11
    # log-uniform: a third of the range of logarithms holds about a third of the steps
    low = (delta < 10 ** (-3 + 2 / 3)).double().mean()
    assert 0.2 < low < 0.47


def test_decays_begin_at_one_to_p_and_the_direct_path_at_one():
    layer = Mamba(channels=8, state_size=5)
    expected = torch.arange(1.0, 6.0).expand(32, 5)
    torch.testing.assert_close(layer.log_decay.exp(), expected)
    assert torch.equal(layer.direct, torch.ones(32))


def test_size_is_the_authors():
    assert sum(p.numel() for p in Mamba(channels=64).parameters()) == 65_344 - 64


def test_state_stays_in_float32_under_autocast():
    layer, x = Mamba(channels=8), torch.randn(2, 50, 8)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = layer(x)
    assert reduced.dtype == torch.bfloat16
    error = (reduced.float() - expected).norm() / expected.norm()
    assert error < 0.02


@pytest.mark.parametrize("name", ["channels", "expand", "state_size", "conv_width"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} \(0\) must be at least 1"):
        Mamba(**({"channels": 4} | {name: 0}))
