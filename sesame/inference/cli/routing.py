"""``sesame routing``: which experts a file goes to."""

import argparse
from pathlib import Path

from .common import add_model_options, load_model, refuse_to_replace, say


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
    parser = commands.add_parser("routing", help="draw the experts chosen for a file")
    parser.set_defaults(run=run)
    parser.add_argument("input", type=Path, metavar="NOISY", help="noisy audio file")
    parser.add_argument("--figure", type=Path, required=True, help="such as f.png")
    add_model_options(parser)
    parser.add_argument("--force", action="store_true", help="replace the figure")


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
    from sesame.inference.figures import routing_figure, save_figure
    from sesame.inference.resampling import resample
    from sesame.inference.routing import expert_maps

    refuse_to_replace(arguments.figure, arguments.force)
    audio = read_audio(arguments.input)
    enhancer = load_model(arguments)
    # At the network's rate, so that all rows of the figure end at one frequency.
    rate = enhancer.sample_rate
    mono = audio.waveform.mean(axis=0, keepdims=True)
    mono = resample(mono, audio.sample_rate, rate)[0]
    maps = expert_maps(enhancer, mono, rate)
    save_figure(routing_figure(mono, rate, maps), arguments.figure)
    for layer in maps:
        shares = " ".join(f"{100 * share:5.1f}" for share in layer.load)
        say(f"{layer.name:<24} share of each expert [%]: {shares}")
