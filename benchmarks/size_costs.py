"""What the sub-networks of SEFlow cost, beside the figures they were designed for."""

from fractions import Fraction
from typing import NamedTuple

import torch
from report import table

from sesame.inference.flow_sizes import FlowSize, count_parameters
from sesame.models.seflow import SEFlow

__all__ = ["SIZES", "Designed", "size_tables", "stream_bytes"]

RATES = (8_000, 16_000, 48_000)  # Hz
EXPLANATION = """\
A sub-network is a width, eighths of the 256 channels, and a depth, of 8 blocks. Its
parameters are those of a network of its own, with one norm for its exit; the network
that holds all of them has 7 norms, 1 792 parameters, more than the largest.

GMAC/s: 10^9 multiply-accumulate operations for one second of a signal, by the formula
of `sesame.models.seflow_macs`: matrix products, filters, and attention with its full
context of one second, equal to what `torch.utils.flop_counter` counts of a hop. Not
counted: norms, activations, the Fourier transform. Beside each figure is what the size
was designed for, of which the last digit is rounded."""
ENROLLMENT_EXPLANATION = """\
A voice is summarised as 32 tokens for each band and block, which all frames attend to.
Below is what this adds for as long as the stream goes on; the voice itself passes
through the network once."""
MEMORY_EXPLANATION = """\
MB (10^6 bytes), float32: what is kept from hop to hop, beside the weights, which all
streams share. Nearly all of it are keys and values of the last second."""


class Designed(NamedTuple):
    """A size and the figures that it was designed for.

    Arguments
    ---------
    name : str
        What it is meant to be.
    eighths : int
        Width, in eighths of the channels.
    depth : int
        Blocks.
    parameters : int
        Of the sub-network.
    gmacs : tuple[float, float, float]
        10^9 operations per second at 8, 16 and 48 kHz.
    enrollment : float | None
        10^9 operations per second that an enrollment adds at 16 kHz; ``None``: not
        said.
    """

    name: str
    eighths: int
    depth: int
    parameters: int
    gmacs: tuple[float, float, float]
    enrollment: float | None = None


SIZES = (
    Designed("100 %", 8, 8, 11_058_956, (22.155, 30.000, 37.927), 0.354),
    Designed("50 %", 6, 7, 5_535_838, (11.088, 15.030, 19.029)),
    Designed("50 %, depth only", 8, 4, 5_784_172, (11.153, 15.109, 19.126)),
    Designed("25 %", 4, 8, 2_842_732, (5.802, 7.878, 9.995)),
    Designed("25 %, mixed", 5, 5, 2_842_025, (5.587, 7.581, 9.617)),
    Designed("10 %", 4, 3, 1_184_392, (2.203, 2.995, 3.815), 0.066),
    Designed("10 %, narrow and deep", 3, 6, 1_253_734, (2.528, 3.440, 4.378)),
    Designed("5 %", 2, 6, 582_024, (1.190, 1.624, 2.076)),
    Designed("2 %", 1, 8, 207_220, (0.461, 0.634, 0.817)),
    Designed("1 %", 1, 4, 121_312, (0.233, 0.321, 0.417), 0.022),
    Designed("< 1 %", 1, 3, 99_835, (0.176, 0.243, 0.317)),
    Designed("smallest", 1, 1, 56_881, (0.062, 0.086, 0.116)),
)


def size_tables() -> list[str]:
    """Parameters, operations and memory of the sizes.

    Returns
    -------
    list[str]
        Markdown sections.
    """
    network = SEFlow().eval()
    return [
        EXPLANATION,
        _cost_table(network),
        "## Enrollment",
        ENROLLMENT_EXPLANATION,
        _enrollment_table(network),
        "## Memory of a stream",
        MEMORY_EXPLANATION,
        _memory_table(network),
    ]


def stream_bytes(
    network: SEFlow, size: FlowSize, sample_rate: int, enrolled: bool = False
) -> int:
    """Memory of the state of one stream.

    Arguments
    ---------
    network : SEFlow
        The network.
    size : FlowSize
        Sub-network.
    sample_rate : int
        Hz.
    enrolled : bool
        Whether there is an enrollment.

    Returns
    -------
    int
        Bytes.
    """
    # Room is made for all tokens, however short a voice is.
    voice = torch.zeros(1, sample_rate // 100) if enrolled else None
    state = network.initial_state(
        1, sample_rate, float(size.width), size.depth, enrollment=voice
    )
    return state.num_bytes


def _cost_table(network) -> str:
    costs = {designed: _gmacs(network, designed) for designed in SIZES}
    counts = {designed: _parameters(network, designed) for designed in SIZES}
    full = SIZES[0]
    rows = []
    for designed in SIZES:
        row = [*_size_cells(designed), f"{counts[designed]:,}"]
        row += [f"{designed.parameters:,}", _percent(counts[designed], counts[full])]
        for cost, aim in zip(costs[designed], designed.gmacs, strict=True):
            row += [f"{cost:.3f}", f"{aim:.3f}"]
        rows.append([*row, _percent(costs[designed][1], costs[full][1])])
    header = ["size", "width", "depth", "parameters", "designed", "share"]
    for rate in RATES:
        header += [f"GMAC/s, {rate // 1000} kHz", "designed"]
    return table([*header, "share, 16 kHz"], rows)


def _enrollment_table(network) -> str:
    rows = []
    for designed in SIZES:
        with_tokens = _gmacs(network, designed, network.num_tokens)
        without = _gmacs(network, designed)
        added = [a - b for a, b in zip(with_tokens, without, strict=True)]
        aim = "" if designed.enrollment is None else f"{designed.enrollment:.3f}"
        row = [*_size_cells(designed), *(f"{cost:.3f}" for cost in added)]
        rows.append([*row, aim, _percent(added[1], without[1])])
    header = ["GMAC/s added", "width", "depth"]
    header += [f"{rate // 1000} kHz" for rate in RATES]
    return table([*header, "designed, 16 kHz", "share, 16 kHz"], rows)


def _memory_table(network) -> str:
    rows = []
    for designed in SIZES:
        size = _flow_size(designed)
        without = [stream_bytes(network, size, rate) for rate in RATES]
        enrolled = [stream_bytes(network, size, rate, enrolled=True) for rate in RATES]
        cells = [f"{count / 1e6:.2f}" for count in (*without, *enrolled)]
        rows.append([*_size_cells(designed), *cells])
    header = ["MB per stream", "width", "depth"]
    header += [f"{rate // 1000} kHz" for rate in RATES]
    header += [f"{rate // 1000} kHz, enrolled" for rate in RATES]
    return table(header, rows)


def _flow_size(designed) -> FlowSize:
    return FlowSize(Fraction(designed.eighths, 8), designed.depth)


def _gmacs(network, designed, num_tokens: int = 0) -> list[float]:
    size = _flow_size(designed)
    return [size.gmacs(network, rate, num_tokens) for rate in RATES]


def _parameters(network, designed) -> int:
    size = _flow_size(designed)
    return count_parameters(network, size.width)[size.depth - 1]


def _size_cells(designed) -> list[str]:
    return [designed.name, str(_flow_size(designed).width), str(designed.depth)]


def _percent(value, full) -> str:
    return f"{100 * value / full:.2f} %"
