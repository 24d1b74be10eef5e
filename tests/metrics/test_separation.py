"""Scores of mixtures: the best order, means over sources, gains, reasons."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.metrics import (
    SEPARATION_METRICS,
    best_order,
    score_pair,
    score_separation,
    si_sdr,
)

RATE = 16000
GAINS = ("si_sdr", "si_sdri")


@pytest.fixture(scope="module")
def talkers(speech_pair):
    """Estimates (2, L), targets (2, L), mixture (L,): estimates in the other order."""
    noisy, clean = (signal / 32768 for signal in speech_pair)
    targets = np.stack([clean, 0.8 * np.roll(clean[::-1], 3000)])
    noise = noisy - 0.9 * clean
    estimates = targets[::-1] + 0.1 * targets + 0.3 * noise
    return estimates, targets, targets.sum(0)


def random_sources(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 2000))


# ----------------------------------------------------------------- the order


@given(st.integers(1, 4), st.integers(0, 9), st.floats(-15, 40))
@settings(deadline=None)
def test_the_order_has_the_highest_mean_si_sdr(count, seed, decibels):
    targets = random_sources(count, seed)
    shuffled = np.random.default_rng(seed).permutation(targets)
    error = random_sources(count, seed + 10)
    estimates = shuffled + 10 ** (-decibels / 20) * error

    def mean(order):
        pairs = zip(order, targets, strict=True)
        return np.mean([si_sdr(estimates[i], t, RATE).value for i, t in pairs])

    best = max(mean(order) for order in itertools.permutations(range(count)))
    assert mean(best_order(estimates, targets)) == pytest.approx(best)


def test_a_perfect_estimate_is_recognised():
    targets = random_sources(3)
    assert best_order(-2.0 * targets[[1, 2, 0]] + 5.0, targets) == (2, 0, 1)


def test_one_perfect_estimate_does_not_outweigh_all_others():
    """Beyond 100 dB, where rounding decides, a source counts as 100 dB."""
    targets = random_sources(2)
    near = targets + 1e-7 * random_sources(2, 5)
    assert best_order(near, targets) == best_order(targets, targets) == (0, 1)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_one_estimate_that_is_no_signal_takes_the_place_that_is_left(bad):
    targets = random_sources(3)
    estimates = targets[[2, 0, 1]] + 0.1 * random_sources(3, 1)
    estimates[1] = bad
    assert best_order(estimates, targets) == (1, 2, 0)


# ----------------------------------------------------------------- the values


def test_values_are_means_over_the_sources_on_the_best_order(talkers):
    pytest.importorskip("torchmetrics")
    estimates, targets, mixture = talkers
    row = score_separation(estimates, targets, mixture, RATE)
    names = ("si_sdr", "sdr", "pesq", "stoi")
    after = [score_pair(estimates[1 - j], targets[j], RATE, names) for j in (0, 1)]
    before = [score_pair(mixture, targets[j], RATE, names) for j in (0, 1)]
    assert row.pop("reasons") == {}
    assert tuple(row) == SEPARATION_METRICS
    for name in names:
        assert row[name] == pytest.approx(np.mean([r[name] for r in after]))
    for name in ("si_sdr", "sdr"):
        gain = np.mean([a[name] - b[name] for a, b in zip(after, before, strict=True)])
        assert row[f"{name}i"] == pytest.approx(gain)
        assert row[f"{name}i"] > 5


def test_the_mixture_itself_gains_nothing(talkers):
    _, targets, mixture = talkers
    row = score_separation(np.stack([mixture] * 2), targets, mixture, RATE, GAINS)
    assert row["si_sdri"] == 0 and row["reasons"] == {}


def test_the_order_of_estimates_does_not_matter(talkers):
    estimates, targets, mixture = talkers
    rows = [
        score_separation(some, targets, mixture, RATE, [*GAINS, "stoi"])
        for some in (estimates, estimates[::-1])
    ]
    assert rows[0] == rows[1]


def test_a_row_holds_what_was_asked_for_in_that_order(talkers):
    row = score_separation(*talkers, RATE, ("stoi", "si_sdri", "ssnr"))
    assert list(row) == ["stoi", "si_sdri", "ssnr", "reasons"]
    assert list(score_separation(*talkers, RATE, "si_sdri")) == ["si_sdri", "reasons"]


def test_another_rate_is_noted(talkers):
    row = score_separation(*(x[..., ::2] for x in talkers), 8000, ["ssnr", "si_sdr"])
    assert row["reasons"] == {"sample_rate": "8000 Hz, resampled to 16000 Hz"}
    assert np.isfinite(row["ssnr"])


# ----------------------------------------------------------------- the reasons


def test_a_source_without_a_value_leaves_the_mixture_without_one(talkers):
    estimates, targets, mixture = talkers
    estimates = estimates * [[1.0], [0.0]]
    row = score_separation(estimates, targets, mixture, RATE, ("stoi", *GAINS))
    assert all(np.isnan(row[name]) for name in ("stoi", *GAINS))
    # Source 1 comes out second.
    assert set(row["reasons"].values()) == {"source 1: estimate is silent"}


def test_a_silent_target_is_named(talkers):
    estimates, targets, mixture = talkers
    row = score_separation(estimates, targets * [[1.0], [0.0]], mixture, RATE, GAINS)
    assert row["reasons"]["si_sdri"] == "source 2: target is silent"


def test_a_mixture_that_cannot_be_scored_costs_the_gain_only(talkers):
    estimates, targets, mixture = talkers
    row = score_separation(estimates, targets, 0 * mixture, RATE, GAINS)
    assert np.isfinite(row["si_sdr"]) and np.isnan(row["si_sdri"])
    assert row["reasons"]["si_sdri"].startswith("source 1: mixture: estimate is silent")
    assert "si_sdr" not in row["reasons"]


@pytest.mark.parametrize("estimates", [(3, 100), (100,), (2, 1, 100)])
def test_other_numbers_of_sources_are_a_reason(estimates):
    row = score_separation(
        np.ones(estimates), np.ones((2, 100)), np.ones(100), RATE, GAINS
    )
    assert all(np.isnan(row[name]) for name in GAINS)
    assert "must both be (J, L)" in row["reasons"]["si_sdr"]


@pytest.mark.parametrize("metric", ["pesqi", "si_sdrii", ""])
def test_an_unknown_metric_is_a_mistake_of_the_caller(talkers, metric):
    with pytest.raises(ValueError, match="must be among"):
        score_separation(*talkers, RATE, (metric,))
