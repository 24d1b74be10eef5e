"""Laws of the spectral losses: definition, equality, wrapping, consistency."""

import math

import pytest
import torch
from torch import nn

from sesame.features import CompressedSTFT, to_complex
from sesame.losses import complex_loss, consistency_loss, magnitude_loss


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(
        *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


def spectra(count=2, shape=(2, 9, 5)):
    return [
        part
        for seed in range(count)
        for part in (noise(*shape, seed=seed).abs(), 4 * noise(*shape, seed=seed + 9))
    ]


def test_magnitude_loss_is_the_mean_square_and_zero_at_equality():
    estimate, _, target, _ = spectra()
    expected = ((estimate - target) ** 2).mean()
    torch.testing.assert_close(magnitude_loss(estimate, target), expected)
    assert magnitude_loss(target, target).item() == 0


def test_complex_loss_is_the_mean_square_of_both_parts():
    estimate_magnitude, estimate_phase, target_magnitude, target_phase = spectra()
    estimate = to_complex(estimate_magnitude, estimate_phase)
    target = to_complex(target_magnitude, target_phase)
    mse = nn.MSELoss()
    expected = mse(estimate.real, target.real) + mse(estimate.imag, target.imag)
    loss = complex_loss(
        estimate_magnitude, estimate_phase, target_magnitude, target_phase
    )
    torch.testing.assert_close(loss, expected)
    stacked = mse(torch.view_as_real(estimate), torch.view_as_real(target))
    torch.testing.assert_close(loss, 2 * stacked)


def test_complex_loss_has_the_gradients_of_its_definition():
    parts = [part.requires_grad_() for part in spectra(shape=(1, 3, 2))]
    assert torch.autograd.gradcheck(complex_loss, parts)
    ours = torch.autograd.grad(complex_loss(*parts), parts)
    distance = to_complex(*parts[:2]) - to_complex(*parts[2:])
    by_definition = torch.autograd.grad(distance.abs().square().mean(), parts)
    torch.testing.assert_close(ours, by_definition)


def test_complex_loss_keeps_its_digits_for_nearly_equal_spectra():
    magnitude = torch.full((1, 3, 2), 3.0)
    phase = torch.zeros(1, 3, 2)
    loss = complex_loss(magnitude, phase + 1e-5, magnitude, phase)
    torch.testing.assert_close(loss, torch.tensor((3e-5) ** 2), atol=0, rtol=1e-3)


def test_complex_loss_is_zero_at_equality_and_ignores_whole_turns():
    magnitude, phase = spectra(1)
    assert complex_loss(magnitude, phase, magnitude, phase).item() == 0
    turned = complex_loss(magnitude, phase + 2 * math.pi, magnitude, phase)
    assert turned.item() < 1e-12


def test_complex_loss_is_symmetric():
    first, second = spectra()[:2], spectra()[2:]
    torch.testing.assert_close(
        complex_loss(*first, *second), complex_loss(*second, *first)
    )


@pytest.mark.parametrize("length", [37, 64, 500])
def test_spectrum_of_a_waveform_is_consistent(length):
    transform = CompressedSTFT(64, 16, 64).double()
    magnitude, phase = transform(noise(2, length))
    assert consistency_loss(magnitude, phase, transform, length).item() < 1e-5


def test_invented_spectrum_is_inconsistent():
    transform = CompressedSTFT(64, 16, 64).double()
    magnitude, phase = spectra(1, (2, 33, 32))
    assert consistency_loss(magnitude, phase, transform, 500).item() > 0.1


def test_consistency_loss_is_the_complex_loss_of_the_analysed_synthesis():
    transform = CompressedSTFT(64, 16, 64).double()
    magnitude, phase = spectra(1, (2, 33, 32))
    again = transform(transform.inverse(magnitude, phase, 500))
    expected = complex_loss(magnitude, phase, *again)
    loss = consistency_loss(magnitude, phase, transform, 500)
    torch.testing.assert_close(loss, expected)


def test_gradients_are_finite_on_silence():
    transform = CompressedSTFT()
    waveform = torch.zeros(1, 1000, requires_grad=True)
    estimate, target = transform(waveform), transform(torch.zeros(1, 1000))
    loss = complex_loss(*estimate, *target) + magnitude_loss(estimate[0], target[0])
    (loss + consistency_loss(*estimate, transform, 1000)).backward()
    assert waveform.grad.isfinite().all()


def test_consistency_gradients_are_finite_for_a_muted_estimate():
    transform = CompressedSTFT()
    magnitude = torch.zeros(1, 201, 6, requires_grad=True)
    phase = torch.zeros(1, 201, 6, requires_grad=True)
    consistency_loss(magnitude, phase, transform, 555).backward()
    assert magnitude.grad.isfinite().all() and phase.grad.isfinite().all()


def test_half_precision_gives_a_float32_loss():
    parts = [part.bfloat16() for part in spectra()]
    expected = complex_loss(*(part.float() for part in parts))
    assert complex_loss(*parts).dtype == torch.float32
    assert torch.equal(complex_loss(*parts), expected)
    assert magnitude_loss(parts[0], parts[2]).dtype == torch.float32


def test_loss_is_float32_under_autocast():
    parts = [part.float() for part in spectra()]
    expected = complex_loss(*parts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(complex_loss(*parts), expected)
