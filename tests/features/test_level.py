"""Laws of the level: homogeneity, unit level after it, silence, extreme values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.features import match_levels, normalize, rms


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


GAINS = st.floats(-4, 4).map(lambda power: 10.0**power)


@settings(max_examples=30, deadline=None)
@given(
    num_sources=st.integers(1, 4),
    powers=st.lists(GAINS, min_size=4, max_size=4),
    signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_sources_of_any_level_and_sign_get_those_that_they_have_in_the_mixture(
    num_sources, powers, signs, seed
):
    sources = noise(2, num_sources, 200, dtype=torch.float64, seed=seed)
    gains = torch.tensor(powers[:num_sources]) * torch.tensor(signs[:num_sources])
    matched = match_levels(gains.double()[:, None] * sources, sources.sum(1))
    torch.testing.assert_close(matched, sources, rtol=0, atol=1e-9)


def test_sources_that_add_up_stay_even_if_they_are_alike():
    mixture = noise(3, 400)
    shares = torch.tensor([0.7, 0.2, 0.1])[:, None] * mixture[:, None]
    torch.testing.assert_close(match_levels(shares, mixture), shares)
    torch.testing.assert_close(match_levels(9 * shares, mixture), shares)


def test_what_is_left_over_is_no_source_s():
    """The remainder of least squares: gains have nothing more to take from it."""
    sources, mixture = noise(2, 2, 300, dtype=torch.float64), noise(2, 300, seed=1)
    matched = match_levels(sources, mixture.double())
    remainder = mixture.double() - matched.sum(1)
    products = (sources @ remainder.unsqueeze(2)).abs()
    assert products.max() < 1e-9


@pytest.mark.parametrize("gain", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_levels_follow_the_mixture_over_the_range_of_float32(gain):
    sources, mixture = noise(1, 2, 300), noise(1, 300, seed=1)
    expected = match_levels(sources, mixture)
    torch.testing.assert_close(match_levels(gain * sources, mixture), expected)
    loud = match_levels(sources, gain * mixture)
    torch.testing.assert_close(loud / gain, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("silent", ["mixture", "a source", "all sources"])
def test_silence_has_no_level(silent):
    sources, mixture = noise(2, 2, 300), noise(2, 300, seed=1)
    if silent == "mixture":
        mixture[0] = 0
    else:
        sources[0, : 1 if silent == "a source" else 2] = 0
    matched = match_levels(sources, mixture)
    assert matched.isfinite().all()
    quiet = matched[0, 0] if silent == "a source" else matched[0]
    assert not quiet.any() and matched[1].any(1).all()


def test_a_source_that_is_not_finite_stays_so_and_harms_no_other_item():
    sources, mixture = noise(2, 2, 300), noise(2, 300, seed=1)
    expected = match_levels(sources, mixture)
    sources[0, 1, 7] = torch.nan
    matched = match_levels(sources, mixture)
    assert not matched[0, 1].isfinite().all()
    assert torch.equal(matched[1], expected[1])


def test_sources_that_cancel_each_other_get_gains_of_their_own():
    source, mixture = noise(1, 300, seed=2), noise(1, 300, seed=1)
    matched = match_levels(torch.stack((source, -source), 1), mixture)
    assert matched.isfinite().all() and rms(matched.sum(1)) < rms(mixture)
