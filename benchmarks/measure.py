"""Times and memory of functions, measured side by side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.profiler import ProfilerActivity, profile

__all__ = ["Samples", "interleave", "peak_memory", "ratio"]


@dataclass
class Samples:
    """Repeated measurements of one case: seconds on the clock, and of processor time.

    On a CUDA device ``seconds`` are those of the device.
    """

    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)


def interleave(
    cases: dict[str, Callable[[], object]],
    repeats: int,
    warmup: int = 1,
    device: str = "cpu",
) -> dict[str, Samples]:
    """Runs cases in turn (A, B, A, B, ...), so that all share what drifts.

    Arguments
    ---------
    cases : dict[str, Callable[[], object]]
        Functions by name.
    repeats : int
        Measured runs of each.
    warmup : int
        Runs of each before, not measured.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    dict[str, Samples]
        Measurements by name.
    """
    samples = {name: Samples() for name in cases}
    for turn in range(warmup + repeats):
        for name, function in cases.items():
            elapsed = _time_cuda(function) if device == "cuda" else _time_cpu(function)
            if turn >= warmup:
                samples[name].seconds.append(elapsed[0])
                samples[name].processor_seconds.append(elapsed[1])
    return samples


def ratio(numerator: Samples, denominator: Samples) -> tuple[float, float]:
    """Ratios of the medians: of clock time and of processor time."""
    return (
        statistics.median(numerator.seconds) / statistics.median(denominator.seconds),
        statistics.median(numerator.processor_seconds)
        / statistics.median(denominator.processor_seconds),
    )


def peak_memory(function: Callable[[], object], device: str = "cpu") -> int:
    """Bytes that torch holds at most during a call, beyond what it held before."""
    function()
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        function()
    events = [e for e in profiler.profiler.kineto_results.events() if _is_memory(e)]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def _is_memory(event) -> bool:
    return event.name() == "[memory]"


def _time_cpu(function):
    clock, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - processor


def _time_cuda(function):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    processor = time.process_time()
    start.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000, time.process_time() - processor
