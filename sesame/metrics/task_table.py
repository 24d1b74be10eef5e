"""Scores of one network at several sizes on several tasks: read, and as a table."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .seed_table import NAMES

__all__ = [
    "UNPROCESSED",
    "SizeScores",
    "format_task_table",
    "metric_label",
    "read_task_scores",
]

UNPROCESSED = "unprocessed"
LABELS = NAMES | {"si_sdri": "SI-SDRi", "erle": "ERLE"}
DECIBELS = ("si_sdr", "si_sdri", "ssnr", "erle")
COST = "gmacs_per_second"


class SizeScores(NamedTuple):
    """The scores of a size, or of the input, on a task.

    Arguments
    ---------
    task : str
        The task.
    size : str
        Name of the size, or ``UNPROCESSED``.
    parameters : int | None
        Of the sub-network; ``None``: not known.
    gmacs : float
        10^9 multiply-accumulate operations per second of a signal; NaN for the input.
    means : dict[str, float]
        For each metric the mean of those that have a value; NaN if none has.
    counts : dict[str, int]
        For each metric, how many have a value.
    num_total : int
        Utterances.

    Example
    -------
    >>> scores = SizeScores("denoise", "32x4", 900, 0.3, {"pesq": 2.0}, {"pesq": 9}, 9)
    >>> scores.means["pesq"]
    2.0
    """

    task: str
    size: str
    parameters: int | None
    gmacs: float
    means: dict[str, float]
    counts: dict[str, int]
    num_total: int


def read_task_scores(path: str | Path) -> list[SizeScores]:
    """Reads the ``task_scores.csv`` of a training run.

    Arguments
    ---------
    path : str | Path
        CSV file with the columns ``task``, ``size``, ``gmacs_per_second``, ``n_total``
        and for each metric the mean and, after ``n_``, how many have a value.

    Returns
    -------
    list[SizeScores]
        In the order of the lines.

    Raises
    ------
    ValueError
        If columns are missing, a line cannot be read, or a task has a size twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "task_scores.csv"
    >>> columns = "task,size,gmacs_per_second,pesq,n_pesq,n_total"
    >>> _ = path.write_text(f"{columns}\\ndenoise,32x4,0.3,2.1,8,9\\n")
    >>> [scores] = read_task_scores(path)
    >>> scores.gmacs, scores.means, scores.counts
    (0.3, {'pesq': 2.1}, {'pesq': 8})
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} must be a CSV file: {error}") from error
    metrics = [name for name in columns if f"n_{name}" in columns and name != "total"]
    missing = {"task", "size", COST, "n_total"} - set(columns)
    if missing or not metrics or not rows:
        raise ValueError(
            f"{path} must have a line for each task and size, with task, size, {COST}, "
            "n_total and for each metric its mean and n_ of it"
        )
    found = {}
    for line, row in rows:
        scores = _size_scores(path, line, row, metrics)
        if (scores.task, scores.size) in found:
            raise ValueError(
                f"{path}, line {line}: {scores.task} has {scores.size} twice"
            )
        found[scores.task, scores.size] = scores
    return list(found.values())


def format_task_table(scores: Sequence[SizeScores]) -> str:
    """A Markdown table with a row for each task and size.

    Arguments
    ---------
    scores : Sequence[SizeScores]
        As ``read_task_scores`` returns them.

    Returns
    -------
    str
        The table; no final line break.

    Raises
    ------
    ValueError
        If there is nothing to tell of.

    Example
    -------
    >>> means, counts = {"pesq": 2.0, "erle": math.nan}, {"pesq": 8, "erle": 0}
    >>> print(format_task_table([SizeScores("echo", "a", 9, 0.3, means, counts, 9)]))
    | task | size | parameters | GMAC/s | PESQ (n)  | ERLE [dB] (n) |
    |------|------|------------|--------|-----------|---------------|
    | echo | a    | 9          | 0.300  | 2.000 (8) | - (0)         |
    """
    if not scores:
        raise ValueError("scores ([]) must have at least one line")
    metrics = dict.fromkeys(name for entry in scores for name in entry.means)
    headings = [f"{metric_label(name)} (n)" for name in metrics]
    lines = [["task", "size", "parameters", "GMAC/s", *headings]]
    for entry in scores:
        count = "" if entry.parameters is None else f"{entry.parameters:,}"
        cost = f"{entry.gmacs:.3f}" if math.isfinite(entry.gmacs) else ""
        cells = [
            f"{_digits(entry.means[name], name)} ({entry.counts[name]})"
            for name in metrics
        ]
        lines.append([entry.task, entry.size, count, cost, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([rows[0], rule, *rows[1:]])


def metric_label(metric: str) -> str:
    """A metric with its unit, as tables and figures name it.

    Arguments
    ---------
    metric : str
        Its name.

    Returns
    -------
    str
        What people call it.

    Example
    -------
    >>> metric_label("si_sdri"), metric_label("pesq")
    ('SI-SDRi [dB]', 'PESQ')
    """
    return LABELS.get(metric, metric) + (" [dB]" if metric in DECIBELS else "")


def _digits(value, metric):
    if not math.isfinite(value):
        return "-"
    return f"{value:.{2 if metric in DECIBELS else 3}f}"


def _size_scores(path, line, row, metrics):
    try:
        if None in row or None in row.values():
            raise ValueError("it must have as many cells as the first line")
        counts = {name: int(row[f"n_{name}"]) for name in metrics}
        total = int(row["n_total"])
        means = {name: float(row[name] or "nan") for name in metrics}
        for name, count in counts.items():
            if not 0 <= count <= total:
                raise ValueError(f"n_{name} ({count}) must be in [0, {total}]")
            if math.isfinite(means[name]) != (count > 0):
                raise ValueError(f"{name} must have a mean if and only if n_{name} > 0")
        cost = float(row[COST] or "nan")
        if row["size"] != UNPROCESSED and not 0 < cost < math.inf:
            raise ValueError(f"{COST} ({row[COST]}) must be positive")
        parameters = int(row["parameters"]) if row.get("parameters") else None
    except ValueError as error:
        raise ValueError(f"{path}, line {line}, is no score: {error}") from error
    return SizeScores(row["task"], row["size"], parameters, cost, means, counts, total)
