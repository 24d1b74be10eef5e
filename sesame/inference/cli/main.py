"""The parser of all commands, errors and exit codes."""

import argparse
import os
import sys
from collections.abc import Sequence

import sesame

from . import (
    compare,
    convert,
    demo,
    doctor,
    enhance,
    evaluate,
    export,
    info,
    routing,
    separate,
    showcase,
    sizes,
    stream,
    table,
    train,
    tsne,
)
from .common import note

COMMANDS = (
    enhance,
    stream,
    separate,
    evaluate,
    table,
    sizes,
    compare,
    routing,
    tsne,
    info,
    doctor,
    export,
    convert,
    demo,
    train,
    showcase,
)
FAILED, INTERRUPTED, UNREAD = 1, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Arguments
    ---------
    argv : Sequence[str] | None
        Arguments after the program's name; ``None`` takes those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 failed with one line per failure on the error stream, 2
        nothing to do with these arguments, 130 stopped by Ctrl-C. Arguments that the
        parser does not take end the process with 2. 141: the reader of the output has
        left, as `head` does.

    Example
    -------
    >>> main(["convert", "no/such/run", "model"])
    1
    """
    arguments = _parser().parse_args(argv)
    try:
        code = arguments.run(arguments) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # What is left in the buffer would be tried once more in the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except (ValueError, OSError, ImportError) as error:
        note(str(error) or type(error).__name__)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sesame",
        description="Enhances and separates speech and shows how it is done.",
    )
    parser.add_argument(
        "--version", action="version", version=f"sesame {sesame.__version__}"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser
