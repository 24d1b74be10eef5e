"""What is cut costs more than what is left over, and only where it can be cut."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.losses import snr, suppression_snr

RATE = 16000


def _noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(0.0, 3.0), weight=st.floats(1.0, 20.0))
def test_a_gain_below_one_is_a_cut_and_weighs_more(gain, weight):
    target = _noise(1, 4000)
    value = suppression_snr(gain * target, target, target, RATE, weight, eps=1e-12)
    error = (gain - 1) ** 2 * (weight if gain < 1 else 1.0)
    if error > 1e-8:
        expected = -10 * math.log10(error)
        assert value.item() == pytest.approx(expected, abs=1e-4)


def test_a_weight_of_one_is_the_snr():
    target, error = _noise(2, 1, 64000)
    estimate = target + 0.1 * error
    value = suppression_snr(estimate, target, target, RATE, 1.0)
    # Hann windows that overlap by half weigh samples by up to 1 and down to 1/2.
    assert value.item() == pytest.approx(snr(estimate, target).item(), abs=0.1)


def test_what_the_input_does_not_have_cannot_be_cut():
    target, estimate = _noise(2, 1, 4000)
    nothing = torch.zeros_like(target)
    values = [
        suppression_snr(0.1 * estimate, target, nothing, RATE, weight)
        for weight in (1.0, 10.0)
    ]
    assert torch.equal(*values)
    louder = suppression_snr(0.1 * estimate, target, 2 * target, RATE, 10.0)
    assert louder < values[0] - 3


def test_more_weight_never_gives_a_higher_value():
    target, noise, error = _noise(3, 2, 4000)
    estimate, mixture = 0.8 * target + 0.3 * error, target + noise
    values = torch.stack(
        [
            suppression_snr(estimate, target, mixture, RATE, weight)
            for weight in (1.0, 2.0, 4.0, 8.0)
        ]
    )
    assert (values.diff(dim=0) < 0).all()


@pytest.mark.parametrize("rate", [8000, 48000])
def test_exits_and_items_do_not_depend_on_each_other(rate):
    target, noise = 0.1 * _noise(2, 3, 4000)
    exits = torch.stack([target + noise, 0.5 * target])
    values = suppression_snr(exits, target, target + noise, rate, 3.0)
    assert values.shape == (2, 3)
    alone = suppression_snr(exits[1, 2:], target[2:], (target + noise)[2:], rate, 3.0)
    torch.testing.assert_close(values[1, 2:], alone)


@pytest.mark.parametrize("silent", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_silence_has_finite_values_and_gradients(silent):
    signals = list(0.1 * _noise(3, 1, 1600).float())
    for i in silent:
        signals[i] = torch.zeros_like(signals[i])
    signals[0].requires_grad_()
    value = suppression_snr(*signals, RATE, 3.0)
    value.sum().backward()
    assert value.isfinite().all() and signals[0].grad.isfinite().all()


def test_bfloat16_is_widened():
    x = torch.randn(1, 800).bfloat16()
    assert suppression_snr(x, x, x, RATE, 2.0).dtype == torch.float32


@pytest.mark.parametrize("weight", [0.9, 0.0, -1.0, math.nan])
def test_weights_below_one_are_refused(weight):
    x = torch.randn(1, 800)
    with pytest.raises(ValueError, match=r"suppression_weight .* must be 1 or more"):
        suppression_snr(x, x, x, RATE, weight)
