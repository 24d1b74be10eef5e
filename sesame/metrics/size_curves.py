"""Quality of one network over the cost of its sizes, for each task."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .task_table import LABELS, UNPROCESSED, SizeScores

__all__ = ["TaskCurve", "check_curves", "task_curves"]

# Gains over the input fall as much as what they are gains of.
CHECKED = ("si_sdr", "erle")


class TaskCurve(NamedTuple):
    """A metric on a task over the cost of the sizes.

    Arguments
    ---------
    task : str
        The task.
    metric : str
        The metric.
    sizes : list[SizeScores]
        Those that have a value, the cheapest first.
    unprocessed : SizeScores | None
        The input, if it has a value.

    Example
    -------
    >>> sizes = [
    ...     SizeScores("denoise", name, 9, cost, {"si_sdr": mean}, {"si_sdr": 1}, 1)
    ...     for name, cost, mean in (("a", 0.1, 7.0), ("b", 0.2, 8.0), ("c", 0.3, 7.7))
    ... ]
    >>> drop, worse, better = TaskCurve("denoise", "si_sdr", sizes, None).largest_drop()
    >>> f"{worse.size} is {drop:.1f} dB below {better.size}"
    'c is 0.3 dB below b'
    """

    task: str
    metric: str
    sizes: list[SizeScores]
    unprocessed: SizeScores | None

    def largest_drop(self) -> tuple[float, SizeScores, SizeScores]:
        """How far a size is below one that costs no more.

        Returns
        -------
        tuple[float, SizeScores, SizeScores]
            The difference of the means, the size and the better one; 0 and the
            cheapest size twice if the curve never falls.
        """
        best = self.sizes[0]
        found = 0.0, best, best
        for scores in self.sizes:
            drop = best.means[self.metric] - scores.means[self.metric]
            found = max(found, (drop, scores, best), key=lambda entry: entry[0])
            best = scores if drop < 0 else best
        return found

    def not_above_input(self) -> list[SizeScores]:
        """The sizes that do not improve over the input.

        Returns
        -------
        list[SizeScores]
            The cheapest first; none if the input has no value.
        """
        if self.unprocessed is None:
            return []
        least = self.unprocessed.means[self.metric]
        return [
            scores for scores in self.sizes if not scores.means[self.metric] > least
        ]


def task_curves(scores: Sequence[SizeScores], metric: str) -> list[TaskCurve]:
    """The curves of a metric.

    Arguments
    ---------
    scores : Sequence[SizeScores]
        As ``read_task_scores`` returns them.
    metric : str
        Its name.

    Returns
    -------
    list[TaskCurve]
        For each task in which a size has a value.

    Raises
    ------
    ValueError
        If there is no such metric.

    Example
    -------
    >>> sizes = [
    ...     SizeScores("denoise", name, 9, cost, {"erle": 1.0}, {"erle": 1}, 1)
    ...     for name, cost in (("a", 2.0), ("b", 1.0))
    ... ]
    >>> [[s.size for s in curve.sizes] for curve in task_curves(sizes, "erle")]
    [['b', 'a']]
    """
    known = list(dict.fromkeys(name for entry in scores for name in entry.means))
    if metric not in known:
        raise ValueError(f"metric ({metric}) must be among {', '.join(known)}")
    curves = []
    for task in dict.fromkeys(entry.task for entry in scores):
        own = [e for e in scores if e.task == task and math.isfinite(e.means[metric])]
        sizes = [entry for entry in own if entry.size != UNPROCESSED]
        inputs = [entry for entry in own if entry.size == UNPROCESSED]
        if sizes:
            sizes.sort(key=lambda entry: entry.gmacs)
            curves.append(TaskCurve(task, metric, sizes, inputs[0] if inputs else None))
    return curves


def check_curves(scores: Sequence[SizeScores], tolerance: float = 0.1) -> str:
    """Says of SI-SDR and ERLE whether more operations are never worse, and help at all.

    Arguments
    ---------
    scores : Sequence[SizeScores]
        As ``read_task_scores`` returns them.
    tolerance : float
        How far a size may be below a cheaper one [dB].

    Returns
    -------
    str
        A line of a Markdown list for each task and metric; no final line break.

    Raises
    ------
    ValueError
        If the tolerance is negative.

    Example
    -------
    >>> sizes = [
    ...     SizeScores("denoise", name, 9, cost, {"si_sdr": mean}, {"si_sdr": 1}, 1)
    ...     for name, cost, mean in (
    ...         (UNPROCESSED, math.nan, 5.0), ("a", 0.1, 7.0), ("b", 0.2, 6.95)
    ...     )
    ... ]
    >>> print(check_curves(sizes))
    - denoise, SI-SDR: monotone within 0.1 dB (largest drop 0.05 dB); all 2 sizes
    improve over the input
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance ({tolerance}) must be at least 0 dB")
    known = {name for entry in scores for name in entry.means}
    return "\n".join(
        f"- {curve.task}, {LABELS[metric]}: {_monotony(curve, tolerance)}; "
        f"{_improvement(curve)}{_comparability(curve, scores)}"
        for metric in CHECKED
        if metric in known
        for curve in task_curves(scores, metric)
    )


def _monotony(curve, tolerance):
    drop, worse, better = curve.largest_drop()
    # The means of the file are rounded to four digits: 0.1 is not more than 0.1.
    if drop <= tolerance + 1e-9:
        return f"monotone within {tolerance:g} dB (largest drop {drop:.2f} dB)"
    return (
        f"not monotone within {tolerance:g} dB: {worse.size} is {drop:.2f} dB below "
        f"{better.size}, which takes no more operations"
    )


def _improvement(curve):
    if curve.unprocessed is None:
        return "the input was not scored"
    behind = curve.not_above_input()
    if not behind:
        return f"all {len(curve.sizes)} sizes improve over the input"
    names = ", ".join(entry.size for entry in behind)
    count = f"{len(behind)} of {len(curve.sizes)} sizes"
    return f"{count} do not improve over the input: {names}"


def _comparability(curve, scores):
    counts = {e.counts[curve.metric] for e in scores if e.task == curve.task}
    if len(counts) == 1:
        return ""
    return f" (means of {min(counts)} to {max(counts)} utterances, not the same ones)"
