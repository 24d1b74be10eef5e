"""``sesame info``: what a model is."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .common import model_path, say


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``info`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["info", "model"]).model
    'model'
    """
    parser = commands.add_parser("info", help="tell what a model is")
    parser.set_defaults(run=run)
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="model folder or hf://owner/name[@revision]; default: sesame-small",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> None:
    """Prints facts about a model, a line each, and its sub-networks as a table.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Raises
    ------
    ValueError
        If there is no intact model.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["info", "no/such/model"]))
    Traceback (most recent call last):
    ValueError: ...no/such/model...
    """
    model = model_path(arguments.model)
    from sesame.inference.hub import resolve_model
    from sesame.inference.model_info import model_info

    facts = model_info(resolve_model(model))
    if arguments.json:
        say(json.dumps(facts))
        return
    sizes = facts.pop("sizes", [])
    width = max(map(len, facts))
    for name, value in facts.items():
        say(f"{name:<{width}}  {value}")
    if sizes:
        say(f"\n{_table(sizes)}")


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True))
        for line in lines
    )
