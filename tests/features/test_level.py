"""Laws of the level: homogeneity, unit level after it, silence, extreme values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.features import normalize, rms


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.randn(
        *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


def test_level_is_the_root_of_the_mean_square():
    waveform = noise(3, 1000, dtype=torch.float64)
    expected = (waveform**2).mean(dim=-1, keepdim=True) ** 0.5
    torch.testing.assert_close(rms(waveform), expected)


@settings(max_examples=40, deadline=None)
@given(exponent=st.integers(-110, 110))
def test_gain_commutes_with_level_over_the_range_of_float32(exponent):
    # A power of two within the normal numbers scales without rounding.
    waveform, gain = noise(2, 100), 2.0**exponent
    assert torch.equal(rms(gain * waveform), gain * rms(waveform))
    loud = gain * waveform
    assert torch.equal(normalize(loud, rms(loud)), normalize(waveform, rms(waveform)))


def test_normalised_waveforms_have_level_one():
    waveform = noise(4, 1000) * torch.tensor([[1e-6], [1e-2], [1.0], [1e4]])
    level = rms(normalize(waveform, rms(waveform)))
    torch.testing.assert_close(level, torch.ones(4, 1))


def test_silent_items_stay_zero_beside_loud_ones():
    waveform = noise(3, 500)
    waveform[1] = 0
    level = rms(waveform)
    scaled = normalize(waveform, level)
    assert level[1].item() == 0
    assert torch.equal(scaled[1], torch.zeros(500))
    assert torch.equal(scaled[0::2], normalize(waveform[0::2], level[0::2]))


def test_silent_noisy_waveform_silences_its_clean_pair():
    assert torch.equal(normalize(noise(1, 9), torch.zeros(1, 1)), torch.zeros(1, 9))


@pytest.mark.parametrize("amplitude", [1e-45, 1e-40, 1e-38, 1e-30, 1e19, 3e38])
def test_extreme_amplitudes_are_finite(amplitude):
    waveform = torch.zeros(1, 1000)
    waveform[0, ::2] = amplitude
    scaled = normalize(waveform, rms(waveform))
    assert rms(waveform).isfinite().all() and scaled.isfinite().all()
    assert scaled.abs().max() < 3


def test_gradients_are_finite_on_silence():
    waveform = torch.zeros(1, 10, requires_grad=True)
    level = rms(waveform)
    (level + normalize(waveform, level)).sum().backward()
    assert waveform.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    waveform = noise(2, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(rms, (waveform,))
    assert torch.autograd.gradcheck(lambda x: normalize(x, rms(x)), (waveform,))


def test_half_precision_is_measured_in_float32():
    waveform = torch.full((1, 1000), 300.0, dtype=torch.float16)
    level = rms(waveform)
    assert level.dtype == torch.float32 and level.item() == 300
    assert normalize(waveform, level).dtype == torch.float32
