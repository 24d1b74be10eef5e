"""Laws of the compression: inverse, golden values of MP-SENet, finite gradients."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sesame.features import STFT, to_complex, to_magnitude_phase, to_spectrum

GOLDEN = Path(__file__).parents[1] / "golden" / "mpsenet_stft.safetensors"


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


@pytest.fixture(scope="module")
def golden():
    return load_file(GOLDEN)


# In float32 the rounding of the FFT shows where the magnitude is small; in float64 what
# is left is the rounding of the stored numbers (phases up to pi).
@pytest.mark.parametrize(
    ("dtype", "atol_magnitude", "atol_complex", "atol_phase"),
    [(torch.float32, 1e-4, 3e-4, 1e-3), (torch.float64, 1e-6, 1e-6, 1e-6)],
)
def test_magnitude_and_phase_are_those_of_mp_senet(
    golden, dtype, atol_magnitude, atol_complex, atol_phase
):
    waveform = golden["input/wav"].to(dtype)
    stft = STFT()
    if dtype == torch.float64:
        # The window is kept in float32, which alone costs 1e-5.
        stft.window = torch.hann_window(400, dtype=dtype)
    magnitude, phase = to_magnitude_phase(stft(waveform), exponent=0.3)
    expected = {name: golden[f"output/{name}"].to(dtype) for name in ("mag", "pha")}
    torch.testing.assert_close(magnitude, expected["mag"], atol=atol_magnitude, rtol=0)
    stacked = torch.view_as_real(to_complex(magnitude, phase))
    stored = golden["output/com"].to(dtype)
    torch.testing.assert_close(stacked, stored, atol=atol_complex, rtol=0)
    difference = phase - expected["pha"]
    wrapped = difference - 2 * math.pi * torch.round(difference / (2 * math.pi))
    assert wrapped[expected["mag"] > 0.2].abs().max() < atol_phase


def test_synthesis_is_that_of_mp_senet(golden):
    spectrum = to_spectrum(golden["output/mag"], golden["output/pha"], exponent=0.3)
    expected = golden["output/wav"]
    waveform = STFT().inverse(spectrum, expected.shape[-1])
    torch.testing.assert_close(waveform, expected, atol=1e-5, rtol=0)


def test_silence_has_the_floor_of_mp_senet():
    magnitude, phase = to_magnitude_phase(torch.zeros(1, 3, 2, dtype=torch.complex64))
    torch.testing.assert_close(
        magnitude, torch.full((1, 3, 2), 0.04467), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(phase, torch.full((1, 3, 2), 1e-5), atol=1e-9, rtol=0)


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_expansion_undoes_compression(exponent):
    spectrum = noise(2, 5, 7)
    again = to_spectrum(*to_magnitude_phase(spectrum, exponent), exponent)
    # What is left are the constants that keep gradients finite.
    torch.testing.assert_close(again, spectrum, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("exponent", [0.3, 0.5])
def test_magnitude_is_a_power_of_the_absolute_value(exponent):
    spectrum = noise(2, 5, 7)
    magnitude, phase = to_magnitude_phase(10 * spectrum, exponent)
    torch.testing.assert_close(
        magnitude, (10 * spectrum).abs() ** exponent, atol=1e-7, rtol=1e-7
    )
    torch.testing.assert_close(phase, spectrum.angle(), atol=1e-4, rtol=0)


def test_complex_keeps_the_compressed_magnitude():
    magnitude, phase = noise(2, 5, 7).abs(), noise(2, 5, 7, seed=1).angle()
    spectrum = to_complex(magnitude, phase)
    torch.testing.assert_close(spectrum.abs(), magnitude)
    torch.testing.assert_close(spectrum.angle(), phase)


def test_phase_may_be_off_by_whole_turns():
    magnitude, phase = noise(1, 4, 4).abs(), noise(1, 4, 4).angle()
    torch.testing.assert_close(
        to_spectrum(magnitude, phase + 4 * math.pi), to_spectrum(magnitude, phase)
    )


def test_gradients_are_finite_and_bounded_on_silence():
    spectrum = torch.zeros(1, 3, 2, dtype=torch.complex64, requires_grad=True)
    magnitude, phase = to_magnitude_phase(spectrum)
    (magnitude.sum() + phase.sum() + to_complex(magnitude, phase).real.sum()).backward()
    assert torch.view_as_real(spectrum.grad).abs().max() < 2e5


def test_gradient_of_the_synthesis_is_finite_at_magnitude_zero():
    magnitude = torch.zeros(1, 3, 2, requires_grad=True)
    phase = torch.ones(1, 3, 2, requires_grad=True)
    torch.view_as_real(to_spectrum(magnitude, phase)).sum().backward()
    assert magnitude.grad.isfinite().all() and phase.grad.isfinite().all()


def test_joined_magnitude_of_zero_still_has_a_slope():
    magnitude = torch.zeros(1, requires_grad=True)
    to_complex(magnitude, torch.zeros(1)).real.sum().backward()
    assert magnitude.grad.item() == 1


def test_gradients_are_those_of_finite_differences():
    spectrum = noise(1, 3, 2).requires_grad_()
    assert torch.autograd.gradcheck(to_magnitude_phase, (spectrum,))
    pair = (noise(1, 3, 2).abs() + 0.1, noise(1, 3, 2).angle())
    pair = tuple(x.detach().requires_grad_() for x in pair)
    assert torch.autograd.gradcheck(to_spectrum, pair)


def test_half_precision_is_joined_in_float32():
    magnitude = torch.ones(1, 2, 2, dtype=torch.bfloat16)
    assert to_complex(magnitude, magnitude).dtype == torch.complex64
    assert to_spectrum(magnitude, magnitude).dtype == torch.complex64
