"""Sampling rates at which SEFlow runs, the sub-networks it has, and what they cost."""

from fractions import Fraction
from typing import NamedTuple

import torch

from sesame.features.causal_stft import MAX_RATE, MIN_RATE, RATE_STEP
from sesame.models.seflow import SEFlow

__all__ = [
    "FlowSize",
    "count_parameters",
    "flow_sizes",
    "native_rate",
    "size_within",
]


class FlowSize(NamedTuple):
    """A sub-network of a SEFlow.

    Arguments
    ---------
    width : Fraction
        Share of the channels.
    depth : int
        Blocks.

    Example
    -------
    >>> print(FlowSize(Fraction(1, 4), 6))
    width 1/4, depth 6
    """

    width: Fraction
    depth: int

    def __str__(self) -> str:
        return f"width {self.width}, depth {self.depth}"

    def gmacs(self, network: SEFlow, sample_rate: int, num_tokens: int = 0) -> float:
        """Operations of the sub-network.

        Arguments
        ---------
        network : SEFlow
            What it is cut out of.
        sample_rate : int
            Sampling rate at which it runs [Hz].
        num_tokens : int
            Tokens of an enrollment.

        Returns
        -------
        float
            10^9 multiply-accumulate operations for one second of a signal.
        """
        size = float(self.width), self.depth
        return network.macs_per_second(sample_rate, *size, num_tokens) / 1e9


def native_rate(sample_rate: int) -> int:
    """The sampling rate at which SEFlow hears a signal.

    Arguments
    ---------
    sample_rate : int
        Rate of the signal [Hz].

    Returns
    -------
    int
        The same if it is supported, else the next higher rate that is [Hz]; 48 kHz for
        what is above.

    Example
    -------
    >>> [native_rate(rate) for rate in (4000, 16000, 22050, 44100, 96000)]
    [8000, 16000, 22100, 44100, 48000]
    """
    return min(max(-(-sample_rate // RATE_STEP) * RATE_STEP, MIN_RATE), MAX_RATE)


def flow_sizes(network: SEFlow) -> list[FlowSize]:
    """All sub-networks, the narrowest first, of one width the shallowest.

    Arguments
    ---------
    network : SEFlow
        The network, or a sub-network.

    Returns
    -------
    list[FlowSize]
        Widths are whole numbers of heads; without early exits there is one depth.

    Example
    -------
    >>> sizes = flow_sizes(SEFlow(width=8, depth=2, head_channels=4))
    >>> [str(size) for size in sizes]
    ['width 1/2, depth 1', 'width 1/2, depth 2', 'width 1, depth 1', 'width 1, depth 2']
    """
    heads = network.width // network.head_channels
    depths = range(1, network.depth + 1) if network.early_exits else [network.depth]
    return [
        FlowSize(Fraction(count, heads), depth)
        for count in range(1, heads + 1)
        for depth in depths
    ]


def size_within(
    network: SEFlow, budget_gmacs: float, sample_rate: int, num_tokens: int = 0
) -> FlowSize:
    """The sub-network with the most operations that a budget allows.

    Arguments
    ---------
    network : SEFlow
        The network.
    budget_gmacs : float
        10^9 multiply-accumulate operations for one second of a signal.
    sample_rate : int
        Sampling rate at which it runs [Hz].
    num_tokens : int
        Tokens of an enrollment, which cost something, too.

    Returns
    -------
    FlowSize
        Of those with the same number of operations, the widest.

    Raises
    ------
    ValueError
        If the budget does not allow the smallest one.

    Example
    -------
    >>> print(size_within(SEFlow(), budget_gmacs=3, sample_rate=16000))
    width 1/2, depth 3
    """
    costs = {
        size: size.gmacs(network, sample_rate, num_tokens)
        for size in flow_sizes(network)
    }
    affordable = [size for size, cost in costs.items() if cost <= budget_gmacs]
    if not affordable:
        least = min(costs, key=costs.__getitem__)
        # Rounded up: what is named must be enough.
        needed = -(-costs[least] * 1e4 // 1) / 1e4
        raise ValueError(
            f"budget_gmacs ({budget_gmacs:g}) must be at least {needed:g}, what the "
            f"smallest sub-network ({least}) takes at {sample_rate} Hz"
        )
    return max(affordable, key=lambda size: (costs[size], size.width))


def count_parameters(network: SEFlow, width: Fraction) -> list[int]:
    """Parameters of the sub-networks of one width, as networks of their own.

    Arguments
    ---------
    network : SEFlow
        The network.
    width : Fraction
        Share of the channels, a whole number of heads.

    Returns
    -------
    list[int]
        For each depth from 1 to that of the network.

    Example
    -------
    >>> network = SEFlow(width=16, depth=3, head_channels=4)
    >>> counts = count_parameters(network, Fraction(1, 2))
    >>> small = network.subnet(width=0.5, depth=2)
    >>> counts[1] == sum(parameter.numel() for parameter in small.parameters())
    True
    """
    # No weight is made, and the blocks are all alike.
    with torch.device("meta"):
        one, two = (
            SEFlow(
                round(width * network.width),
                depth,
                network.head_channels,
                network.context,
                network.num_tokens,
                network.kernel_size,
                network.exponent,
                early_exits=False,
                flow_matching=network.flow_matching,
            )
            for depth in (1, 2)
        )
    first, second = (
        sum(parameter.numel() for parameter in part.parameters()) for part in (one, two)
    )
    return [first + depth * (second - first) for depth in range(network.depth)]
