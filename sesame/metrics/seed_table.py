"""Mean and deviation over the seeds of a system, as tables of papers print them."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .dnsmos import DNSMOS_METRICS
from .report import COMPOSITES

PAPER_METRICS = ("pesq", "ssnr", "estoi", "si_sdr")
RECORDING_METRICS = DNSMOS_METRICS[:3]
NAMES = {
    "pesq": "PESQ",
    "ssnr": "SSNR",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "si_sdr": "SI-SDR",
    "csig": "CSIG",
    "cbak": "CBAK",
    "covl": "COVL",
    "dnsmos_sig": "SIG",
    "dnsmos_bak": "BAK",
    "dnsmos_ovrl": "OVRL",
    "dnsmos_p808": "P.808",
}

Scores = dict[str, Any]


class SeedScore(NamedTuple):
    """A metric over the runs of a system.

    Arguments
    ---------
    mean : float
        Mean of the runs' means; NaN where a run has none.
    deviation : float
        Sample standard deviation of the runs' means; NaN for less than two runs.
    num_seeds : int
        Number of runs that have a mean.

    Example
    -------
    >>> SeedScore(3.031, 0.018, 5).text()
    '3.03 +- 0.02'
    """

    mean: float
    deviation: float
    num_seeds: int

    def text(self) -> str:
        """The cell of a table.

        Returns
        -------
        str
            Mean and deviation, the mean alone of a single run, or "n/a".
        """
        if not math.isfinite(self.mean):
            return "n/a"
        mean = f"{self.mean:.2f}"
        if not math.isfinite(self.deviation):
            return mean
        return f"{mean} +- {self.deviation:.2f}"


def read_scores(path: str | Path) -> Scores:
    """Reads a score file of a training run or of ``sesame evaluate --json``.

    Arguments
    ---------
    path : str | Path
        What ``write_scores`` wrote.

    Returns
    -------
    Scores
        {metric: {"mean", "n_scored", "n_total"}} and "composite_variant".

    Raises
    ------
    ValueError
        If there is no such file, or it is something else.

    Example
    -------
    >>> read_scores("no/such/test_scores.json")
    Traceback (most recent call last):
    ValueError: cannot read scores no/such/test_scores.json: ...
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read scores {path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no score file")
    scores = {
        name: entry
        for name, entry in content.items()
        if isinstance(entry, dict) and entry.keys() >= {"mean", "n_scored", "n_total"}
    }
    if not scores:
        raise ValueError(f"{path} is no score file: it holds no metric")
    return scores | {"composite_variant": content.get("composite_variant")}


def seed_scores(runs: Sequence[Scores]) -> dict[str, SeedScore]:
    """Mean and sample standard deviation over runs that differ in their seed.

    Arguments
    ---------
    runs : Sequence[Scores]
        A score file of each run, on one test set.

    Returns
    -------
    dict[str, SeedScore]
        For each metric that a run has.

    Raises
    ------
    ValueError
        If the runs differ in the number of files, or in the scale of the composite
        measures.

    Example
    -------
    >>> runs = [{"pesq": {"mean": m, "n_scored": 9, "n_total": 9}} for m in (3.0, 3.1)]
    >>> seed_scores(runs)["pesq"].text()
    '3.05 +- 0.07'
    """
    check_alike(runs)
    metrics = dict.fromkeys(name for run in runs for name in _metrics(run))
    scores = {}
    for metric in metrics:
        means = [run[metric]["mean"] for run in runs if metric in run]
        means = [mean for mean in means if mean is not None and math.isfinite(mean)]
        complete = len(means) == len(runs)
        scores[metric] = SeedScore(
            statistics.fmean(means) if complete else math.nan,
            statistics.stdev(means) if complete and len(means) > 1 else math.nan,
            len(means),
        )
    return scores


def check_alike(runs: Sequence[Scores]) -> None:
    """Stop if score files do not belong into one column of a table.

    Arguments
    ---------
    runs : Sequence[Scores]
        Score files, of one system or of several.

    Raises
    ------
    ValueError
        If they differ in the number of files, or in the scale of the composite
        measures.

    Example
    -------
    >>> entry = {"mean": 3.0, "n_scored": 9}
    >>> check_alike([{"pesq": entry | {"n_total": n}} for n in (9, 10)])
    Traceback (most recent call last):
    ValueError: n_total of the runs ([9, 10]) must be one number...
    """
    totals = sorted({run[name]["n_total"] for run in runs for name in _metrics(run)})
    if len(totals) > 1:
        raise ValueError(
            f"n_total of the runs ({totals}) must be one number: they were not scored "
            "on the same files"
        )
    variants = {
        str(run.get("composite_variant"))
        for run in runs
        if any(name in run for name in COMPOSITES)
    }
    if len(variants) > 1:
        raise ValueError(
            f"composite_variant of the runs ({', '.join(sorted(variants))}) must be "
            "the same"
        )


def format_seed_table(
    systems: Mapping[str, Mapping[str, Sequence[Scores]]],
    metrics: Sequence[str] | None = None,
) -> str:
    """A Markdown table of systems and test sets, with its notes.

    A cell holds the metrics one after the other, such as ``3.03 +- 0.02 / 7.67 +- 0.05
    / 0.80 +- 0.00 / 16.68 +- 0.04``, and ``n/a`` where a run has no value.

    Arguments
    ---------
    systems : Mapping[str, Mapping[str, Sequence[Scores]]]
        For each system (row) and test set (column) the score files of its runs.
    metrics : Sequence[str] | None
        Metrics of all columns; ``None`` is PESQ, SSNR, ESTOI and SI-SDR, or SIG, BAK
        and OVRL of DNSMOS for a set without any of those.

    Returns
    -------
    str
        The table, and a line per mean that leaves out files; no final line break.

    Raises
    ------
    ValueError
        If a column mixes runs whose numbers of files or scales of composites differ.

    Example
    -------
    >>> run = {"pesq": {"mean": 3.0, "n_scored": 9, "n_total": 9}}
    >>> print(format_seed_table({"ours": {"DNS": [run, run]}}, ["pesq"]))
    | system | seeds | DNS, n = 9 (PESQ) |
    |--------|-------|-------------------|
    | ours   | 2     | 3.00 +- 0.00      |
    """
    labels = list(dict.fromkeys(label for sets in systems.values() for label in sets))
    columns = {
        label: [run for sets in systems.values() for run in sets.get(label, ())]
        for label in labels
    }
    chosen, heading = {}, ["system", "seeds"]
    for label, runs in columns.items():
        try:
            check_alike(runs)
        except ValueError as error:
            raise ValueError(f"{label}: {error}") from error
        chosen[label] = tuple(metrics or _default_metrics(runs))
        totals = {run[name]["n_total"] for run in runs for name in _metrics(run)}
        names = " / ".join(NAMES.get(name, name) for name in chosen[label])
        heading.append(f"{label}, n = {max(totals, default=0)} ({names})")
    lines, notes = [heading], []
    for system, sets in systems.items():
        counts = [str(len(sets.get(label, ()))) for label in labels]
        seeds = counts[0] if len(set(counts)) == 1 else ", ".join(counts)
        cells = []
        for label in labels:
            runs = sets.get(label, ())
            scores = seed_scores(runs)
            missing = SeedScore(math.nan, math.nan, 0)
            texts = [scores.get(name, missing).text() for name in chosen[label]]
            cells.append(" / ".join(texts))
            notes += _notes(f"{system}, {label}", runs, chosen[label])
        lines.append([system, seeds, *cells])
    return "\n".join([*_markdown(lines), *([""] if notes else []), *notes])


def _default_metrics(runs: Sequence[Scores]) -> tuple[str, ...]:
    paired = any(name in run for run in runs for name in PAPER_METRICS)
    alone = any(name in run for run in runs for name in RECORDING_METRICS)
    return RECORDING_METRICS if alone and not paired else PAPER_METRICS


def _metrics(run: Scores) -> list[str]:
    return [name for name in run if name != "composite_variant"]


def _notes(where: str, runs: Sequence[Scores], metrics: Sequence[str]) -> list[str]:
    notes = []
    for name in metrics:
        entries = [run[name] for run in runs if name in run]
        counts = [entry["n_scored"] for entry in entries]
        total = max((entry["n_total"] for entry in entries), default=0)
        if any(count < total for count in counts) or 0 < len(counts) < len(runs):
            scored = ", ".join(map(str, counts))
            text = f"{where}: {NAMES.get(name, name)} of {scored} of {total} files"
            if len(counts) < len(runs):
                text += f", in {len(counts)} of {len(runs)} runs"
            notes.append(text)
    return notes


def _markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        f"| {' | '.join(map(str.ljust, line, widths))} |"  # one width per column
        for line in lines
    ]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return [rows[0], rule, *rows[1:]]
