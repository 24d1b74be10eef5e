"""``sesame doctor``: what is installed, what is missing and how to get it."""

import argparse
import json

from .common import DEFAULT_MODEL, say

FAILED = 1


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``doctor`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["doctor"]).json
    False
    """
    parser = commands.add_parser(
        "doctor", help="tell what is installed, what is missing and how to get it"
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--model", metavar="MODEL", help="model to try; default: sesame-small"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Prints a line per check.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        Exit code: 1 if something is broken without which nothing works, else 0.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["doctor"]))  # doctest: +SKIP
    ok      python: 3.12.1, 3.11 or later
    ...
    """
    from sesame.inference.doctor import run_checks

    default = DEFAULT_MODEL if DEFAULT_MODEL.is_dir() else None
    checks = []
    for check in run_checks(arguments.model or default):
        checks.append(check)
        if not arguments.json:
            fix = f": {check.fix}" * bool(check.fix)
            say(f"{check.status:<8}{check.name}: {check.detail}{fix}")
    sound = all(check.status != "broken" for check in checks)
    if arguments.json:
        say(json.dumps({"ok": sound, "checks": [c._asdict() for c in checks]}))
    return 0 if sound else FAILED
