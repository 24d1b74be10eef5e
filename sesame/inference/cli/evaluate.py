"""``sesame evaluate``: scores of audio files, with or without clean references."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .common import note, refuse_to_replace

VARIANTS = ("loizou", "cmgan")
# Options that name what does not come with a package, and the metric that needs it.
MODEL_OPTIONS = {
    "utmos_repo": (
        "utmos",
        "DIR",
        "copy of github.com/tarepan/SpeechMOS; runs",
    ),
    "utmos_weights": ("utmos", "FILE", "its weights, such as utmos22_strong_....pt"),
    "nisqa_weights": ("nisqa", "FILE", "nisqa.tar (CC BY-NC-SA 4.0)"),
    "scoreq_weights": ("scoreq", "FILE", "adapt_nr_telephone.onnx"),
}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``evaluate`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["evaluate", "--enhanced", "out"]).clean is None
    True
    """
    parser = commands.add_parser(
        "evaluate",
        help="score audio files, with or without clean references",
        description="Scores files, prints means and how many files have a value. "
        "Files of two folders belong together when their names agree.",
    )
    parser.set_defaults(run=run)
    path = {"type": Path, "metavar": "DIR|FILE"}
    parser.add_argument("--enhanced", required=True, help="what to score", **path)
    parser.add_argument(
        "--clean", help="references; without, only metrics that need none", **path
    )
    parser.add_argument("--noisy", help="scored, too, for comparison", **path)
    parser.add_argument(
        "--metrics",
        type=_metric_names,
        metavar="A,B,...",
        help="such as pesq,estoi,dnsmos,distillmos; a wrong name lists all of them",
    )
    parser.add_argument(
        "--composite-variant",
        choices=VARIANTS,
        default="loizou",
        help="scale of csig, cbak and covl",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes")
    parser.add_argument(
        "--align", action="store_true", help="undo delays of up to 1 s before scoring"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row per file")
    parser.add_argument(
        "--jsonl",
        type=Path,
        metavar="FILE",
        help="a line per file as soon as it is done; a rerun goes on from there",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="means, settings and versions; - prints them and nothing else",
    )
    parser.add_argument("--force", action="store_true", help="replace --csv and --json")
    for name, (metric, kind, text) in MODEL_OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        help_text = f"for {metric}: {text}"
        parser.add_argument(option, type=Path, metavar=kind, help=help_text)


def run(arguments: argparse.Namespace) -> int:
    """Scores, prints a table and writes files.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        0; 1 if there is a file without any score; 2 if a metric needs ``--clean``.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["evaluate", "--enhanced", "out", "--metrics", "pesq"]))
    2
    """
    from tqdm import tqdm

    from sesame.metrics import (
        UNPAIRED_METRICS,
        evaluate_folders,
        format_absent,
        format_table,
        json_summary,
        write_scores,
    )
    from sesame.metrics.nisqa import LICENCE

    given = {name: getattr(arguments, name) for name in MODEL_OPTIONS}
    model_files = {name: path for name, path in given.items() if path is not None}
    metrics = arguments.metrics or _default_metrics(arguments.clean, model_files)
    needy = [name for name in metrics if name not in UNPAIRED_METRICS]
    if needy and arguments.clean is None:
        note(f"{', '.join(needy)}: a clean reference is missing: give one with --clean")
        return 2
    json_path = None if arguments.json in (None, "-") else Path(arguments.json)
    for path in filter(None, (arguments.csv, json_path)):
        refuse_to_replace(path, arguments.force)
    if "nisqa" in metrics and "nisqa_weights" in model_files:
        note(LICENCE)
    # None: no bar where nobody watches.
    with tqdm(unit=" files", file=sys.stderr, disable=None) as bar:

        def show(num_done: int, num_total: int) -> None:
            bar.total = num_total
            bar.update(num_done - bar.n)

        scores = evaluate_folders(
            arguments.clean,
            arguments.enhanced,
            arguments.noisy,
            metrics,
            arguments.composite_variant,
            arguments.workers,
            align_first=arguments.align,
            model_files=model_files,
            log_path=arguments.jsonl,
            progress=show,
        )
    systems = {} if scores.noisy is None else {"noisy": scores.noisy}
    systems["enhanced"] = scores.enhanced
    made_with = metrics, arguments.composite_variant, scores.noisy, scores.settings
    write_scores(scores.enhanced, arguments.csv, json_path, *made_with)
    table = format_table(systems, arguments.composite_variant)
    text = f"{table}\n{format_absent(systems)}"
    if arguments.json == "-":
        sys.stderr.write(text)
        sys.stdout.write(json_summary(scores.enhanced, *made_with))
    else:
        sys.stdout.write(text)
    if scores.unmatched:
        note(f"{len(scores.unmatched)} enhanced files have no clean file: not scored")
    return 1 if _report_reasons(systems) else 0


def _metric_names(text: str) -> tuple[str, ...]:
    from sesame.metrics import DNSMOS_METRICS, KNOWN_METRICS

    names = []
    for name in filter(None, (word.strip() for word in text.split(","))):
        names += DNSMOS_METRICS if name == "dnsmos" else [name]
    unknown = [name for name in names if name not in KNOWN_METRICS]
    if unknown or not names:
        known = ", ".join(KNOWN_METRICS)
        raise argparse.ArgumentTypeError(f"{unknown} must be among {known} and dnsmos")
    return tuple(dict.fromkeys(names))


def _default_metrics(clean: Path | None, model_files: Mapping[str, Path]) -> tuple:
    from sesame.metrics import DNSMOS_METRICS, METRICS

    always = METRICS if clean else (*DNSMOS_METRICS, "distillmos")
    asked = [MODEL_OPTIONS[name][0] for name in model_files]
    return (*always, *dict.fromkeys(asked))


def _report_reasons(systems: Mapping[str, Sequence[dict]]) -> bool:
    """A line per file without any score, and per reason that some files have."""
    from sesame.metrics import unscored_metrics, unscored_rows

    failed = False
    for system, rows in systems.items():
        lost = unscored_rows(rows)
        failed = failed or bool(lost)
        if len(lost) == len(rows) > 1 and len(set(lost.values())) == 1:
            _, reason = lost.popitem()
            note(f"{system}: none of {len(rows)} files has a score: {reason}")
            continue
        for name, reason in lost.items():
            note(f"{system}: {name} has no score: {reason}")
        told = unscored_metrics(rows)
        concerned: dict[str, tuple[dict, dict]] = {}
        for row in (row for row in rows if row["id"] not in lost):
            for name, reason in row["reasons"].items():
                # Notes such as "length" hold numbers that differ between files.
                key = reason if name in row else name
                if name not in told:
                    names, examples = concerned.setdefault(key, ({}, {}))
                    names[name] = None
                    examples[row["id"]] = reason
        for names, examples in concerned.values():
            example = ": ".join(next(iter(examples.items())))
            count = f"{len(examples)} of {len(rows)} files"
            note(f"{system}: {', '.join(names)}: {count}, such as {example}")
    return failed
