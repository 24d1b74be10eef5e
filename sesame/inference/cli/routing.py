"""``sesame routing``: which experts a file goes to."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .common import add_model_options, load_model, model_path, refuse_to_replace, say

if TYPE_CHECKING:
    import numpy as np

    from sesame.inference.enhancer import Enhancer
    from sesame.inference.separator import Separator

DESCRIPTION = """\
Draws which experts a model chose for a file, and tells how often it chose each. For a
separator, the experts of frames stand under the spectrogram and those of bands beside
it, with who speaks when, and usage is told by band, by voicing and by speaker."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``routing`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["routing", "a.wav", "--figure", "f.png"]).force
    False
    """
    parser = commands.add_parser(
        "routing", help="draw the experts chosen for a file", description=DESCRIPTION
    )
    parser.set_defaults(run=run)
    parser.add_argument("input", type=Path, metavar="NOISY", help="noisy audio file")
    parser.add_argument("--figure", type=Path, required=True, help="such as f.png")
    parser.add_argument(
        "--table", type=Path, metavar="CSV", help="usage of a separator's experts"
    )
    add_model_options(parser)
    parser.add_argument("--force", action="store_true", help="replace what is there")


def run(arguments: argparse.Namespace) -> None:
    """Draws the figure and prints each expert's share.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["routing", "no/such.wav", "--figure", "f.png"]))
    Traceback (most recent call last):
    ValueError: ...no/such.wav...
    """
    from sesame.inference.audio_files import read_audio
    from sesame.inference.resampling import resample
    from sesame.inference.separator import Separator

    for path in filter(None, (arguments.figure, arguments.table)):
        refuse_to_replace(path, arguments.force)
    audio = read_audio(arguments.input)
    model = _load(arguments)
    # At the network's rate, so that all rows of the figure end at one frequency.
    mono = audio.waveform.mean(axis=0, keepdims=True)
    mono = resample(mono, audio.sample_rate, model.sample_rate)[0]
    if isinstance(model, Separator):
        _show_separator(model, mono, arguments)
    elif arguments.table is not None:
        raise ValueError("--table is for separators: this model enhances")
    else:
        _show_enhancer(model, mono, arguments.figure)


def _load(arguments: argparse.Namespace) -> "Enhancer | Separator":
    if arguments.backend != "torch":
        return load_model(arguments)
    from sesame.inference import model_folder
    from sesame.inference.enhancer import Enhancer
    from sesame.inference.hub import resolve_model
    from sesame.inference.separator import Separator

    path = resolve_model(model_path(arguments.model))
    model = model_folder.load_model(path)
    if model.transform is None:
        return Separator(*model.separator(), arguments.device)
    return Enhancer(*model.enhancer(), arguments.device)


def _show_enhancer(enhancer: "Enhancer", mono: "np.ndarray", figure: Path) -> None:
    from sesame.inference.figures import routing_figure, save_figure
    from sesame.inference.routing import expert_maps

    maps = expert_maps(enhancer, mono, enhancer.sample_rate)
    save_figure(routing_figure(mono, enhancer.sample_rate, maps), figure)
    for layer in maps:
        shares = " ".join(f"{100 * share:5.1f}" for share in layer.load)
        say(f"{layer.name:<24} share of each expert [%]: {shares}")


def _show_separator(
    separator: "Separator", mono: "np.ndarray", arguments: argparse.Namespace
) -> None:
    from sesame.inference.figures import save_figure
    from sesame.inference.separation_figure import mixture_figure
    from sesame.inference.separation_routing import (
        expert_usage,
        separation_routing,
        write_usage,
    )

    routing = separation_routing(separator, mono, separator.sample_rate)
    save_figure(mixture_figure(routing), arguments.figure)
    table = expert_usage(routing)
    if arguments.table is not None:
        write_usage(table, arguments.table)
    say(f"{'layer':<32} {'where':<18} {'tokens':>8}  share of each expert [%]")
    for usage in table:
        shares = " ".join(f"{100 * share:5.1f}" for share in usage.shares)
        say(f"{usage.layer:<32} {usage.condition:<18} {usage.count:>8}  {shares}")
