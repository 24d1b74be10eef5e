"""Scores of restored speech: gains over the input, and echo where nobody talks."""

import math
from collections.abc import Iterable

import numpy as np

from .pair import check_choices, score_pair
from .report import Row
from .score import Score, check_pair

RESTORATION_METRICS = ("si_sdr", "si_sdri", "pesq", "stoi", "erle")
# Energies closer to nothing have no ratio in decibels that means anything.
_SMALLEST_RATIO = 1e-12


def erle(estimate: np.ndarray, mixture: np.ndarray, sample_rate: int) -> Score:
    """Echo return loss enhancement: how much quieter the output is than the input.

    It says something where the input is echo alone; speech that is suppressed would
    count as well.

    Shape: estimate (L,), mixture (L,) -> one value.
    Source: ITU-T G.168, as the ratio of energies over the whole signal.

    Arguments
    ---------
    estimate : np.ndarray
        Output, float with full scale 1 or int16.
    mixture : np.ndarray
        Input, the same scale.
    sample_rate : int
        Rate of both signals, Hz.

    Returns
    -------
    Score
        dB, at most 120; or NaN with the reason.

    Example
    -------
    >>> echo = np.sin(np.arange(1000))
    >>> round(erle(0.1 * echo, echo, 16000).value, 6)
    20.0
    """
    pair = check_pair(mixture, mixture, sample_rate)
    if pair.reason:
        return Score.missing(pair.reason.replace("estimate", "input"))
    estimate = np.asarray(estimate, dtype=np.float64)
    if estimate.shape != np.shape(mixture) or not np.isfinite(estimate).all():
        return Score.missing("output must be finite and as long as the input")
    left = np.sum(estimate**2) / np.sum(np.asarray(mixture, dtype=np.float64) ** 2)
    return Score.measured(-10 * math.log10(max(left, _SMALLEST_RATIO)), "ERLE")


def score_restoration(
    estimate: np.ndarray,
    target: np.ndarray,
    mixture: np.ndarray,
    sample_rate: int,
    metrics: Iterable[str] = RESTORATION_METRICS,
    variant: str = "loizou",
) -> Row:
    """All metrics of one restored signal; never raises because of the signals.

    Where the target is silence (only the far end talks) ``erle`` has a value and the
    others have none, and elsewhere the other way round. An unknown metric or variant,
    a mistake of the caller, is a ValueError.

    Shape: estimate (L,), target (L,), mixture (L,) -> values.

    Arguments
    ---------
    estimate : np.ndarray
        Output, in step with the input, float with full scale 1 or int16.
    target : np.ndarray
        What it should be, the same scale.
    mixture : np.ndarray
        Input; ``si_sdri`` is the gain over it.
    sample_rate : int
        Rate of all signals, Hz, in [4000, 384000].
    metrics : Iterable[str]
        ``si_sdri``, ``erle`` and the names that ``score_pair`` knows.
    variant : str
        Scale of the composite measures, "loizou" or "cmgan".

    Returns
    -------
    Row
        As of ``score_pair``.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> noise = np.random.default_rng(1).standard_normal(16000)
    >>> names = ["si_sdri", "erle"]
    >>> mixture, output = target + noise, target + 0.1 * noise
    >>> row = score_restoration(output, target, mixture, 16000, names)
    >>> round(row["si_sdri"]), row["reasons"]
    (20, {'erle': 'target is not silent'})
    """
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    own = {"si_sdri": ["si_sdr"], "erle": []}
    asked = dict.fromkeys(n for name in metrics for n in own.get(name, [name]))
    check_choices(asked, variant)
    after = score_pair(estimate, target, sample_rate, asked, variant)
    values, reasons = dict(after), dict(after.pop("reasons"))
    if "erle" in metrics:
        if np.any(target):
            score = Score.missing("target is not silent")
        else:
            score = erle(estimate, mixture, sample_rate)
        values["erle"] = score.value
        reasons |= {"erle": score.reason} if score.reason else {}
    if "si_sdri" in metrics:
        before = score_pair(mixture, target, sample_rate, ["si_sdr"], variant)
        values["si_sdri"] = after["si_sdr"] - before["si_sdr"]
        if "si_sdr" in reasons:
            reasons["si_sdri"] = reasons["si_sdr"]
        elif "si_sdr" in before["reasons"]:
            reasons["si_sdri"] = f"input: {before['reasons']['si_sdr']}"
    named = {name: values[name] for name in metrics}
    notes = {k: v for k, v in reasons.items() if k in named or k not in asked}
    return {**named, "reasons": notes}
