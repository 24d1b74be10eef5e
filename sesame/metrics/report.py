"""Rows of scores -> means, files and a table."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# "id": str, one float per metric, "reasons": {metric: why it is NaN}.
Row = dict[str, Any]
Summary = dict[str, dict[str, float | int]]

COMPOSITES = ("csig", "cbak", "covl")


def summarize(rows: Sequence[Row], metrics: Sequence[str] | None = None) -> Summary:
    """Mean of each metric over the rows that have a value, and how many have one.

    Arguments
    ---------
    rows : Sequence[Row]
        Rows of ``score_pair`` or ``score_pairs``.
    metrics : Sequence[str] | None
        Names to report; None takes those of the rows.

    Returns
    -------
    Summary
        {metric: {"mean": NaN if nothing was scored, "n_scored", "n_total"}}.

    Example
    -------
    >>> summarize([{"pesq": 2.0}, {"pesq": float("nan")}, {"pesq": 3.0}])
    {'pesq': {'mean': 2.5, 'n_scored': 2, 'n_total': 3}}
    """
    summary: Summary = {}
    for name in _metric_names(rows) if metrics is None else metrics:
        values = [row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
        summary[name] = {
            "mean": math.fsum(values) / len(values) if values else math.nan,
            "n_scored": len(values),
            "n_total": len(rows),
        }
    return summary


def write_scores(
    rows: Sequence[Row],
    csv_path: str | Path | None,
    json_path: str | Path | None,
    metrics: Sequence[str] | None = None,
    variant: str = "loizou",
    noisy_rows: Sequence[Row] | None = None,
) -> None:
    """Writes the rows to a CSV file and their means to a JSON file, each atomically.

    A missing value is an empty field (CSV) or null (JSON), never NaN.

    Arguments
    ---------
    rows : Sequence[Row]
        Rows of ``score_pairs``.
    csv_path : str | Path | None
        One line per utterance: id, metrics, reasons; None writes no such file.
    json_path : str | Path | None
        ``summarize``'s result and "composite_variant"; None writes no such file.
    metrics : Sequence[str] | None
        Names to write; None takes those of the rows.
    variant : str
        The variant the composites were measured with.
    noisy_rows : Sequence[Row] | None
        Rows of the unprocessed signals; their summary goes under the key "noisy".

    Example
    -------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "scores.json")
    ...     write_scores([{"id": "a", "stoi": 0.5, "reasons": {}}], None, path)
    ...     json.loads(path.read_text())["stoi"]["mean"]
    0.5
    """
    if csv_path is not None:
        names = _metric_names(rows) if metrics is None else metrics
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *names, "reasons"])
        for row in rows:
            values = [row.get(name, math.nan) for name in names]
            values = [value if math.isfinite(value) else "" for value in values]
            reasons = _join_reasons(row.get("reasons", {}))
            writer.writerow([row.get("id", ""), *values, reasons])
        _write_atomically(csv_path, text.getvalue())
    if json_path is not None:
        content: dict[str, Any] = _without_nan(summarize(rows, metrics))
        content["composite_variant"] = variant
        if noisy_rows is not None:
            content["noisy"] = _without_nan(summarize(noisy_rows, metrics))
        _write_atomically(json_path, json.dumps(content, indent=2) + "\n")


def format_table(systems: Mapping[str, Sequence[Row]], variant: str = "loizou") -> str:
    """A Markdown table of means, each beside the number of files it is a mean of.

    Arguments
    ---------
    systems : Mapping[str, Sequence[Row]]
        Rows per column heading, such as {"noisy": rows, "enhanced": rows}.
    variant : str
        The variant the composites were measured with.

    Returns
    -------
    str
        The table, without a final line break.

    Example
    -------
    >>> rows = [{"csig": 3.5}, {"csig": float("nan")}]
    >>> print(format_table({"enhanced": rows}))
    | metric        | enhanced | n scored / n total |
    |---------------|---------:|-------------------:|
    | csig (loizou) |   3.5000 |              1 / 2 |
    """
    summaries = [summarize(rows) for rows in systems.values()]
    lines = [["metric"]]
    for system in systems:
        lines[0] += [system, "n scored / n total"]
    for name in dict.fromkeys(name for summary in summaries for name in summary):
        lines.append([f"{name} ({variant})" if name in COMPOSITES else name])
        for summary in summaries:
            lines[-1] += _cells(summary.get(name))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    rule = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    table = [f"| {text} |" for text in texts]
    return "\n".join([table[0], f"|{'|'.join(rule)}|", *table[1:]])


def _cells(entry: dict[str, float | int] | None) -> list[str]:
    if entry is None:
        return ["n/a", "not asked for"]
    mean = f"{entry['mean']:.4f}" if entry["n_scored"] else "n/a"
    return [mean, f"{entry['n_scored']} / {entry['n_total']}"]


def _metric_names(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in ("id", "reasons")]


def _join_reasons(reasons: dict[str, str]) -> str:
    metrics_of: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        metrics_of.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(n)}: {reason}" for reason, n in metrics_of.items())


def _without_nan(summary: Summary) -> dict[str, Any]:
    return {
        name: {**entry, "mean": entry["mean"] if entry["n_scored"] else None}
        for name, entry in summary.items()
    }


def _write_atomically(path: str | Path, text: str) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        # mkstemp makes private files; a result is as readable as any other file.
        os.chmod(temporary, 0o644)
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
