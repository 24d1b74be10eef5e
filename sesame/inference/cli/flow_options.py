"""Options that only SEFlow understands."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sesame.inference.flow_enhancer import FlowEnhancer

__all__ = [
    "add_flow_options",
    "add_size_options",
    "given_flow_options",
    "load_flow",
    "model_is_seflow",
]

# Values by name of the attribute, for messages.
OPTIONS = {
    "width": "--width",
    "depth": "--depth",
    "budget_gmacs": "--budget-gmacs",
    "enroll": "--enroll",
    "far_end": "--far-end",
}


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--width`` and ``--depth``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of a command.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_size_options(parser)
    >>> parser.parse_args(["--width", "3/8", "--depth", "6"])
    Namespace(width=0.375, depth=6)
    """
    parser.add_argument(
        "--width",
        type=_fraction,
        metavar="SHARE",
        help="share of the channels of a SEFlow, such as 0.25 or 1/4",
    )
    parser.add_argument(
        "--depth", type=int, metavar="BLOCKS", help="blocks of a SEFlow"
    )


def add_flow_options(parser: argparse.ArgumentParser) -> None:
    """Adds what ``add_size_options`` adds, the budget and the inputs beside a signal.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of a command.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_flow_options(parser)
    >>> parser.parse_args(["--enroll", "voice.wav"]).enroll.name
    'voice.wav'
    """
    group = parser.add_argument_group("for SEFlow only")
    add_size_options(group)
    group.add_argument(
        "--budget-gmacs",
        type=float,
        metavar="GMACS",
        help="use the largest sub-network with at most this many 10^9 operations per "
        "second of a channel",
    )
    group.add_argument(
        "--enroll",
        type=Path,
        metavar="VOICE",
        help="audio file with the voice of the speaker to extract",
    )
    group.add_argument(
        "--far-end",
        type=Path,
        metavar="FAR",
        help="audio file with what a loudspeaker played during the recording INPUT",
    )


def given_flow_options(arguments: argparse.Namespace) -> list[str]:
    """The options of this module that were used.

    Arguments
    ---------
    arguments : argparse.Namespace
        With the values of ``add_flow_options``.

    Returns
    -------
    list[str]
        As a person writes them.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_flow_options(parser)
    >>> given_flow_options(parser.parse_args(["--budget-gmacs", "1"]))
    ['--budget-gmacs']
    """
    values: Mapping[str, Any] = vars(arguments)
    return [option for name, option in OPTIONS.items() if values[name] is not None]


def model_is_seflow(model: str) -> bool:
    """Tells whether a model is a SEFlow; looks at its configuration only.

    Arguments
    ---------
    model : str
        Folder or name of a model.

    Returns
    -------
    bool
        Whether its configuration says so.

    Raises
    ------
    ValueError
        If there is no such folder.

    Example
    -------
    >>> model_is_seflow("no/such/model")
    Traceback (most recent call last):
    ValueError: ...no/such/model...
    """
    from sesame.inference.hub import resolve_model
    from sesame.inference.model_folder import names_seflow

    return names_seflow(resolve_model(model))


def load_flow(model: str, arguments: argparse.Namespace) -> "FlowEnhancer":
    """Loads a SEFlow at the size that the options say.

    Arguments
    ---------
    model : str
        Folder or name of a model.
    arguments : argparse.Namespace
        With the values of ``add_flow_options``, and ``device``.

    Returns
    -------
    FlowEnhancer
        Ready to be called.

    Raises
    ------
    ValueError
        If there is no intact model of a SEFlow, or no such size.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_flow_options(parser)
    >>> load_flow("no/such/model", parser.parse_args([], argparse.Namespace(device="")))
    Traceback (most recent call last):
    ValueError: ...no/such/model...
    """
    from sesame.inference.flow_enhancer import FlowEnhancer

    return FlowEnhancer.from_pretrained(
        model,
        arguments.device,
        arguments.width,
        arguments.depth,
        arguments.budget_gmacs,
    )


def _fraction(text: str) -> float:
    # Not by Fraction, which would write out the digits of 1e999999999.
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / (float(denominator) if slash else 1)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text} must be a number") from error
