"""``sesame separate``: a file per speaker of files, folders, patterns and lists."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from .common import DEFAULT_SEPARATOR, model_path
from .many_files import add_input_options, add_output_options, run_files

if TYPE_CHECKING:
    from pathlib import Path

    from sesame.inference.file_enhancement import FileReport

DESCRIPTION = """\
Separates the speakers of audio files into NAME_speaker1, NAME_speaker2 and so on, with
one channel each; rate, length and sample format stay. Several channels are averaged
first. Which speaker is the first is arbitrary, and stays so to the end of a file. INPUT
is a file, a folder (searched to any depth; links to folders are not followed), a quoted
pattern such as 'calls/**/*.wav', or @FILE for a list. Results that are there already
are skipped, so that a stopped run goes on when it is called again. Under torchrun, the
processes share the files."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``separate`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["separate", "mix.wav", "--model", "model"]).device
    'auto'
    """
    parser = commands.add_parser(
        "separate", help="separate speakers", description=DESCRIPTION
    )
    parser.set_defaults(run=run)
    add_input_options(
        parser, "folder of the results; default for one file: the folder it is in"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="model folder of a separator or hf://owner/name[@revision]; default: "
        "tf-moe-small",
    )
    parser.add_argument("--device", default="auto", help="such as cpu or cuda:0")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Separates, tells what came of it and lists failures in ``OUT/failed.txt``.

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
    >>> run(parser.parse_args(["separate", "--model", "model"]))
    2
    """
    from sesame.inference.file_separation import FIRST_SPEAKER

    arguments.model = model_path(arguments.model, DEFAULT_SEPARATOR)
    return run_files(arguments, _load, done="separated", label=FIRST_SPEAKER)


def _load(
    arguments: argparse.Namespace, advance: Callable[[float], None]
) -> "Callable[[Path, Path], FileReport]":
    from sesame.inference.separator import Separator

    separator = Separator.from_pretrained(arguments.model, arguments.device)

    def separate(source: "Path", target: "Path") -> "FileReport":
        return separator.separate_file(
            source,
            target.parent,
            overwrite=arguments.force,
            repair_nonfinite=arguments.repair_nonfinite,
            progress=advance,
        )

    return separate
