"""``sesame train``: the training script of the checkout."""

import argparse
import contextlib
import subprocess
import sys
from pathlib import Path

import sesame

CHECKOUT = Path(sesame.__file__).resolve().parents[1]
SIGNALLED = 128


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``train`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["train", "a.yaml", "--batch_size", "8"]).arguments
    ['a.yaml', '--batch_size', '8']
    """
    parser = commands.add_parser(
        "train",
        # The script has its own --help and options, which may come first: with such a
        # prefix, which no argument can have, none is taken for one of ours.
        add_help=False,
        prefix_chars="\0",
        help="train a system: python train.py with the same arguments",
    )
    parser.set_defaults(run=run)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run(arguments: argparse.Namespace) -> int:
    """Runs train.py with the interpreter at hand.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        Exit code of train.py; 128 + n if signal n ended it.

    Raises
    ------
    ValueError
        If the package was installed without the checkout it stems from.
    """
    script = CHECKOUT / "train.py"
    if not script.is_file():
        raise ValueError(
            f"training needs a checkout of the project: there is no {script}"
        )
    command = [sys.executable, str(script), *arguments.arguments]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            # Ctrl-C reaches the script as well, which ends in its own time.
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
    # Ended by a signal: what a shell makes of it.
    code = process.returncode
    return SIGNALLED - code if code < 0 else code
