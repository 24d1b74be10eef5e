"""Training steps on a CPU, with and without an allocator that keeps freed memory.

The C library of Linux gives large blocks back to the system when they are freed, and
gets them again, page by page, for the next tensor. Two environment variables end that.
Two processes take steps in turn, one with them and one without.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import torch
from report import conditions, emit, table

from sesame.losses import restoration_terms
from sesame.models import SEFlow

KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
SIZES = {"64x3": (0.5, 3), "128x6": (1.0, 6)}
RATE = 16_000


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of two segments")
    parser.add_argument("--quick", action="store_true", help="one short step of one")
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--serve", choices=SIZES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.quick:
        options.sizes, options.repeats, options.seconds = ["64x3"], 1, 0.1
    torch.set_num_threads(1)
    if options.serve:
        _serve(*SIZES[options.serve], options.seconds)
        return
    rows = []
    for size in options.sizes:
        usual, kept = _measure(size, options.repeats, options.seconds)
        rows.append([size, f"{usual:.3f}", f"{kept:.3f}", f"{kept / usual:.2f}"])
    header = ["SEFlow", "as it is [s]", "freed memory kept [s]", "ratio"]
    text = [
        "## An allocator that keeps freed memory",
        conditions(),
        f"Forward, loss and backward of two segments of {options.seconds:g} s, "
        f"bfloat16 autocast: medians of the processor time of {options.repeats} steps, "
        "in two processes in turn. Kept: "
        + ", ".join(f"`{name}={value}`" for name, value in KEEP.items())
        + ".",
        table(header, rows),
    ]
    emit("\n\n".join(text), options.output)


def _measure(size: str, repeats: int, seconds: float) -> list[float]:
    command = [sys.executable, __file__, "--serve", size, "--seconds", str(seconds)]
    usual = {k: v for k, v in os.environ.items() if k not in KEEP}
    servers = [
        subprocess.Popen(
            command,
            env=environment | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for environment in (usual, usual | KEEP)
    ]
    times: list[list[float]] = [[], []]
    for turn in range(repeats + 2):
        for server, taken in zip(servers, times, strict=True):
            print("step", file=server.stdin, flush=True)
            elapsed = float(server.stdout.readline())
            if turn >= 2:
                taken.append(elapsed)
    for server in servers:
        server.communicate()
    return [statistics.median(taken) for taken in times]


def _serve(width: float, depth: int, seconds: float) -> None:
    """Takes a step for each line that comes in; answers with its processor time."""
    torch.manual_seed(0)
    network = SEFlow(width=128, depth=6, head_channels=16)
    mixture, target = 0.05 * torch.randn(2, 2, round(seconds * RATE))
    for _ in sys.stdin:
        start = time.process_time()
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = network(mixture, RATE, width, depth)
        terms = restoration_terms(output, target, mixture, RATE)
        sum(term.mean() for term in terms.values()).backward()
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
