"""``sesame enhance``: files, folders, patterns and lists of noisy audio."""

import argparse
import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import DEFAULT_FLOW, add_model_options, load_model, model_path, note
from .flow_options import (
    add_flow_options,
    given_flow_options,
    load_flow,
    model_is_seflow,
)
from .many_files import add_input_options, add_output_options, run_files

if TYPE_CHECKING:
    from sesame.inference.file_enhancement import FileReport
    from sesame.inference.flow_enhancer import FlowEnhancer

DESCRIPTION = """\
Enhances audio files; rate, channels, length and sample format stay. INPUT is a file, a
folder (searched to any depth; links to folders are not followed), a quoted pattern such
as 'calls/**/*.wav', or @FILE for a list. Results that are there already are skipped, so
that a stopped run goes on when it is called again. Under torchrun, the processes share
the files.

A model of the kind SEFlow runs at any sampling rate and size, and can be given the
voice of a speaker to extract, or what a loudspeaker played, for its echo to be
removed. With --budget-gmacs the size that was chosen is told, once for each sampling
rate. With any of its options, seflow-small is the default model."""


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
    add_flow_options(parser)
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
    if arguments.far_end is not None:
        _check_one_recording(arguments)
    if given_flow_options(arguments):
        # Told by --json, too.
        arguments.model = model_path(arguments.model, DEFAULT_FLOW)
    facts = {"chunk_seconds": arguments.chunks}
    # Filled while files are worked on: a budget is another size at another rate.
    sizes = []
    if arguments.budget_gmacs is not None:
        facts["sizes"] = sizes
    load = functools.partial(_load, sizes)
    return run_files(arguments, load, done="enhanced", facts=facts)


def _load(
    sizes: list[dict[str, Any]],
    arguments: argparse.Namespace,
    advance: Callable[[float], None],
) -> "Callable[[Path, Path], FileReport]":
    options = given_flow_options(arguments)
    model = model_path(arguments.model)
    priors = {}
    if model_is_seflow(model):
        enhancer, priors = _load_flow(model, arguments)
    elif options:
        raise ValueError(f"{', '.join(options)}: only SEFlow has that, not {model}")
    else:
        enhancer = load_model(arguments)
        if arguments.chunks is not None:
            from sesame.inference.chunks import ChunkedEnhancer

            parts = enhancer.network, enhancer.transform, enhancer.sample_rate
            enhancer = ChunkedEnhancer(*parts, enhancer.device, arguments.chunks)
    process = functools.partial(
        enhancer.enhance_file,
        **priors,
        max_attenuation_db=arguments.max_attenuation,
        dry=arguments.dry,
        keep_highband=arguments.keep_highband,
        overwrite=arguments.force,
        repair_nonfinite=arguments.repair_nonfinite,
        progress=advance,
    )
    # Other models than SEFlow are refused with it.
    if arguments.budget_gmacs is None:
        return process
    return _tell_sizes(process, enhancer, arguments, sizes)


def _load_flow(
    model: str, arguments: argparse.Namespace
) -> "tuple[FlowEnhancer, dict[str, Any]]":
    """The enhancer, and what it is given beside each file."""
    from sesame.inference.prior_inputs import read_voice

    if arguments.backend != "torch":
        raise ValueError(f"--backend {arguments.backend} does not run SEFlow ({model})")
    if arguments.chunks is not None:
        raise ValueError(f"--chunks is not for SEFlow ({model}): it runs as a stream")
    enhancer = load_flow(model, arguments)
    priors = {"far_end": arguments.far_end}
    if arguments.enroll is not None:
        # Read, refused or warned of once, before any file is worked on.
        voice = read_voice(
            arguments.enroll, repair_nonfinite=arguments.repair_nonfinite
        )
        _note_beside_a_bar(voice.warnings)
        priors["enrollment"] = voice._replace(warnings=())
    return enhancer, priors


def _tell_sizes(
    process: "Callable[[Path, Path], FileReport]",
    enhancer: "FlowEnhancer",
    arguments: argparse.Namespace,
    sizes: list[dict[str, Any]],
) -> "Callable[[Path, Path], FileReport]":
    """Tells, once for each sampling rate, which sub-network the budget allowed."""
    from sesame.inference.size_report import report_size

    enrolled, told = arguments.enroll is not None, set()

    def process_and_tell(source: Path, target: Path) -> "FileReport":
        report = process(source, target)
        rate = report.sample_rate
        if rate not in told:
            told.add(rate)
            size = enhancer.size(rate, enrolled)
            chosen = report_size(enhancer.network, rate, *size, enrolled)
            sizes.append(chosen._asdict())
            if not arguments.quiet:
                _note_beside_a_bar([f"{chosen}, of at most {arguments.budget_gmacs:g}"])
        return report

    return process_and_tell


def _note_beside_a_bar(lines: Iterable[str]) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        for line in lines:
            note(line)


def _check_one_recording(arguments: argparse.Namespace) -> None:
    one = len(arguments.inputs) == 1 and not arguments.list
    if not one or not Path(arguments.inputs[0]).is_file():
        raise ValueError(
            f"--far-end ({arguments.far_end}) belongs to one recording: give one file "
            "as INPUT"
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
