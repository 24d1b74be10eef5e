"""A random colour: a filter of second order, the same for all signals of a source."""

import numpy as np
import pytest
from scipy.signal import freqz

from sesame.data.degradations.colour import MAX_COEFFICIENT, random_colour


def slopes(seed):
    """Ratio of the largest to the smallest gain [dB] of a filter that is drawn."""
    (response,) = random_colour([np.eye(1, 512)[0]], np.random.default_rng(seed))
    gains = 20 * np.log10(np.abs(np.fft.rfft(response)))
    return np.ptp(gains)


def test_the_filters_have_the_coefficients_that_are_drawn():
    a, b, c, d = np.random.default_rng(3).uniform(-MAX_COEFFICIENT, MAX_COEFFICIENT, 4)
    _, expected = freqz([1, a, b], [1, c, d], worN=257, include_nyquist=True)
    (response,) = random_colour([np.eye(1, 512)[0]], np.random.default_rng(3))
    np.testing.assert_allclose(np.fft.rfft(response), expected, atol=1e-9)


def test_colours_differ_and_none_is_extreme():
    drawn = [slopes(seed) for seed in range(200)]
    assert 5 < np.median(drawn) < 10
    assert max(drawn) < 25


def test_signals_of_one_source_are_filtered_alike(speech, noise):
    first, second, both = random_colour(
        [speech, noise, speech + noise], np.random.default_rng(1)
    )
    np.testing.assert_allclose(first + second, both, atol=1e-5)
    assert first.dtype == np.float32
    assert np.abs(first - speech).max() > 0.01


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_heard_before_it_is_there(speech, seed):
    late = np.concatenate([np.zeros(100, dtype=np.float32), speech])
    (early,) = random_colour([speech], np.random.default_rng(seed))
    (coloured,) = random_colour([late], np.random.default_rng(seed))
    assert not coloured[:100].any()
    np.testing.assert_allclose(coloured[100:], early, atol=1e-6)
