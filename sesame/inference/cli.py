"""The command line of the library.

Every command is a function that loads what it needs when it runs: ``--help`` and
mistakes in the arguments are answered at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

DEFAULT_MODEL = Path(__file__).resolve().parents[2] / "pretrained" / "sesame-small"
VARIANTS = ("loizou", "cmgan")
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Arguments
    ---------
    argv : Sequence[str] | None
        Arguments after the program's name; ``None`` takes those of the process.

    Returns
    -------
    int
        Exit code: 0 done, 1 failed with one line on the error stream, 130 stopped by
        Ctrl-C. Wrong arguments end the process with 2.

    Example
    -------
    >>> main(["convert", "no/such/run", "model"])
    1
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, ImportError) as error:
        _note(str(error) or type(error).__name__)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sesame", description="Enhances noisy speech and shows how it is done."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    enhance = commands.add_parser("enhance", help="enhance an audio file")
    enhance.set_defaults(run=_enhance)
    enhance.add_argument("input", type=Path, metavar="IN", help="noisy audio file")
    enhance.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    _add_model(enhance)
    enhance.add_argument("--force", action="store_true", help="replace OUT")

    routing = commands.add_parser("routing", help="draw the experts chosen for a file")
    routing.set_defaults(run=_routing)
    routing.add_argument("input", type=Path, metavar="NOISY", help="noisy audio file")
    routing.add_argument("--figure", type=Path, required=True, help="such as f.png")
    _add_model(routing)
    routing.add_argument("--force", action="store_true", help="replace the figure")

    convert = commands.add_parser(
        "convert", help="make a model folder of a training run"
    )
    convert.set_defaults(run=_convert)
    convert.add_argument("results", type=Path, metavar="RESULTS")
    convert.add_argument("model", type=Path, metavar="MODEL_FOLDER")
    convert.add_argument("--force", action="store_true", help="replace the model")

    evaluate = commands.add_parser("evaluate", help="score folders of audio files")
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument("--clean", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--enhanced", type=Path, required=True, metavar="DIR")
    evaluate.add_argument("--noisy", type=Path, metavar="DIR")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="means")
    evaluate.add_argument("--csv", type=Path, metavar="FILE", help="a row per file")
    evaluate.add_argument(
        "--composite-variant",
        choices=VARIANTS,
        default="loizou",
        help="scale of csig, cbak and covl",
    )
    evaluate.add_argument("--workers", type=int, default=0, help="processes")

    showcase = commands.add_parser("showcase", help="show the results of a run")
    showcase.set_defaults(run=_showcase)
    showcase.add_argument("results", type=Path, metavar="RESULTS")
    showcase.add_argument("--data", type=Path, default=Path("data/minibank"))
    showcase.add_argument("--pretrained", type=Path, default=DEFAULT_MODEL)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FOLDER",
        help="model folder; default: pretrained/sesame-small",
    )
    parser.add_argument("--device", default="auto", help="such as cpu or cuda:0")


def _enhance(arguments: argparse.Namespace) -> None:
    from .audio_files import read_audio, write_audio

    _refuse_to_replace(arguments.output, arguments.force)
    audio = read_audio(arguments.input)
    enhancer = _load_model(arguments)
    enhanced = enhancer(audio.waveform, audio.sample_rate)
    write_audio(arguments.output, enhanced, audio.sample_rate, audio.subtype)


def _routing(arguments: argparse.Namespace) -> None:
    from .audio_files import read_audio, resample
    from .figures import routing_figure, save_figure
    from .routing import expert_maps

    _refuse_to_replace(arguments.figure, arguments.force)
    audio = read_audio(arguments.input)
    enhancer = _load_model(arguments)
    # At the network's rate, so that all rows of the figure end at one frequency.
    rate = enhancer.sample_rate
    mono = audio.waveform.mean(axis=0, keepdims=True)
    mono = resample(mono, audio.sample_rate, rate)[0]
    maps = expert_maps(enhancer, mono, rate)
    save_figure(routing_figure(mono, rate, maps), arguments.figure)
    for layer in maps:
        shares = " ".join(f"{100 * share:5.1f}" for share in layer.load)
        _say(f"{layer.name:<24} share of each expert [%]: {shares}")


def _convert(arguments: argparse.Namespace) -> None:
    from .training_run import convert_run

    checkpoint = convert_run(arguments.results, arguments.model, arguments.force)
    _say(f"{arguments.model}: weights of {checkpoint.path.name}")


def _evaluate(arguments: argparse.Namespace) -> None:
    from sesame.metrics import evaluate_folders, format_table, write_scores

    variant = arguments.composite_variant
    scores = evaluate_folders(
        arguments.clean,
        arguments.enhanced,
        arguments.noisy,
        variant=variant,
        num_workers=arguments.workers,
    )
    systems = {} if scores.noisy is None else {"noisy": scores.noisy}
    systems["enhanced"] = scores.enhanced
    write_scores(
        scores.enhanced,
        arguments.csv,
        arguments.json,
        variant=variant,
        noisy_rows=scores.noisy,
    )
    _say(format_table(systems, variant))
    if scores.unmatched:
        _note(f"{len(scores.unmatched)} enhanced files have no clean file: not scored")
    for system, rows in systems.items():
        for reason, names in _reasons(rows).items():
            _note(f"{system}: no {', '.join(names)} for some files: {reason}")


def _reasons(rows: Sequence[dict]) -> dict[str, list[str]]:
    """Why values are missing, each reason once, with the metrics it concerns."""
    metrics: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, reason in row["reasons"].items():
            metrics.setdefault(reason, {})[name] = None
    return {reason: list(names) for reason, names in metrics.items()}


def _showcase(arguments: argparse.Namespace) -> None:
    from .showcase import showcase

    for line in showcase(arguments.results, arguments.data, arguments.pretrained):
        _say(line)


def _load_model(arguments: argparse.Namespace):
    from .enhancer import Enhancer

    if arguments.model is None and not DEFAULT_MODEL.is_dir():
        raise ValueError(
            f"there is no default model ({DEFAULT_MODEL}): give one with --model FOLDER"
        )
    return Enhancer.from_pretrained(arguments.model or DEFAULT_MODEL, arguments.device)


def _refuse_to_replace(path: Path, force: bool) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if path.exists() and not force:
        raise ValueError(f"{path} exists; --force replaces it")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _note(message: str) -> None:
    """One line, whatever line breaks a message has."""
    sys.stderr.write(f"sesame: {' '.join(message.split())}\n")


if __name__ == "__main__":
    sys.exit(main())
