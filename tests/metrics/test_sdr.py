"""SDR of BSS Eval: numpy's own solution, filters that cost nothing, reasons."""

import sys

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from sesame.metrics import score_pair, sdr, si_sdr

pytest.importorskip("torchmetrics")
RATE = 16000
TAPS = 512
RNG = np.random.default_rng(0)
TARGET = scipy.signal.lfilter([1.0], [1.0, -0.9], RNG.standard_normal(RATE))
NOISE = RNG.standard_normal(RATE)


def by_projection(estimate, target):
    """Energy of the best filtered target over that of what it leaves, dB."""
    size = len(target) + TAPS - 1
    padded = np.r_[target, np.zeros(TAPS - 1)]
    correlation = scipy.signal.correlate(padded, padded, method="fft")
    cross = scipy.signal.correlate(
        np.r_[estimate, np.zeros(TAPS - 1)], padded, method="fft"
    )
    start = size - 1
    taps = scipy.linalg.solve_toeplitz(
        correlation[start : start + TAPS], cross[start : start + TAPS]
    )
    heard = np.convolve(target, taps)
    error = np.r_[estimate, np.zeros(TAPS - 1)] - heard
    return 10 * np.log10(np.sum(heard**2) / np.sum(error**2))


@pytest.mark.parametrize("gain", [0.01, 0.3, 3.0])
def test_value_is_that_of_the_least_squares_filter(gain):
    estimate = np.convolve(TARGET, [0.3, 0.0, -0.2, 0.1])[:RATE] + gain * NOISE
    expected = by_projection(estimate, TARGET)
    assert sdr(estimate, TARGET, RATE).value == pytest.approx(expected, abs=1e-6)


def test_a_filter_and_a_delay_cost_nothing():
    # Ends in silence, so that nothing that the delay moves is cut off.
    target = np.r_[TARGET[:-200], np.zeros(200)]
    filtered = np.convolve(np.r_[np.zeros(100), target], [1.0, 0.5])[:RATE]
    assert sdr(filtered + 1e-6 * NOISE, target, RATE).value > 100
    assert si_sdr(filtered + 1e-6 * NOISE, target, RATE).value < 0


@pytest.mark.parametrize("scale", [1e-8, -2.0, 1e6])
def test_level_does_not_matter(scale):
    expected = sdr(TARGET + 0.1 * NOISE, TARGET, RATE).value
    got = sdr(scale * (TARGET + 0.1 * NOISE), TARGET / scale, RATE).value
    assert got == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("estimate", "target", "reason"),
    [
        (0 * TARGET, TARGET, "estimate is silent"),
        (TARGET, 0 * TARGET, "target is silent"),
        (np.full(RATE, np.nan), TARGET, "estimate has NaN"),
        (TARGET[:-200], TARGET, "lengths differ"),
    ],
)
def test_what_cannot_be_scored_has_a_reason(estimate, target, reason):
    score = sdr(estimate, target, RATE)
    assert np.isnan(score.value) and score.reason.startswith(reason)


def test_a_perfect_copy_is_very_good_or_unbounded():
    score = sdr(TARGET, TARGET, RATE)
    assert score.value > 100 or score.reason


def test_equations_without_a_solution_are_a_reason(monkeypatch):
    import torch
    from torchmetrics.functional import audio

    def fail(*_, **__):
        raise torch.linalg.LinAlgError("singular\nmatrix")

    monkeypatch.setattr(audio, "signal_distortion_ratio", fail)
    score = sdr(TARGET, TARGET, RATE)
    assert score.reason.startswith("SDR failed") and score.reason.endswith("singular")


def test_without_the_package_the_reason_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.audio", None)
    score = sdr(TARGET, TARGET, RATE)
    assert np.isnan(score.value) and "pip install '.[eval]'" in score.reason


def test_rows_may_have_it():
    row = score_pair(TARGET + NOISE, TARGET, RATE, ["sdr"])
    assert row == {"sdr": sdr(TARGET + NOISE, TARGET, RATE).value, "reasons": {}}
