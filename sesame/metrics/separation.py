"""Scores of separated sources on the best permutation, and what separation gained."""

import itertools
import math
from collections.abc import Iterable

import numpy as np

from .pair import check_choices, score_pair
from .report import Row

SEPARATION_METRICS = ("si_sdr", "si_sdri", "sdr", "sdri", "pesq", "stoi")
# Gain over the mixture: name -> the metric it is a difference of, dB.
IMPROVEMENTS = {"si_sdri": "si_sdr", "sdri": "sdr"}
# Squared cosines nearer to 0 and 1 (100 dB) must not outweigh the other sources.
ROUNDING_ERROR = 1e-10


def best_order(estimates: np.ndarray, targets: np.ndarray) -> tuple[int, ...]:
    """For each target the index of its estimate, so that the mean SI-SDR is highest.

    Shape: estimates (J, L), targets (J, L) -> J indices.

    Arguments
    ---------
    estimates : np.ndarray
        Separated signals in any order.
    targets : np.ndarray
        Clean signals.

    Returns
    -------
    tuple[int, ...]
        Indices of estimates in the order of the targets.

    Example
    -------
    >>> targets = np.random.default_rng(0).standard_normal((3, 100))
    >>> best_order(targets[[2, 0, 1]], targets)
    (1, 2, 0)
    """
    cosines = _unit(estimates) @ _unit(targets).T
    shares = np.square(cosines).clip(ROUNDING_ERROR, 1 - ROUNDING_ERROR)
    decibels = 10 * np.log10(shares / (1 - shares))
    return max(
        itertools.permutations(range(len(targets))),
        key=lambda order: math.fsum(decibels[i, j] for j, i in enumerate(order)),
    )


def score_separation(
    estimates: np.ndarray,
    targets: np.ndarray,
    mixture: np.ndarray,
    sample_rate: int,
    metrics: Iterable[str] = SEPARATION_METRICS,
    variant: str = "loizou",
) -> Row:
    """All metrics of one separated mixture; never raises because of the signals.

    Each value is the mean over the sources, on the permutation of the highest mean
    SI-SDR. Where one source has no value the mixture has none: a mean of the others
    would look better than it is. At another rate than 16 kHz, signals are resampled
    for the metrics that need 16 kHz, as in ``score_pair``. An unknown metric or
    variant, a mistake of the caller, is a ValueError.

    Shape: estimates (J, L), targets (J, L), mixture (L,) -> values.

    Arguments
    ---------
    estimates : np.ndarray
        Separated signals, float with full scale 1 or int16.
    targets : np.ndarray
        Clean signals, the same scale.
    mixture : np.ndarray
        What was separated; ``si_sdri`` and ``sdri`` are gains over it.
    sample_rate : int
        Rate of all signals, Hz, in [4000, 384000].
    metrics : Iterable[str]
        ``si_sdri``, ``sdri`` and the names that ``score_pair`` knows.
    variant : str
        Scale of the composite measures, "loizou" or "cmgan".

    Returns
    -------
    Row
        As of ``score_pair``; reasons name the source, counted from 1.

    Example
    -------
    >>> targets = np.random.default_rng(0).standard_normal((2, 16000))
    >>> estimates = targets[::-1] + 0.1 * targets
    >>> names = ["si_sdr", "si_sdri"]
    >>> row = score_separation(estimates, targets, targets.sum(0), 16000, names)
    >>> round(row["si_sdr"]), round(row["si_sdri"]), row["reasons"]
    (20, 20, {})
    """
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    direct = dict.fromkeys(IMPROVEMENTS.get(name, name) for name in metrics)
    improved = dict.fromkeys(IMPROVEMENTS[m] for m in metrics if m in IMPROVEMENTS)
    check_choices(direct, variant)
    estimates, targets = np.asarray(estimates), np.asarray(targets)
    if estimates.ndim != 2 or targets.ndim != 2 or len(estimates) != len(targets):
        reason = f"estimates {estimates.shape} and targets {targets.shape} must both "
        reasons = dict.fromkeys(metrics, f"{reason}be (J, L)")
        return dict.fromkeys(metrics, math.nan) | {"reasons": reasons}
    length = min(estimates.shape[1], targets.shape[1])
    order = best_order(estimates[:, :length], targets[:, :length])
    values: dict[str, list[float]] = {name: [] for name in metrics}
    reasons: dict[str, list[str]] = {name: [] for name in metrics}
    notes: dict[str, str] = {}
    for number, (i, target) in enumerate(zip(order, targets, strict=True), 1):
        after = score_pair(estimates[i], target, sample_rate, direct, variant)
        before = score_pair(mixture, target, sample_rate, improved, variant)
        notes |= {k: v for k, v in after["reasons"].items() if k not in direct}
        for name in metrics:
            value, reason = _value(after, before, name)
            values[name].append(value)
            reasons[name] += [f"source {number}: {reason}"] if reason else []
    means = {name: math.fsum(column) / len(order) for name, column in values.items()}
    found = {name: "; ".join(lines) for name, lines in reasons.items() if lines}
    return {**means, "reasons": found | notes}


def _value(after: Row, before: Row, name: str) -> tuple[float, str]:
    if name not in IMPROVEMENTS:
        return after[name], after["reasons"].get(name, "")
    name = IMPROVEMENTS[name]
    reason = after["reasons"].get(name, "")
    if not reason and name in before["reasons"]:
        reason = f"mixture: {before['reasons'][name]}"
    return after[name] - before[name], reason


def _unit(signals: np.ndarray) -> np.ndarray:
    """Rows without their mean, of norm 1; 0 where there is nothing to compare."""
    signals = np.nan_to_num(np.asarray(signals, dtype=np.float64), posinf=0, neginf=0)
    signals = signals / np.maximum(np.abs(signals).max(1, keepdims=True), 1e-300)
    signals = signals - signals.mean(1, keepdims=True)
    return signals / np.maximum(np.linalg.norm(signals, axis=1, keepdims=True), 1e-300)
