"""``sesame tsne``: the features of models on several sets, as a map."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .common import model_path, refuse_to_replace, say

if TYPE_CHECKING:
    from sesame.inference.feature_map import MapPoint

TABLE, FIGURE = "tsne.csv", "tsne.png"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``tsne`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["tsne", "--set", "a=data", "-o", "map"]).points
    2000
    """
    parser = commands.add_parser(
        "tsne",
        help="map the features of models on several sets",
        description=f"Writes {TABLE} and {FIGURE}: t-SNE of the features behind the "
        "last block, a panel for each model, a colour for each set.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--model",
        action="append",
        metavar="[NAME=]MODEL",
        help="model folder or hf://owner/name[@revision]; as often as there are "
        "models; default: sesame-small",
    )
    parser.add_argument(
        "--set",
        action="append",
        dest="sets",
        metavar="NAME=FOLDER",
        help="noisy audio files; as often as there are sets",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--from-csv", type=Path, metavar="FILE", help="only draw a saved map again"
    )
    parser.add_argument(
        "--per",
        choices=("frame", "file"),
        default="frame",
        help="what a point is: a frame, or the mean over a file",
    )
    parser.add_argument(
        "--points", type=int, default=2000, help="at most, of each model"
    )
    parser.add_argument("--perplexity", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", help="such as cpu or cuda:0")
    parser.add_argument("--force", action="store_true", help="replace the results")


def run(arguments: argparse.Namespace) -> None:
    """Makes the map, or reads it, and draws it.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["tsne", "-o", "no/such/folder"]))
    Traceback (most recent call last):
    ValueError: give a set with --set NAME=FOLDER, or a saved map with --from-csv FILE
    """
    given = bool(arguments.sets or arguments.model)
    if arguments.from_csv is not None and given:
        raise ValueError(
            "--from-csv draws a saved map: it takes no --set and no --model"
        )
    if arguments.from_csv is None and not arguments.sets:
        raise ValueError(
            "give a set with --set NAME=FOLDER, or a saved map with --from-csv FILE"
        )
    from sesame.inference.feature_figure import (
        feature_figure,
        read_points,
        write_points,
    )
    from sesame.inference.figures import save_figure

    if arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"{arguments.out} must be a folder")
    table, figure = arguments.out / TABLE, arguments.out / FIGURE
    refuse_to_replace(figure, arguments.force)
    if arguments.from_csv is None:
        refuse_to_replace(table, arguments.force)
        points = _make(arguments)
        write_points(points, table)
        say(f"{len(points)} points: {table}")
    # Always from the file, so that what is drawn again is the same figure.
    points = read_points(arguments.from_csv or table)
    save_figure(feature_figure(points), figure)
    say(f"figure: {figure}")


def _make(arguments: argparse.Namespace) -> "list[MapPoint]":
    _check(arguments)
    from sesame.inference.audio_search import find_audio
    from sesame.inference.enhancer import Enhancer
    from sesame.inference.feature_map import feature_map, last_block

    folders = _named("set", arguments.sets)
    for name, folder in folders.items():
        if not Path(folder).is_dir():
            raise ValueError(f"set {name} ({folder}) must be a folder")
    sets = {name: find_audio(text, arguments.out) for name, text in folders.items()}
    enhancers = {}
    # All of them first: what is wrong with one shows before the long part.
    for name, model in _named("model", arguments.model or [model_path(None)]).items():
        enhancers[name] = Enhancer.from_pretrained(model, arguments.device)
        try:
            last_block(enhancers[name].network)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    points = []
    for name, enhancer in enhancers.items():
        points += feature_map(
            name,
            enhancer,
            sets,
            arguments.points,
            arguments.per,
            arguments.perplexity,
            arguments.seed,
        )
    return points


def _check(arguments: argparse.Namespace) -> None:
    """Finds out in a moment what would otherwise show after minutes."""
    from importlib.util import find_spec

    missing = [name for name in ("matplotlib", "sklearn") if find_spec(name) is None]
    if missing:
        raise ImportError(f"a map needs {' and '.join(missing)}: pip install '.[plot]'")
    if not 0 < arguments.perplexity < arguments.points:
        raise ValueError(
            f"perplexity ({arguments.perplexity:g}) must be above 0 and below points "
            f"({arguments.points})"
        )
    if not 0 <= arguments.seed < 2**32:
        raise ValueError(f"seed ({arguments.seed}) must be in [0, 2**32)")


def _named(what: str, texts: Sequence[str]) -> dict[str, str]:
    """Splits NAME=VALUE; a model without a name is called by the end of its path."""
    named = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and what == "model":
            name, value = Path(text).name or text, text
        if not (name and value):
            raise ValueError(f"--{what} ({text}) must be NAME=FOLDER")
        if name in named:
            raise ValueError(
                f"two of --{what} have the name {name}: give others with NAME={value}"
            )
        named[name] = value
    return named
