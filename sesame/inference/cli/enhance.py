"""``sesame enhance``: files, folders, patterns and lists of noisy audio."""

import argparse
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from .common import add_model_options, load_model
from .many_files import add_input_options, add_output_options, run_files

if TYPE_CHECKING:
    from pathlib import Path

    from sesame.inference.file_enhancement import FileReport

DESCRIPTION = """\
Enhances audio files; rate, channels, length and sample format stay. INPUT is a file, a
folder (searched to any depth; links to folders are not followed), a quoted pattern such
as 'calls/**/*.wav', or @FILE for a list. Results that are there already are skipped, so
that a stopped run goes on when it is called again. Under torchrun, the processes share
the files."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``enhance`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["enhance", "a.wav", "--dry", "0.1"]).dry
    0.1
    """
    parser = commands.add_parser(
        "enhance", help="enhance audio files", description=DESCRIPTION
    )
    parser.set_defaults(run=run)
    add_input_options(
        parser,
        "folder of the results; for one file also the file to make; default for "
        "one file: NAME_enhanced beside it",
    )
    add_model_options(parser)
    strength = parser.add_mutually_exclusive_group()
    strength.add_argument(
        "--max-attenuation",
        type=_decibels,
        metavar="DB",
        help="lower noise by at most this much",
    )
    strength.add_argument(
        "--dry",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="share of the noisy signal in the result, 0 to 1",
    )
    parser.add_argument(
        "--keep-highband",
        action="store_true",
        help="pass what lies above the model's bandwidth instead of dropping it",
    )
    parser.add_argument(
        "--chunks",
        type=_seconds,
        metavar="SECONDS",
        help="cut into pieces that are enhanced one by one and joined with audible "
        "seams, as published evaluations do (10); not for listening",
    )
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Enhances, tells what came of it and lists failures in ``OUT/failed.txt``.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        Exit code: 0 if every result is there, 1 if a file failed, 2 if there is nothing
        to do, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If the model cannot be loaded, or the results would not be where they belong.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["enhance"]))
    2
    """
    return run_files(
        arguments, _load, done="enhanced", facts={"chunk_seconds": arguments.chunks}
    )


def _load(
    arguments: argparse.Namespace, advance: Callable[[float], None]
) -> "Callable[[Path, Path], FileReport]":
    enhancer = load_model(arguments)
    if arguments.chunks is not None:
        from sesame.inference.chunks import ChunkedEnhancer

        parts = enhancer.network, enhancer.transform, enhancer.sample_rate
        enhancer = ChunkedEnhancer(*parts, enhancer.device, arguments.chunks)
    return functools.partial(
        enhancer.enhance_file,
        max_attenuation_db=arguments.max_attenuation,
        dry=arguments.dry,
        keep_highband=arguments.keep_highband,
        overwrite=arguments.force,
        repair_nonfinite=arguments.repair_nonfinite,
        progress=advance,
    )


def _decibels(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} dB must be at least 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} s must be above 0 and finite")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be in [0, 1]")
    return value
