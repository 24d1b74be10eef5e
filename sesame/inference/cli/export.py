"""``sesame export``: a model as an ONNX file, or a part of it as a model folder."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .common import DEFAULT_FLOW, model_path, note, refuse_to_replace, say
from .flow_options import add_size_options, model_is_seflow

if TYPE_CHECKING:
    import numpy as np

USAGE = 2
RATE = 16_000  # Hz, of a step where none is given
# Options of a step of a stream, by name of the attribute.
STEP_OPTIONS = {
    "width": "--width",
    "depth": "--depth",
    "rate": "--rate",
    "with_voice": "--with-voice",
    "with_far_end": "--with-far-end",
}
NOISY_SPEECH = "data/minibank/noisy_testset_wav"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``export`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["export", "--onnx", "m.onnx", "--check"]).check
    True
    """
    parser = commands.add_parser(
        "export",
        help="write a model as an ONNX file, or a sub-network as a model folder",
        description="With --onnx: writes the network from noisy to enhanced magnitude "
        "and phase as an ONNX file for inputs of any length; the transforms stay "
        "outside. Of a SEFlow, at a sampling rate and a size: the step of a stream, "
        "which takes 10 ms of sound and a state, and gives both. With MODEL and OUT: "
        "cuts a sub-network out of a SEFlow and writes it as a model folder of its "
        "own.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "source",
        nargs="?",
        metavar="MODEL",
        help="model folder of a SEFlow or hf://owner/name[@revision]",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="OUT", help="model folder to make"
    )
    add_size_options(parser)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="model folder or hf://owner/name[@revision]; default: sesame-small",
    )
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="file to make")
    step = parser.add_argument_group("for --onnx of a SEFlow, beside the size")
    step.add_argument("--rate", type=int, metavar="HZ", help=f"sampling rate ({RATE})")
    step.add_argument(
        "--with-voice",
        action="store_true",
        default=None,
        help="make room in the state for the voice of a speaker to extract",
    )
    step.add_argument(
        "--with-far-end",
        action="store_true",
        default=None,
        help="take what a loudspeaker plays as a second input",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the original: an ONNX file at three lengths, or hop by "
        "hop, failing above 1e-4; a sub-network at three sampling rates, failing at "
        "any difference",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE or OUT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Exports the model and, if asked to, checks the result.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        Exit code: 1 if the check failed, 2 if the arguments do not say what to write,
        else 0.

    Raises
    ------
    ValueError
        If the model cannot be exported so.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["export", "--model", "no/such", "--onnx", "m.onnx"]))
    Traceback (most recent call last):
    ValueError: model folder no/such must hold ...
    """
    given = [o for name, o in STEP_OPTIONS.items() if vars(arguments)[name] is not None]
    of_a_step = set(given) - {"--width", "--depth"}
    if arguments.onnx is None:
        if arguments.folder is not None and not arguments.model and not of_a_step:
            return _export_subnet(arguments)
    elif arguments.source is None:
        refuse_to_replace(arguments.onnx, arguments.force)
        model = model_path(arguments.model, DEFAULT_FLOW if given else None)
        if model_is_seflow(model):
            return _export_step(arguments, model)
        if given:
            raise ValueError(f"{', '.join(given)}: only SEFlow has that, not {model}")
        return _export_onnx(arguments, model)
    note(
        "export takes either --onnx FILE, with --model, or MODEL and OUT, with "
        "--width and --depth"
    )
    return USAGE


def _export_subnet(arguments: argparse.Namespace) -> int:
    from sesame.inference.flow_export import check_subnet, export_subnet
    from sesame.inference.hub import resolve_model

    tell = note if arguments.json else say
    source, target = resolve_model(arguments.source), arguments.folder
    size = export_subnet(
        source, target, arguments.width, arguments.depth, arguments.force
    )
    tell(
        f"{target}: width {size.width:g}, depth {size.depth}, "
        f"{size.num_parameters} parameters"
    )
    summary = {"folder": str(target), **size._asdict()}
    failures = []
    if arguments.check:
        differences = check_subnet(source, target)
        for rate, difference in differences.items():
            told = f"{rate} Hz: largest difference {difference:.1e}"
            tell(told)
            if difference != 0:
                failures.append(told)
        checks = [{"sample_rate": r, "difference": d} for r, d in differences.items()]
        summary |= {"checks": checks, "passed": not failures}
    if arguments.json:
        say(json.dumps(summary))
    for failure in failures:
        note(f"{target} differs from {source}: {failure}")
    return 1 if failures else 0


def _export_step(arguments: argparse.Namespace, model: str) -> int:
    from sesame.inference.hub import resolve_model
    from sesame.inference.model_folder import load_seflow_folder
    from sesame.inference.onnx_export import TOLERANCE
    from sesame.inference.onnx_network import import_extra
    from sesame.inference.onnx_stream import export_stream_onnx
    from sesame.inference.onnx_stream_check import check_stream_onnx
    from sesame.inference.size_report import report_size

    tell = note if arguments.json else say
    path, size = arguments.onnx, (arguments.width, arguments.depth)
    rate = RATE if arguments.rate is None else arguments.rate
    priors = bool(arguments.with_far_end), bool(arguments.with_voice)
    if arguments.check:
        import_extra("onnxruntime")
    network = load_seflow_folder(resolve_model(model))
    export_stream_onnx(network, path, rate, *size, *priors, arguments.force)
    num_bytes = path.stat().st_size
    report = report_size(network, rate, *size, enrolled=priors[1])
    tell(f"{path}: {num_bytes / 1e6:.1f} MB; {report}")
    summary = {"onnx": str(path), "bytes": num_bytes, **report._asdict()}
    summary |= {"far_end": priors[0], "voice": priors[1]}
    failures = []
    if arguments.check:
        checks = check_stream_onnx(network, path, *size, _noisy_speech(rate))
        for check in checks:
            told = f"{check.num_hops} hops{' with a voice' * check.voice}: largest "
            told += f"difference {check.difference:.1e} of the peak"
            tell(told)
            if not check.within(TOLERANCE):
                failures.append(told)
        summary |= {
            "tolerance": TOLERANCE,
            "checks": [check._asdict() for check in checks],
            "passed": not failures,
        }
    if arguments.json:
        say(json.dumps(summary))
    for failure in failures:
        note(f"{path} differs from {model} by more than {TOLERANCE:g}: {failure}")
    return 1 if failures else 0


def _export_onnx(arguments: argparse.Namespace, model: str) -> int:
    from sesame.inference.hub import resolve_model
    from sesame.inference.onnx_export import TOLERANCE, check_onnx, export_onnx
    from sesame.inference.onnx_network import import_extra, load_onnx

    tell = note if arguments.json else say
    path = arguments.onnx
    if arguments.check:
        import_extra("onnxruntime")
    folder = resolve_model(model)
    export_onnx(folder, path, arguments.force)
    num_bytes = path.stat().st_size
    tell(f"{path}: {num_bytes / 1e6:.1f} MB")
    summary = {"onnx": str(path), "bytes": num_bytes}
    failures = []
    if arguments.check:
        _, _, rate = load_onnx(path)
        checks = check_onnx(folder, path, _noisy_speech(rate))
        for check in checks:
            errors = (
                f"{check.num_frames} frames: largest error of magnitude "
                f"{check.magnitude:.1e}, of (cos, sin) of phase {check.phase:.1e}, "
                f"of the compressed spectrum {check.spectrum:.1e}"
            )
            tell(errors)
            if not check.within(TOLERANCE):
                failures.append(errors)
        summary |= {
            "tolerance": TOLERANCE,
            "checks": [check._asdict() for check in checks],
            "passed": not failures,
        }
    if arguments.json:
        say(json.dumps(summary))
    for failure in failures:
        note(f"{path} differs from {folder} by more than {TOLERANCE:g}: {failure}")
    return 1 if failures else 0


def _noisy_speech(sample_rate: int) -> "np.ndarray | None":
    """Speech (L,) at a sampling rate [Hz], where minibank is at hand."""
    import numpy as np

    from sesame.inference.audio_files import read_audio
    from sesame.inference.resampling import resample

    folder = Path(__file__).resolve().parents[3] / NOISY_SPEECH
    files = [read_audio(file) for file in sorted(folder.glob("*.flac"))]
    if not files:
        return None
    signals = [
        resample(file.waveform, file.sample_rate, sample_rate)[0] for file in files
    ]
    return np.concatenate(signals)
