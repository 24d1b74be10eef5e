import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz, lfilter, welch

from sesame.data.speech_shaped_noise import (
    autocorrelation,
    linear_prediction,
    spectral_distance_db,
    speech_shaped_noise,
)

RATE = 16_000
# Two resonances, as of a vowel: 500 Hz and 2.5 kHz.
POLES = [0.95 * np.exp(2j * np.pi * f / RATE) for f in (500, 2500)]
FILTER = np.real(np.poly([*POLES, *np.conj(POLES)]))


def speech_like(seed=0, length=4 * RATE):
    white = 0.01 * np.random.default_rng(seed).standard_normal(length)
    return lfilter([1.0], FILTER, white)


def test_prediction_finds_the_filter_that_made_the_signal():
    coefficients, power = linear_prediction(autocorrelation(speech_like(), 4))
    np.testing.assert_allclose(coefficients, FILTER, atol=0.05)
    assert power == pytest.approx(1e-4, rel=0.05)


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(1, 16))
def test_the_model_has_the_autocorrelation_of_the_signal(seed, order):
    """The law of linear prediction: lags 0 to order are matched exactly."""
    rng = np.random.default_rng(seed)
    signal = lfilter([1.0], FILTER, rng.standard_normal(3000)) * rng.uniform(0, 1, 3000)
    wanted = autocorrelation(signal, order)
    coefficients, power = linear_prediction(wanted)
    assert np.abs(np.roots(coefficients)).max() < 1
    _, response = freqz([1.0], coefficients, 1 << 15, whole=True)
    of_model = np.fft.ifft(power * np.abs(response) ** 2).real[: order + 1]
    np.testing.assert_allclose(of_model, wanted, atol=1e-5 * wanted[0])


def test_noise_has_the_spectrum_of_its_source():
    speech = speech_like()
    noise = speech_shaped_noise(speech, 8 * RATE, np.random.default_rng(1))
    _, of_speech = welch(speech, nperseg=256)
    _, of_noise = welch(noise, nperseg=256)
    difference = 10 * np.log10(of_noise / of_speech)
    # Both spectra are estimates: about 0.3 dB of scatter per bin.
    assert np.abs(difference).max() < 2.0
    assert np.sqrt(np.mean(difference**2)) < 0.6


def test_noise_has_the_level_of_its_source_and_does_not_start_softly():
    speech = speech_like()
    rng = np.random.default_rng(2)
    starts = [speech_shaped_noise(speech, 100, rng) for _ in range(200)]
    assert np.std(starts) == pytest.approx(speech.std(), rel=0.05)
    assert np.std(starts, axis=0)[:5].mean() == pytest.approx(speech.std(), rel=0.2)


def test_noise_follows_its_generator_only():
    speech = speech_like(length=2000)
    once, again = (
        speech_shaped_noise(speech, 500, np.random.default_rng(3)) for _ in range(2)
    )
    other = speech_shaped_noise(speech, 500, np.random.default_rng(4))
    np.testing.assert_array_equal(once, again)
    assert once.dtype == np.float32 and np.abs(np.corrcoef(once, other)[0, 1]) < 0.5


def test_a_pure_tone_and_a_tiny_signal_give_finite_noise():
    tone = np.sin(np.arange(4000) * 0.3)
    for speech in (tone, 1e-6 * speech_like()):
        noise = speech_shaped_noise(speech, 4000, np.random.default_rng(0))
        assert np.isfinite(noise).all() and noise.any()


def test_distance_is_zero_for_the_source_and_grows_with_the_difference():
    speech = speech_like()
    assert spectral_distance_db(100 * speech, speech) == pytest.approx(0, abs=1e-6)
    same = speech_shaped_noise(speech, 4 * RATE, np.random.default_rng(0))
    assert spectral_distance_db(same, speech) < 0.3
    tilted = lfilter([1, -0.5], [1], same)
    assert spectral_distance_db(tilted, speech) > 3
    white = np.random.default_rng(0).standard_normal(4 * RATE)
    assert spectral_distance_db(white, speech) > 10


def test_distance_knows_the_noise_of_rounding():
    speech = speech_like()
    noise = speech_shaped_noise(speech, 4 * RATE, np.random.default_rng(0))
    rounded = np.rint(noise * 3 / noise.std())  # 3 steps loud
    assert spectral_distance_db(rounded, speech) > 2
    assert spectral_distance_db(rounded, speech, floor_power=1 / 12) < 0.5


def test_distance_of_silence_is_not_a_number():
    assert np.isnan(spectral_distance_db(np.zeros(100), speech_like()))
    assert np.isnan(spectral_distance_db(np.ones(12), speech_like()))


def test_silent_or_short_speech_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="not silent"):
        speech_shaped_noise(np.zeros(100), 10, rng)
    with pytest.raises(
        ValueError, match=r"12 samples must be longer than order \(12\)"
    ):
        speech_shaped_noise(np.ones(12), 10, rng)
