import numpy as np
import pytest
from scipy.linalg import solve_toeplitz, toeplitz

from sesame.metrics.lpc import (
    autocorrelation,
    log_likelihood_ratio,
    lpc_order,
    prediction_filter,
)

RNG = np.random.default_rng(0)
FRAMES = np.cumsum(RNG.standard_normal((7, 480)), axis=1) * np.hanning(480)


def test_autocorrelation_is_that_of_numpy():
    lags = autocorrelation(FRAMES, 16)
    for frame, row in zip(FRAMES, lags, strict=True):
        np.testing.assert_allclose(row, np.correlate(frame, frame, "full")[479:496])


def test_levinson_solves_the_normal_equations():
    lags = autocorrelation(FRAMES, 16)
    for row, taps in zip(lags, prediction_filter(lags), strict=True):
        expected = -solve_toeplitz(row[:-1], row[1:])
        np.testing.assert_allclose(taps[1:], expected, rtol=1e-6)
        assert taps[0] == 1


def test_ratio_is_the_one_of_residual_energies():
    estimate = FRAMES + RNG.standard_normal(FRAMES.shape)
    ratios = log_likelihood_ratio(estimate, FRAMES, 16)
    lags = autocorrelation(FRAMES, 16)
    estimate_taps = prediction_filter(autocorrelation(estimate, 16))
    target_taps = prediction_filter(lags)
    for i, ratio in enumerate(ratios):
        matrix = toeplitz(lags[i])
        worse = estimate_taps[i] @ matrix @ estimate_taps[i]
        best = target_taps[i] @ matrix @ target_taps[i]
        assert ratio == pytest.approx(np.log(worse / best), abs=1e-7)


def test_ratio_is_never_negative_and_ignores_level():
    estimate = RNG.standard_normal(FRAMES.shape)
    ratios = log_likelihood_ratio(estimate, FRAMES, 16)
    assert (ratios > 0).all()
    louder = log_likelihood_ratio(100 * estimate, 0.01 * FRAMES, 16)
    np.testing.assert_allclose(louder, ratios, rtol=1e-6)


def test_ratio_is_not_clipped_at_two():
    tone = np.sin(np.arange(480) * 2.9)[None] * np.hanning(480)
    assert log_likelihood_ratio(tone, FRAMES[:1], 16)[0] > 2


def test_frames_of_zeros_have_no_ratio_and_raise_nothing():
    ratios = log_likelihood_ratio(np.zeros((2, 480)), np.zeros((2, 480)), 16)
    assert not np.isfinite(ratios).any()


def test_order_follows_the_rate():
    assert [lpc_order(rate) for rate in (8000, 9999, 10000, 48000)] == [10, 10, 16, 16]
