"""``sesame stream``: a file block by block, as a device would, or live."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import DEFAULT_FLOW, model_path, note, refuse_to_replace, say
from .flow_options import add_size_options

if TYPE_CHECKING:
    from sesame.inference.file_streaming import StreamReport
    from sesame.inference.prior_inputs import Voice
    from sesame.models.seflow import SEFlow

DESCRIPTION = """\
Takes an audio file block by block through a SEFlow, as a device would take a
microphone, and tells latency and times. The result is in step with the file, and as
long. With --live: from the microphone to the loudspeaker until Ctrl-C (headphones
prevent howling)."""
LIVE_RATE = 16_000  # Hz


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``stream`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["stream", "in.wav", "-o", "out.wav"]).block_ms
    20.0
    """
    parser = commands.add_parser(
        "stream", help="enhance block by block, or live", description=DESCRIPTION
    )
    parser.set_defaults(run=run)
    parser.add_argument("input", nargs="?", type=Path, metavar="INPUT")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="file to make")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="model folder of a SEFlow or hf://owner/name[@revision]; default: "
        "seflow-small",
    )
    add_size_options(parser)
    parser.add_argument(
        "--block-ms",
        type=float,
        default=20.0,
        metavar="MS",
        help="length of a block (20)",
    )
    parser.add_argument(
        "--enroll",
        type=Path,
        metavar="VOICE",
        help="audio file with the voice of the speaker to extract",
    )
    parser.add_argument(
        "--far-end",
        type=Path,
        metavar="FAR",
        help="audio file with what a loudspeaker played during the recording",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="of an operator (1)"
    )
    parser.add_argument(
        "--live", action="store_true", help="from the microphone to the loudspeaker"
    )
    parser.add_argument(
        "--rate", type=int, metavar="HZ", help=f"of --live ({LIVE_RATE})"
    )
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="end --live after so long"
    )
    parser.add_argument(
        "--repair-nonfinite",
        action="store_true",
        help="set NaN and infinite samples to 0 instead of refusing the file",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Streams.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    ImportError
        If ``--live`` lacks a package.
    ValueError
        If the model cannot be loaded, a file cannot be read or made, the arguments do
        not fit together, or there is no device.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["stream", "a.wav", "--model", "no/such/model"]))
    Traceback (most recent call last):
    ValueError: stream takes INPUT and -o OUT, or --live
    """
    files = arguments.input is not None and arguments.output is not None
    neither = arguments.input is None and arguments.output is None
    if not (neither if arguments.live else files):
        raise ValueError("stream takes INPUT and -o OUT, or --live")
    if arguments.threads < 1:
        raise ValueError(f"--threads ({arguments.threads}) must be at least 1")
    if arguments.live and arguments.far_end is not None:
        raise ValueError("--far-end belongs to a recording, not to --live")
    if not arguments.live and (arguments.rate, arguments.seconds) != (None, None):
        raise ValueError("--rate and --seconds belong to --live, not to a recording")
    if arguments.live:
        from sesame.inference.live import import_sounddevice

        import_sounddevice()
    else:
        refuse_to_replace(arguments.output, arguments.force)
    import torch

    from sesame.inference.hub import resolve_model
    from sesame.inference.model_folder import load_seflow_folder

    model = model_path(arguments.model, DEFAULT_FLOW)
    network = load_seflow_folder(resolve_model(model))
    before = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        return _stream(arguments, network)
    finally:
        torch.set_num_threads(before)


def _stream(arguments: argparse.Namespace, network: "SEFlow") -> int:
    from sesame.inference.file_streaming import stream_file
    from sesame.inference.prior_inputs import read_far_end, read_voice

    size = {"width": arguments.width, "depth": arguments.depth}
    repair = arguments.repair_nonfinite
    voice = far_end = None
    if arguments.enroll is not None:
        voice = read_voice(arguments.enroll, repair_nonfinite=repair)
        for line in voice.warnings:
            note(line)
    if arguments.far_end is not None:
        far_end = read_far_end(arguments.far_end, repair_nonfinite=repair)
    if arguments.live:
        report = _listen(arguments, network, voice, size)
    else:
        report = stream_file(
            network,
            arguments.input,
            arguments.output,
            arguments.block_ms,
            **size,
            voice=voice,
            far_end=far_end,
            overwrite=arguments.force,
            repair_nonfinite=repair,
        )
        told = list(report.file.warnings)
        if far_end is not None:
            frames = round(report.file.seconds * report.file.sample_rate)
            told += far_end.warnings + far_end.misfit(frames, report.file.sample_rate)
        for line in told:
            note(line)
        if report.file.num_clipped:
            note(f"{arguments.output}: {report.file.num_clipped} samples saturated")
    _tell(arguments, report)
    return 0


def _listen(
    arguments: argparse.Namespace,
    network: "SEFlow",
    voice: "Voice | None",
    size: dict[str, Any],
) -> "StreamReport":
    from sesame.inference.file_streaming import StreamReport, block_length
    from sesame.inference.flow_sizes import native_rate
    from sesame.inference.live import run_live
    from sesame.inference.streaming_enhancer import StreamingEnhancer

    rate = LIVE_RATE if arguments.rate is None else arguments.rate
    enrollment = None
    if voice is not None:
        enrollment = voice.enroll(network, native_rate(rate), **size)
    enhancer = StreamingEnhancer(network, rate, **size, enrollment=enrollment)
    seconds = block_length(arguments.block_ms, rate) / rate
    note(f"listening; latency {1e3 * enhancer.latency:.1f} ms and the device's")
    times = run_live(enhancer, arguments.block_ms, arguments.seconds)
    return StreamReport(None, enhancer.latency, seconds, tuple(times))


def _tell(arguments: argparse.Namespace, report: "StreamReport") -> None:
    median, high, worst = (1e3 * report.percentile(p) for p in (50, 95, 100))
    if arguments.json:
        facts = {
            "output": None if arguments.output is None else str(arguments.output),
            "latency_ms": 1e3 * report.latency,
            "block_ms": 1e3 * report.block_seconds,
            "num_blocks": len(report.times),
            "median_ms": median,
            "percentile_95_ms": high,
            "worst_ms": worst,
            "rtf": report.real_time_factor,
        }
        # JSON knows no NaN, which is what no block has.
        say(json.dumps({k: None if v != v else v for k, v in facts.items()}))
        return
    say(
        f"latency {1e3 * report.latency:.1f} ms, beside filling a block of "
        f"{1e3 * report.block_seconds:g} ms"
    )
    if not report.times:
        say("no block")
        return
    say(
        f"{len(report.times)} blocks: median {median:.2f} ms, 95 % below {high:.2f} "
        f"ms, worst {worst:.2f} ms"
    )
    say(f"real-time factor {report.real_time_factor:.3f}")
