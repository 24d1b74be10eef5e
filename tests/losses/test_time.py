"""Laws of the losses of waveforms, in full precision."""

import math

import pytest
import torch

from sesame.losses import si_snr, snr, waveform_loss


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_loss_is_the_mean_absolute_error_and_zero_at_equality():
    estimate, target = noise(2, 100), noise(2, 100, seed=1)
    expected = (estimate - target).abs().mean()
    torch.testing.assert_close(waveform_loss(estimate, target), expected)
    assert waveform_loss(target, target).item() == 0


def test_loss_scales_with_the_gain():
    estimate, target = noise(2, 100), noise(2, 100, seed=1)
    torch.testing.assert_close(
        waveform_loss(-3 * estimate, -3 * target), 3 * waveform_loss(estimate, target)
    )


def test_gradient_is_finite_at_equality():
    estimate = torch.zeros(1, 50, requires_grad=True)
    waveform_loss(estimate, torch.zeros(1, 50)).backward()
    assert torch.equal(estimate.grad, torch.zeros(1, 50))


def test_half_precision_is_averaged_in_float32():
    # In float16 the sum over 100 000 samples overflows.
    estimate = torch.full((1, 100_000), 2.0, dtype=torch.float16)
    loss = waveform_loss(estimate, -estimate)
    assert loss.dtype == torch.float32 and loss.item() == 4


def test_snr_of_noise_at_right_angles_is_that_of_the_scale_invariant_one():
    target = torch.tensor([1.0, -1.0, 1.0, -1.0])
    error = torch.tensor([1.0, 1.0, -1.0, -1.0])
    for gain in (1e-3, 0.1, 3.0):
        estimate = target + gain * error
        torch.testing.assert_close(snr(estimate, target), si_snr(estimate, target))


@pytest.mark.parametrize("gain_db", [-20.0, -4.5, -0.1, 0.1, 6.0])
def test_snr_falls_with_a_wrong_level_and_asks_for_the_right_one(gain_db):
    target, gain = noise(1, 800, seed=2), 10 ** (gain_db / 20)
    estimate = (gain * target).requires_grad_()
    ratio = snr(estimate, target)
    assert ratio.item() == pytest.approx(-20 * math.log10(abs(1 - gain)), abs=1e-3)
    ratio.sum().backward()
    # Along the target the gradient leads to the level of the target.
    assert ((estimate.grad * target).sum() > 0) == (gain < 1)


def test_snr_has_the_gain_of_neither_and_is_bounded_on_silence():
    estimate, target = noise(2, 800), noise(2, 800, seed=1)
    torch.testing.assert_close(snr(0.1 * estimate, 0.1 * target), snr(estimate, target))
    silent = torch.zeros(2, 800)
    estimate.requires_grad_()
    ratio = snr(estimate, silent)
    ratio.sum().backward()
    assert (ratio == -80).all() and not estimate.grad.any()
