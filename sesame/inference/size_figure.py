"""Quality of sub-networks against what they cost: a figure."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sesame.metrics.size_curves import task_curves
from sesame.metrics.task_table import SizeScores, metric_label

from .figures import TITLE, distinct_colours, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["size_figure"]

PANEL = 4.0, 3.2  # inches
MAX_COLUMNS = 3


def size_figure(
    scores: Sequence[SizeScores], metrics: Sequence[str] = ("si_sdr",)
) -> "Figure":
    """Draws a panel for each task: a line through the sizes, the input dashed.

    Tasks in which a metric has no value have no panel of it.

    Arguments
    ---------
    scores : Sequence[SizeScores]
        As ``read_task_scores`` returns them.
    metrics : Sequence[str]
        What is drawn, the panels of the first one first.

    Returns
    -------
    Figure
        A matplotlib figure; see ``save_figure``.

    Raises
    ------
    ValueError
        If there is no such metric, or nothing has a value.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> scores = [
    ...     SizeScores(task, name, 9, cost, {"pesq": 2.0}, {"pesq": 1}, 1)
    ...     for task in ("denoise", "declip")
    ...     for name, cost in (("a", 0.1), ("b", 0.2))
    ... ]
    >>> [axes.get_title(loc="left") for axes in size_figure(scores, ["pesq"]).axes]
    ['denoise, n = 1', 'declip, n = 1']
    """
    curves = [curve for metric in metrics for curve in task_curves(scores, metric)]
    if not curves:
        raise ValueError(f"metrics ({', '.join(metrics)}) must have a value to draw")
    columns = min(len(curves), MAX_COLUMNS)
    rows = math.ceil(len(curves) / columns)
    figure = new_figure(PANEL[0] * columns, PANEL[1] * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes in panels[len(curves) :]:
        axes.remove()
    line, other = distinct_colours(2)
    for axes, curve in zip(panels, curves, strict=False):
        costs = [entry.gmacs for entry in curve.sizes]
        values = [entry.means[curve.metric] for entry in curve.sizes]
        axes.plot(
            costs, values, "o-", color=line, markersize=4, label="channels x blocks"
        )
        if curve.unprocessed is not None:
            level = curve.unprocessed.means[curve.metric]
            axes.axhline(level, color=other, linestyle="--", label="input")
        for entry in (curve.sizes[0], curve.sizes[-1]):
            axes.annotate(
                entry.size,
                (entry.gmacs, entry.means[curve.metric]),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        axes.set_xscale("log")
        counts = sorted({entry.counts[curve.metric] for entry in curve.sizes})
        # Of different utterances, sizes cannot be compared: nobody should miss it.
        number = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
        axes.set_title(f"{curve.task}, n = {number}", **TITLE)
        axes.set_ylabel(metric_label(curve.metric))
        axes.margins(x=0.12, y=0.15)
        axes.grid(alpha=0.3)
    for axes in panels[max(0, len(curves) - columns) : len(curves)]:
        axes.set_xlabel("GMAC per second of audio")
        axes.tick_params(labelbottom=True)
    handles = {
        text: handle
        for axes in figure.axes
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles=list(handles.values()),
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    return figure
