"""``sesame showcase``: the results of a training run, presentable."""

import argparse
from pathlib import Path

from .common import DEFAULT_MODEL, say


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``showcase`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["showcase", "results/run"]).pretrained.name
    'sesame-small'
    """
    parser = commands.add_parser("showcase", help="show the results of a run")
    parser.set_defaults(run=run)
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("--data", type=Path, default=Path("data/minibank"))
    parser.add_argument("--pretrained", type=Path, default=DEFAULT_MODEL)


def run(arguments: argparse.Namespace) -> None:
    """Makes a table, a figure and a file to hear, and says where they are.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["showcase", "no/such/run"]))
    Traceback (most recent call last):
    ValueError: results folder no/such/run must hold hyperparams.yaml and save/CKPT+*...
    """
    from sesame.inference.showcase import showcase

    for line in showcase(arguments.results, arguments.data, arguments.pretrained):
        say(line)
