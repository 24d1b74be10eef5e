"""What a sub-network of SEFlow is and costs, for a person to read."""

from fractions import Fraction
from typing import NamedTuple

from sesame.models.seflow import SEFlow

from .flow_sizes import FlowSize, count_parameters, native_rate

__all__ = ["SizeReport", "report_size"]


class SizeReport(NamedTuple):
    """A sub-network at a sampling rate.

    Arguments
    ---------
    sample_rate : int
        Rate of the signals [Hz].
    width : float
        Share of the channels.
    depth : int
        Blocks.
    parameters : int
        Of the sub-network as a network of its own.
    gmacs : float
        10^9 multiply-accumulate operations for one second of one channel.

    Example
    -------
    >>> print(SizeReport(16000, 0.5, 3, 1_184_392, 2.9952))
    width 1/2, depth 3: 1 184 392 parameters, 2.995 GMAC/s at 16000 Hz
    """

    sample_rate: int
    width: float
    depth: int
    parameters: int
    gmacs: float

    def __str__(self) -> str:
        share = Fraction(self.width).limit_denominator(1000)
        parameters = f"{self.parameters:,}".replace(",", " ")
        return (
            f"{FlowSize(share, self.depth)}: {parameters} parameters, "
            f"{self.gmacs:.4g} GMAC/s at {self.sample_rate} Hz"
        )


def report_size(
    network: SEFlow,
    sample_rate: int,
    width: float | None = None,
    depth: int | None = None,
    enrolled: bool = False,
) -> SizeReport:
    """Counts a sub-network.

    Arguments
    ---------
    network : SEFlow
        What it is cut out of.
    sample_rate : int
        Rate of the signals [Hz]; operations are those at ``native_rate``.
    width : float | None
        Share of the channels; ``None``: 1.
    depth : int | None
        Blocks; ``None``: all.
    enrolled : bool
        Whether the signals come with an enrollment, which costs something, too.

    Returns
    -------
    SizeReport
        Its size and costs.

    Raises
    ------
    ValueError
        If there is no such sub-network.

    Example
    -------
    >>> print(report_size(SEFlow(), 16000, width=0.25, depth=6))
    width 1/4, depth 6: 582 024 parameters, 1.624 GMAC/s at 16000 Hz
    """
    channels, depth = network.size(width, depth)
    share = Fraction(channels, network.width)
    num_tokens = network.num_tokens if enrolled else 0
    size = FlowSize(share, depth)
    return SizeReport(
        sample_rate,
        float(share),
        depth,
        count_parameters(network, share)[depth - 1],
        size.gmacs(network, native_rate(sample_rate), num_tokens),
    )
