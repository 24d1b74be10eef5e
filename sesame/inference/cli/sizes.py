"""``sesame sizes``: what a network of many sizes makes of each task, at what cost."""

import argparse
from pathlib import Path

from .common import refuse_to_replace, say

SCORE_FILE = "task_scores.csv"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``sizes`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["sizes", "results", "--metrics", "pesq,stoi"]).metrics
    ('pesq', 'stoi')
    """
    parser = commands.add_parser(
        "sizes",
        help="tabulate and draw quality against operations, for each task",
        description="Prints the scores of every task and size as a Markdown table, "
        "with the number of utterances behind each mean, and whether larger sizes are "
        "better ones; draws quality against multiply-accumulate operations. These are "
        "without what an enrollment adds.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "run_folder",
        type=Path,
        metavar="RUN",
        help=f"results folder of a training run, or its {SCORE_FILE}",
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="such as f.png")
    parser.add_argument(
        "--metrics",
        type=_names,
        default=("si_sdr",),
        metavar="A,B,...",
        help="metrics of the figure; default: si_sdr",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.1,
        metavar="DB",
        help="how far a size may be below a cheaper one; default: 0.1",
    )
    parser.add_argument("--force", action="store_true", help="replace the figure")


def run(arguments: argparse.Namespace) -> None:
    """Prints the table and draws the figure.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Raises
    ------
    ValueError
        If there are no scores, or the figure exists.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["sizes", "no/such/run"]))
    Traceback (most recent call last):
    ValueError: no/such/run does not exist; train.py writes task_scores.csv as it tests
    """
    from sesame.metrics.size_curves import check_curves
    from sesame.metrics.task_table import format_task_table, read_task_scores

    path = arguments.run_folder
    path = path / SCORE_FILE if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist; train.py writes {SCORE_FILE} as it tests"
        )
    scores = read_task_scores(path)
    text = f"{format_task_table(scores)}\n\n{check_curves(scores, arguments.tolerance)}"
    if arguments.figure is not None:
        from sesame.inference.figures import save_figure
        from sesame.inference.size_figure import size_figure

        refuse_to_replace(arguments.figure, arguments.force)
        save_figure(size_figure(scores, arguments.metrics), arguments.figure)
    say(text.strip())


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))
