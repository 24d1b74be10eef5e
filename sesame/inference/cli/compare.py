"""``sesame compare``: spectrograms and scores of a few files, side by side."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .common import refuse_to_replace

if TYPE_CHECKING:
    from sesame.inference.audio_files import AudioFile

SCORING_RATE = 16000  # Hz


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``compare`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> len(parser.parse_args(["compare", "noisy.wav", "enhanced.wav"]).files)
    2
    """
    parser = commands.add_parser(
        "compare",
        help="draw and score files side by side",
        description="Prints scores, against the reference if there is one, else "
        "DNSMOS, which needs none; draws spectrograms of all files.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--clean", type=Path, metavar="FILE", help="reference")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="such as f.png")
    parser.add_argument("--force", action="store_true", help="replace the figure")


def run(arguments: argparse.Namespace) -> None:
    """Draws the figure and prints the table.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["compare", "no/such/file.wav"]))
    Traceback (most recent call last):
    ValueError: ...no/such/file.wav...
    """
    from sesame.inference.audio_files import read_audio
    from sesame.metrics import DNSMOS_METRICS, METRICS, format_absent, format_table

    if arguments.figure is not None:
        refuse_to_replace(arguments.figure, arguments.force)
    files = {title: read_audio(path) for title, path in _titles(arguments.files)}
    clean = None if arguments.clean is None else read_audio(arguments.clean)
    if arguments.figure is not None:
        reference = {} if clean is None else {"clean reference": clean}
        _draw(files | reference, arguments.figure)
    metrics = DNSMOS_METRICS if clean is None else METRICS
    systems = {title: [_score(audio, clean, metrics)] for title, audio in files.items()}
    sys.stdout.write(f"{format_table(systems)}\n{format_absent(systems)}")


def _titles(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """File names where they differ, else paths; a file given twice counts once."""
    unique = len({path.name for path in paths}) == len(paths)
    return [(path.name if unique else str(path), path) for path in paths]


def _score(
    audio: "AudioFile", clean: "AudioFile | None", metrics: Sequence[str]
) -> dict:
    from sesame.metrics import score_pair

    target = None if clean is None else _at_rate(clean, SCORING_RATE)
    return score_pair(_at_rate(audio, SCORING_RATE), target, SCORING_RATE, metrics)


def _at_rate(audio: "AudioFile", sample_rate: int) -> object:
    """(L,) of a mono file, else (L, channels), which no metric takes."""
    from sesame.inference.resampling import resample

    samples = resample(audio.waveform, audio.sample_rate, sample_rate)
    return samples[0] if len(samples) == 1 else samples.T


def _draw(files: Mapping[str, "AudioFile"], path: Path) -> None:
    from sesame.inference.figures import save_figure, spectrogram_figure
    from sesame.inference.resampling import resample

    # One rate, so that all rows of the figure end at one frequency.
    rate = min(audio.sample_rate for audio in files.values())
    signals = {}
    for title, audio in files.items():
        channels = len(audio.waveform)
        mono = audio.waveform.mean(axis=0, keepdims=True)
        if channels > 1:
            title = f"{title} (mean of {channels} channels)"
        signals[title] = resample(mono, audio.sample_rate, rate)[0]
    save_figure(spectrogram_figure(signals, rate), path)
