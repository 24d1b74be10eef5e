"""Time and memory of SEFlow hop by hop, as a stream comes in.

One stream, one hop of 10 ms at a time, on one thread::

    python benchmarks/streaming_speed.py --output FILE

See ``benchmarks/README.md`` for what is measured.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from cases import verdict
from measure import Samples
from report import conditions, emit, parse_size, table
from torch import Tensor

from sesame.inference.onnx_stream import OnnxStream, export_stream_onnx
from sesame.models.seflow import SEFlow
from sesame.nnet.streaming import Stream

HOPS_PER_SECOND = 100
# Most time of a hop [s], median, by the size of the network.
TARGETS = {(1 / 8, 4): 1e-3, (1 / 2, 3): 3e-3}
TINY = {"width": 16, "depth": 4, "head_channels": 2, "context": 10}
# Hops of one case before the next has its turn: a device has one network, in its cache.
BURST, WARM = 50, 10


class Case(NamedTuple):
    """A network that streams.

    Arguments
    ---------
    name : str
        Size and what runs it.
    stream : Stream
        Takes one hop.
    target : float
        Most time of a hop [s]; NaN: none.
    num_bytes : int
        Memory of the state of one stream.
    """

    name: str
    stream: Stream
    target: float
    num_bytes: int


def main():
    """Measures and reports."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = SEFlow(**options.sizes).eval()
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            case
            for size in options.networks
            for case in open_cases(network, *size, options, Path(folder))
        ]
    hop = torch.randn(1, options.rate // HOPS_PER_SECOND) * 0.1
    samples = measure(cases, hop, options.rounds)
    sections = [
        "# Speed of streams",
        conditions(),
        f"## A hop of 10 ms at {options.rate} Hz, one stream, float32",
        "Milliseconds per hop, waveform to waveform. The cases have their turns of "
        f"{BURST} hops, of which the first {WARM} are not counted. The weights are "
        "random and the signal is noise, which does not matter for time. Targets are "
        "judged by the median on the clock; where other programs share the processor, "
        "the least time and the processor's say more.",
        _time_table(cases, samples, {} if options.quick else TARGETS),
        "## Memory of a stream",
        "What is kept from hop to hop, beside the weights, which all streams share. An "
        f"enrollment adds {network.num_tokens} slots to the {network.context} of each "
        "block; a far end adds one hop.",
        _memory_table(cases),
    ]
    emit("\n\n".join(sections), options.output)


def parse_options():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of an operator")
    parser.add_argument("--rate", type=int, default=16000, help="sampling rate [Hz]")
    parser.add_argument("--rounds", type=int, default=40, help="turns of each case")
    parser.add_argument(
        "--networks",
        nargs="+",
        type=parse_size,
        default=[(1 / 8, 4), (1 / 2, 3), (1.0, 8)],
        metavar="WIDTH:DEPTH",
        help="sizes (0.125:4 0.5:3 1:8)",
    )
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it runs, no more"
    )
    options = parser.parse_args()
    options.sizes = {}
    if options.quick:
        options.sizes, options.rounds = TINY, 1
        options.networks = [(1 / 8, 4), (1 / 2, 3)]
    return options


def open_cases(
    network: SEFlow, width: float, depth: int, options: argparse.Namespace, folder: Path
) -> list[Case]:
    """Opens a stream in torch, and in onnxruntime where that is installed.

    Arguments
    ---------
    network : SEFlow
        The network.
    width : float
        Fraction of its channels.
    depth : int
        Blocks.
    options : argparse.Namespace
        ``rate``, ``threads``.
    folder : Path
        For the exported network.

    Returns
    -------
    list[Case]
        One or two cases.
    """
    target = TARGETS.get((width, depth), math.nan)
    name = f"{width:g} wide, {depth} deep"
    stream = network.open_stream(1, options.rate, width, depth)
    cases = [Case(f"{name}, torch", stream, target, stream.state.num_bytes)]
    if find_spec("onnx") and find_spec("onnxruntime"):
        path = folder / f"{width}_{depth}.onnx"
        export_stream_onnx(network, path, options.rate, width, depth)
        stream = OnnxStream(path, options.threads).open_stream(1, options.rate)
        size = stream.state.num_bytes
        cases.append(Case(f"{name}, onnxruntime", stream, target, size))
    return cases


def measure(cases: list[Case], hop: Tensor, rounds: int) -> list[Samples]:
    """Gives each stream the hop again and again.

    Arguments
    ---------
    cases : list[Case]
        The streams.
    hop : Tensor
        Samples (1, hop).
    rounds : int
        Turns of each.

    Returns
    -------
    list[Samples]
        Times of every hop.
    """
    samples = [Samples() for _ in cases]
    for _ in range(rounds):
        for case, sample in zip(cases, samples, strict=True):
            for number in range(BURST):
                clock, processor = _time(case.stream, hop)
                if number >= WARM:
                    sample.seconds.append(clock)
                    sample.processor_seconds.append(processor)
    return samples


def _time(stream: Callable[[Tensor], Tensor], hop: Tensor) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    stream(hop)
    return time.perf_counter() - clock, time.process_time() - processor


def _time_table(cases, samples, targets) -> str:
    rows = []
    for case, sample in zip(cases, samples, strict=True):
        clock = statistics.median(sample.seconds)
        target = 1e3 * case.target if targets else math.nan
        high = statistics.quantiles(sample.seconds, n=20)[-1]
        rows.append(
            [
                case.name,
                str(len(sample.seconds)),
                *(
                    f"{1e3 * seconds:.2f}"
                    for seconds in (
                        min(sample.seconds),
                        clock,
                        high,
                        max(sample.seconds),
                        min(sample.processor_seconds),
                        statistics.median(sample.processor_seconds),
                    )
                ),
                f"{clock * HOPS_PER_SECOND:.3f}",
                *verdict(1e3 * clock, target, least=False),
            ]
        )
    header = ["ms per hop", "hops", "least", "median", "95 %", "worst"]
    header += ["processor, least", "processor, median", "real-time factor"]
    return table([*header, "target", "met"], rows)


def _memory_table(cases) -> str:
    rows = [
        [case.name, f"{case.num_bytes / 1e6:.2f}", f"{case.num_bytes // 4:,}"]
        for case in cases
    ]
    return table(["state of one stream", "MB", "values of 4 bytes"], rows)


if __name__ == "__main__":
    main()
