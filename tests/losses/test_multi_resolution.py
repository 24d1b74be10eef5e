"""The multi-resolution loss: its definition, rates, silence."""

import math

import pytest
import torch

from sesame.losses import multi_resolution_loss

RATES = (8000, 16000, 24000, 44100, 48000)


def _voice(rate, seconds=0.5):
    """Five partials with a slow envelope, the same sound at every rate."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    tone = sum(torch.sin(2 * math.pi * f * t + f) for f in (210, 440, 900, 1700, 3100))
    return 0.05 * tone * (1 + torch.sin(2 * math.pi * 3 * t))[None]


def _by_definition(estimate, target, rate, window_ms, c):
    n = round(window_ms * rate / 1000)
    window = torch.hann_window(n, dtype=torch.float64)
    spectra = []
    for signal in (estimate, target):
        padded = torch.nn.functional.pad(signal, (n // 2, n // 2))
        frames = padded.unfold(0, n, n // 2) * window
        spectra.append(torch.fft.rfft(frames) * 16000 / rate)
    y, t = (z.abs().clamp_min(1e-12) ** c * torch.exp(1j * z.angle()) for z in spectra)
    return (y - t).abs().square().mean(), (y.abs() - t.abs()).square().mean()


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_the_errors_are_those_of_the_definition(rate, exponent):
    generator = torch.Generator().manual_seed(0)
    shape = (2, 2, 4000)
    estimate, target = torch.randn(shape, generator=generator, dtype=torch.float64)
    found = multi_resolution_loss(estimate, target, rate, (10, 25), exponent)
    for i in range(2):
        parts = [
            _by_definition(estimate[i], target[i], rate, window, exponent)
            for window in (10, 25)
        ]
        expected = torch.tensor(parts).mean(0)
        assert [error[i].item() for error in found] == pytest.approx(
            expected.tolist(), rel=1e-4
        )


def test_the_same_sound_costs_the_same_at_every_rate():
    """Above 4 kHz there is nothing but leakage: means count as sums over bins."""
    costs = []
    for rate in RATES:
        target = _voice(rate)
        errors = multi_resolution_loss(0.5 * target, target, rate)
        costs.append([float(error) * rate for error in errors])
    for cost in costs[1:]:
        assert cost == pytest.approx(costs[0], rel=0.1)


def test_a_signal_is_no_distance_from_itself():
    target = torch.randn(3, 1600)
    for error in multi_resolution_loss(target, target, 16000):
        assert torch.equal(error, torch.zeros(3))


def test_phase_counts_in_the_complex_error_only():
    target = torch.randn(2, 4000)
    spectra, magnitudes = multi_resolution_loss(-target, target, 16000)
    assert magnitudes.max() < 1e-8 and spectra.min() > 1


@pytest.mark.parametrize("silent", ["estimate", "target", "both"])
def test_silence_has_finite_losses_and_gradients(silent):
    estimate, target = torch.randn(2, 2, 800)
    if silent != "target":
        estimate = torch.zeros_like(estimate)
    if silent != "estimate":
        target = torch.zeros_like(target)
    estimate.requires_grad_()
    errors = multi_resolution_loss(estimate, target, 8000)
    sum(errors).sum().backward()
    assert all(error.isfinite().all() for error in errors)
    assert estimate.grad.isfinite().all() and estimate.grad.abs().max() < 1e3


def test_gradients_are_those_of_differences():
    generator = torch.Generator().manual_seed(1)
    shape = (2, 1, 240)
    estimate, target = torch.randn(shape, generator=generator, dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda x: multi_resolution_loss(x, target, 8000, (5, 10)),
        estimate.requires_grad_(),
    )


def test_exits_share_the_target():
    estimates, target = torch.randn(3, 2, 800), torch.randn(2, 800)
    together = multi_resolution_loss(estimates, target, 8000)
    for i in range(3):
        alone = multi_resolution_loss(estimates[i], target, 8000)
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[i], other)


def test_bfloat16_is_widened():
    estimate, target = torch.randn(2, 1, 800)
    errors = multi_resolution_loss(estimate.bfloat16(), target, 8000)
    assert {error.dtype for error in errors} == {torch.float32}


def test_impossible_windows_are_refused():
    signal = torch.zeros(1, 80)
    with pytest.raises(ValueError, match="at least one window"):
        multi_resolution_loss(signal, signal, 8000, ())
    with pytest.raises(ValueError, match=r"0.1 ms at 8000 Hz\) must have at least two"):
        multi_resolution_loss(signal, signal, 8000, (0.1,))
