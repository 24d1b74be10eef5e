import numpy as np
import pytest

from sesame.metrics.wss import (
    CENTRES,
    band_levels,
    critical_bands,
    slope_weights,
    weighted_slope,
)

RATE = 16000
RNG = np.random.default_rng(0)
FRAMES = RNG.standard_normal((6, 480)) * np.hanning(480)


def weights_by_loops(levels, slopes):
    weights = np.empty(24)
    for i in range(24):
        n = i
        if slopes[i] > 0:
            while n < 24 and slopes[n] > 0:
                n += 1
            peak = levels[n - 1]
        else:
            while n >= 0 and slopes[n] <= 0:
                n -= 1
            peak = levels[n + 1]
        weights[i] = 20 / (20 + levels.max() - levels[i]) / (1 + peak - levels[i])
    return weights


def test_weights_are_those_of_a_search_band_by_band():
    levels = RNG.uniform(-100, 0, (200, 25))
    levels[:50] = np.round(levels[:50], -1)
    slopes = np.diff(levels)
    expected = [weights_by_loops(*row) for row in zip(levels, slopes, strict=True)]
    np.testing.assert_allclose(slope_weights(levels, slopes), expected)


def test_each_band_answers_most_to_a_tone_in_its_centre():
    time = np.arange(480) / RATE
    tones = np.sin(2 * np.pi * CENTRES[8:, None] * time) * np.hanning(480)
    assert (band_levels(tones, RATE).argmax(axis=1) == np.arange(8, 25)).all()


def test_bands_are_positive_and_cut_off_below_65_decibels():
    bands = critical_bands(RATE, 1024)
    assert bands.shape == (25, 512)
    assert bands[bands > 0].min() > np.exp(-30 / 4.606)
    assert bands.max(axis=1) == pytest.approx(np.sort(bands.max(axis=1))[::-1])


def test_equal_frames_have_no_distance_and_gain_alone_makes_none():
    np.testing.assert_array_equal(weighted_slope(FRAMES, FRAMES, RATE), 0)
    np.testing.assert_allclose(weighted_slope(5 * FRAMES, FRAMES, RATE), 0, atol=1e-18)


def test_distance_is_positive_and_symmetric():
    other = RNG.standard_normal(FRAMES.shape) * np.hanning(480)
    distance = weighted_slope(other, FRAMES, RATE)
    assert (distance > 0).all()
    np.testing.assert_allclose(distance, weighted_slope(FRAMES, other, RATE))


def test_distance_vanishes_below_the_floor():
    tiny = 1e-9 * FRAMES
    np.testing.assert_array_equal(weighted_slope(2 * tiny, tiny[::-1], RATE), 0)


def test_levels_have_a_floor_of_minus_100_decibels():
    np.testing.assert_array_equal(band_levels(np.zeros((2, 480)), RATE), -100)
