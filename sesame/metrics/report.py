"""Rows of scores -> means, files, a table, and what is missing in words."""

import csv
import io
import json
import math
import os
import tempfile
from collections import Counter
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


def json_summary(
    rows: Sequence[Row],
    metrics: Sequence[str] | None = None,
    variant: str = "loizou",
    noisy_rows: Sequence[Row] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> str:
    """Means and how they were made, as JSON; a missing mean is null, never NaN.

    Arguments
    ---------
    rows : Sequence[Row]
        Rows of ``score_pairs``.
    metrics : Sequence[str] | None
        Names to report; None takes those of the rows.
    variant : str
        The variant the composites were measured with.
    noisy_rows : Sequence[Row] | None
        Rows of the unprocessed signals; their summary goes under the key "noisy".
    settings : Mapping[str, Any] | None
        Choices and versions, such as those of ``evaluation_settings``; goes under the
        key "settings".

    Returns
    -------
    str
        One JSON object with a final line break.

    Example
    -------
    >>> json.loads(json_summary([{"id": "a", "stoi": 0.5, "reasons": {}}]))["stoi"]
    {'mean': 0.5, 'n_scored': 1, 'n_total': 1}
    """
    content: dict[str, Any] = _without_nan(summarize(rows, metrics))
    content["composite_variant"] = variant
    if noisy_rows is not None:
        content["noisy"] = _without_nan(summarize(noisy_rows, metrics))
    if settings is not None:
        content["settings"] = dict(settings)
    return json.dumps(content, indent=2) + "\n"


def write_scores(
    rows: Sequence[Row],
    csv_path: str | Path | None,
    json_path: str | Path | None,
    metrics: Sequence[str] | None = None,
    variant: str = "loizou",
    noisy_rows: Sequence[Row] | None = None,
    settings: Mapping[str, Any] | None = None,
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
        ``json_summary``'s result; None writes no such file.
    metrics : Sequence[str] | None
        Names to write; None takes those of the rows.
    variant : str
        The variant the composites were measured with.
    noisy_rows : Sequence[Row] | None
        As for ``json_summary``.
    settings : Mapping[str, Any] | None
        As for ``json_summary``.

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
        text = json_summary(rows, metrics, variant, noisy_rows, settings)
        _write_atomically(json_path, text)


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
    summaries = {system: summarize(rows) for system, rows in systems.items()}
    return format_summaries(summaries, variant)


def format_summaries(
    summaries: Mapping[str, Mapping[str, Mapping[str, Any]]], variant: str = "loizou"
) -> str:
    """``format_table`` for means that are known already.

    Arguments
    ---------
    summaries : Mapping[str, Mapping[str, Mapping[str, Any]]]
        What ``summarize`` returned, or a score file holds, per column heading.
    variant : str
        The variant the composites were measured with.

    Returns
    -------
    str
        The table, without a final line break.

    Example
    -------
    >>> entry = {"mean": 2.5, "n_scored": 1, "n_total": 2}
    >>> print(format_summaries({"enhanced": {"pesq": entry}}))
    | metric | enhanced | n scored / n total |
    |--------|---------:|-------------------:|
    | pesq   |   2.5000 |              1 / 2 |
    """
    lines = [["metric"]]
    for system in summaries:
        lines[0] += [system, "n scored / n total"]
    for name in dict.fromkeys(n for summary in summaries.values() for n in summary):
        lines.append([f"{name} ({variant})" if name in COMPOSITES else name])
        for summary in summaries.values():
            lines[-1] += _cells(summary.get(name))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]
    rule = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    table = [f"| {text} |" for text in texts]
    return "\n".join([table[0], f"|{'|'.join(rule)}|", *table[1:]])


def format_absent(systems: Mapping[str, Sequence[Row]]) -> str:
    """What to print below a table: why a metric has no value at all.

    Arguments
    ---------
    systems : Mapping[str, Sequence[Row]]
        As for ``format_table``.

    Returns
    -------
    str
        A line, with its line break, per reason; empty if every metric has a value.

    Example
    -------
    >>> row = {"utmos": float("nan"), "reasons": {"utmos": "no code: clone it"}}
    >>> format_absent({"noisy": [row], "enhanced": [row]})
    'utmos: n/a (no code: clone it)\\n'
    """
    systems_of: dict[tuple[str, str], list[str]] = {}
    for system, rows in systems.items():
        for item in unscored_metrics(rows).items():
            systems_of.setdefault(item, []).append(system)
    names_of: dict[tuple[str, str], list[str]] = {}
    for (name, reason), some in systems_of.items():
        where = "" if len(some) == len(systems) else f" of {' and '.join(some)}"
        names_of.setdefault((where, reason), []).append(name)
    return "".join(
        f"{', '.join(names)}{where}: n/a ({reason})\n"
        for (where, reason), names in names_of.items()
    )


def unscored_metrics(rows: Sequence[Row]) -> dict[str, str]:
    """Metrics that no row has a value of, each with its most frequent reason.

    Arguments
    ---------
    rows : Sequence[Row]
        Rows of ``score_pairs``.

    Returns
    -------
    dict[str, str]
        {metric: reason}.

    Example
    -------
    >>> nan = float("nan")
    >>> reasons = {"utmos": "the code is missing: clone it"}
    >>> unscored_metrics([{"id": "a", "utmos": nan, "stoi": 0.9, "reasons": reasons}])
    {'utmos': 'the code is missing: clone it'}
    """
    return {
        name: Counter(row["reasons"][name] for row in rows).most_common(1)[0][0]
        for name, entry in summarize(rows).items()
        if not entry["n_scored"]
    }


def unscored_rows(rows: Sequence[Row]) -> dict[str, str]:
    """Rows without a single value, and why.

    Arguments
    ---------
    rows : Sequence[Row]
        Rows of ``score_pairs``.

    Returns
    -------
    dict[str, str]
        {id: reasons, each once}.

    Example
    -------
    >>> row = {"id": "a", "stoi": float("nan"), "reasons": {"stoi": "target is silent"}}
    >>> unscored_rows([row])
    {'a': 'target is silent'}
    """
    lost = {}
    for row in rows:
        names = _metric_names([row])
        if not any(math.isfinite(row[name]) for name in names):
            reasons = dict.fromkeys(row["reasons"][name] for name in names)
            lost[row["id"]] = "; ".join(reasons)
    return lost


def _cells(entry: Mapping[str, Any] | None) -> list[str]:
    if entry is None:
        return ["n/a", "not asked for"]
    mean = f"{entry['mean']:.4f}" if entry["n_scored"] else "n/a"
    return [mean, f"{entry['n_scored']} / {entry['n_total']}"]


def _metric_names(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in ("id", "reasons")]


def _join_reasons(reasons: Mapping[str, str]) -> str:
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
