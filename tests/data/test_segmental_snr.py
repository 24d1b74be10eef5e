import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.data.segmental_snr import (
    active_levels,
    mix_at_segmental_snr,
    segmental_snr,
)

RATE = 16_000
WINDOW = 1600


def white(seed, length=RATE, scale=0.05):
    wave = scale * np.random.default_rng(seed).standard_normal(length)
    return wave.astype(np.float32)


def slow_levels(clean, noise):
    """The definition, window by window, as the DNS script writes it."""
    unit = noise / np.abs(noise).max()
    kept = [
        slice(i, i + WINDOW)
        for i in range(0, len(noise), WINDOW)
        if 20 * np.log10(np.mean(unit[i : i + WINDOW] ** 2) + 1e-30) > -50
    ]
    return [
        np.sqrt(np.mean(np.concatenate([signal[part] for part in kept]) ** 2))
        for signal in (clean, noise)
    ]


@settings(deadline=None)
@given(st.integers(1, 9 * WINDOW), st.integers(0, 99))
def test_active_levels_follow_the_script(length, seed):
    rng = np.random.default_rng(seed)
    clean = rng.standard_normal(length)
    gains = np.repeat(10 ** rng.uniform(-3, 0, length // WINDOW + 1), WINDOW)
    noise = rng.standard_normal(length) * gains[:length]
    np.testing.assert_allclose(
        active_levels(clean, noise, RATE), slow_levels(clean, noise), rtol=1e-9
    )


def test_for_noise_without_pauses_it_is_the_snr_of_the_whole_signal():
    clean, noise = np.concatenate([white(0), np.zeros(RATE, "f")]), white(1, 2 * RATE)
    expected = 20 * np.log10(np.linalg.norm(clean) / np.linalg.norm(noise))
    assert segmental_snr(clean, noise, RATE) == pytest.approx(expected, abs=1e-4)


def test_speech_in_pauses_of_the_noise_does_not_count():
    noise = np.concatenate([white(0), np.zeros(RATE, "f")])
    clean = white(1, 2 * RATE)
    quiet = segmental_snr(clean, noise, RATE)
    clean[RATE:] *= 10
    assert segmental_snr(clean, noise, RATE) == pytest.approx(quiet, abs=1e-9)


def test_an_impulse_still_has_an_active_window():
    noise = np.zeros(3 * WINDOW)
    noise[WINDOW + 5] = 0.9
    clean = np.full_like(noise, 0.1)
    expected = 20 * np.log10(0.1 / (0.9 / np.sqrt(WINDOW)))
    assert segmental_snr(clean, noise, RATE) == pytest.approx(expected)


@pytest.mark.parametrize("gain", [1e-20, 1e-3, 50])
def test_a_common_gain_changes_nothing(gain):
    clean, noise = white(0).astype(float), white(1).astype(float)
    noise[:3000] *= 1e-3
    expected = segmental_snr(clean, noise, RATE)
    scaled = segmental_snr(gain * clean, gain * noise, RATE)
    assert scaled == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("snr_db", range(-10, 25, 5))
@pytest.mark.parametrize("pause", [0, 7000])
def test_the_snr_asked_for_is_the_one_in_the_mixture(snr_db, pause):
    clean, noise = white(0, scale=0.2), white(1, scale=0.001)
    noise[:pause] = 0
    noisy, clean = mix_at_segmental_snr(clean, noise, snr_db, RATE, -25.0)
    assert noisy.dtype == clean.dtype == np.float32
    measured = segmental_snr(clean, noisy - clean, RATE)
    assert measured == pytest.approx(snr_db, abs=0.01)


def test_the_mixture_has_the_level_asked_for():
    noisy, _ = mix_at_segmental_snr(white(0), white(1), 5.0, RATE, -31.0)
    assert 20 * np.log10(noisy.std()) == pytest.approx(-31, abs=0.01)


@pytest.mark.parametrize("snr_db", [-10.0, 40.0])
def test_loud_mixtures_are_scaled_down_to_a_peak_not_clipped(snr_db):
    clean = white(0)
    clean[77] = 2.0
    noisy, scaled = mix_at_segmental_snr(clean, white(1), snr_db, RATE, -5.0)
    peak = max(np.abs(noisy).max(), np.abs(scaled).max())
    assert peak == pytest.approx(0.99, abs=1e-5)
    assert np.ptp(scaled / clean) < 1e-4 * scaled[77] / clean[77]
    measured = segmental_snr(scaled, noisy - scaled, RATE)
    assert measured == pytest.approx(snr_db, abs=0.01)


def test_the_levels_that_come_in_do_not_matter():
    one = mix_at_segmental_snr(white(0), white(1), 0.0, RATE, -25.0)
    two = mix_at_segmental_snr(7 * white(0), white(1) / 9, 0.0, RATE, -25.0)
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_silence_gives_no_ratio_and_no_nan_in_the_mixture():
    silent = np.zeros(RATE, "f")
    assert np.isnan(segmental_snr(silent, white(0), RATE))
    assert np.isnan(segmental_snr(white(0), silent, RATE))
    for clean, noise in ((silent, white(0)), (white(0), silent), (silent, silent)):
        noisy, clean = mix_at_segmental_snr(clean, noise, 0.0, RATE, -25.0)
        assert np.isfinite(noisy).all() and np.isfinite(clean).all()


@pytest.mark.parametrize("lengths", [(3, 2), (0, 0)])
def test_unequal_or_empty_signals_are_refused(lengths):
    clean, noise = (np.ones(length) for length in lengths)
    with pytest.raises(ValueError, match="must be equal and not empty"):
        mix_at_segmental_snr(clean, noise, 0.0, RATE, -25.0)
