"""``sesame table``: mean and deviation over the seeds of several systems."""

import argparse
from pathlib import Path

from .common import say

SCORE_FILE = "test_scores.json"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``table`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["table", "SESAME=run1,run2"]).systems
    [('SESAME', ['run1', 'run2'])]
    """
    parser = commands.add_parser(
        "table",
        help="mean and deviation over seeds, as papers print them",
        description="Prints a Markdown table: a row per system, a column per test set, "
        "PESQ / SSNR / ESTOI / SI-SDR in each cell, as mean and sample standard "
        "deviation of the runs' means; SIG / BAK / OVRL of DNSMOS for sets without "
        "references.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "systems",
        nargs="+",
        type=_system,
        metavar="NAME=RUN,RUN,...",
        help="a system and the folders of its runs, one per seed",
    )
    parser.add_argument(
        "--set",
        action="append",
        type=_named,
        dest="sets",
        metavar="LABEL=FILE",
        help="a column and the score file of each run, as evaluate --json writes it; "
        f"default: test={SCORE_FILE}",
    )
    parser.add_argument(
        "--metrics",
        type=_names,
        metavar="A,B,...",
        help="other metrics, in all columns",
    )


def run(arguments: argparse.Namespace) -> None:
    """Prints the table.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Raises
    ------
    ValueError
        If a name is given twice, a run lacks a file that another run of its system
        has, a set has no file at all, or the runs of a set were scored on other files.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["table", "SESAME=no/such/run"]))
    Traceback (most recent call last):
    ValueError: no run has a test_scores.json...
    """
    from sesame.metrics.seed_table import format_seed_table, read_scores

    sets = arguments.sets or [("test", SCORE_FILE)]
    for given in (arguments.systems, sets):
        names = [name for name, _ in given]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"name ({repeated[0]}) must be given once")
    for _, file in sets:
        folders = [folder for _, runs in arguments.systems for folder in runs]
        if not any(Path(folder, file).is_file() for folder in folders):
            raise ValueError(f"no run has a {file}: looked in {', '.join(folders)}")
    systems = {
        name: {
            label: [read_scores(path) for path in _score_files(name, folders, file)]
            for label, file in sets
        }
        for name, folders in arguments.systems
    }
    say(format_seed_table(systems, arguments.metrics))


def _score_files(name: str, folders: list[str], file: str) -> list[Path]:
    """A file of each run; of none where the system was not scored on this set."""
    paths = [Path(folder, file) for folder in folders]
    missing = [path for path in paths if not path.is_file()]
    if missing and len(missing) < len(paths):
        raise ValueError(
            f"{missing[0]} is missing: {len(paths) - len(missing)} of {len(paths)} "
            f"runs of {name} have it"
        )
    return [] if missing else paths


def _system(text: str) -> tuple[str, list[str]]:
    name, runs = _named(text)
    folders = [run.strip() for run in runs.split(",") if run.strip()]
    if len(set(folders)) < len(folders) or not folders:
        raise argparse.ArgumentTypeError(f"{text} must name runs, each of them once")
    return name, folders


def _named(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name.strip() or not value.strip():
        raise argparse.ArgumentTypeError(f"{text} must be NAME=VALUE")
    return name.strip(), value.strip()


def _names(text: str) -> tuple[str, ...]:
    from sesame.metrics import KNOWN_METRICS

    names = tuple(filter(None, (word.strip() for word in text.split(","))))
    if not names or any(name not in KNOWN_METRICS for name in names):
        raise argparse.ArgumentTypeError(
            f"{text} must be among {', '.join(KNOWN_METRICS)}"
        )
    return names
