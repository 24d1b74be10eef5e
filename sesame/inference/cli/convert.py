"""``sesame convert``: from a training run to a model folder."""

import argparse
from pathlib import Path

from .common import say


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``convert`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["convert", "results/run", "model"]).model.name
    'model'
    """
    parser = commands.add_parser(
        "convert", help="make a model folder of a training run"
    )
    parser.set_defaults(run=run)
    parser.add_argument("results", type=Path, metavar="RESULTS")
    parser.add_argument("model", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--force", action="store_true", help="replace the model")


def run(arguments: argparse.Namespace) -> None:
    """Writes the model folder.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["convert", "no/such/run", "model"]))
    Traceback (most recent call last):
    ValueError: results folder no/such/run must hold hyperparams.yaml and save/CKPT+*...
    """
    from sesame.inference.training_run import convert_run

    checkpoint = convert_run(arguments.results, arguments.model, arguments.force)
    say(f"{arguments.model}: weights of {checkpoint.path.name}")
