"""``sesame export``: a model folder as an ONNX file."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .common import model_path, note, refuse_to_replace, say

if TYPE_CHECKING:
    import numpy as np

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
        help="write a model as an ONNX file",
        description="Writes the network from noisy to enhanced magnitude and phase as "
        "an ONNX file for inputs of any length; the transforms stay outside.",
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="model folder or hf://owner/name[@revision]; default: sesame-small",
    )
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the original at three lengths; fail above 1e-4",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE")
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
        Exit code: 1 if the check failed, else 0.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["export", "--model", "no/such", "--onnx", "m.onnx"]))
    Traceback (most recent call last):
    ValueError: model folder no/such must hold ...
    """
    from sesame.inference.hub import resolve_model
    from sesame.inference.onnx_export import TOLERANCE, check_onnx, export_onnx
    from sesame.inference.onnx_network import import_extra

    tell = note if arguments.json else say
    path = arguments.onnx
    refuse_to_replace(path, arguments.force)
    if arguments.check:
        import_extra("onnxruntime")
    folder = resolve_model(model_path(arguments.model))
    export_onnx(folder, path, arguments.force)
    num_bytes = path.stat().st_size
    tell(f"{path}: {num_bytes / 1e6:.1f} MB")
    summary = {"onnx": str(path), "bytes": num_bytes}
    failures = []
    if arguments.check:
        checks = check_onnx(folder, path, _noisy_speech(path))
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


def _noisy_speech(path: Path) -> "np.ndarray | None":
    """Speech (L,) at the rate of an exported network, where minibank is at hand."""
    import numpy as np

    from sesame.inference.audio_files import read_audio
    from sesame.inference.onnx_network import load_onnx
    from sesame.inference.resampling import resample

    folder = Path(__file__).resolve().parents[3] / NOISY_SPEECH
    files = [read_audio(file) for file in sorted(folder.glob("*.flac"))]
    if not files:
        return None
    _, _, rate = load_onnx(path)
    signals = [resample(file.waveform, file.sample_rate, rate)[0] for file in files]
    return np.concatenate(signals)
