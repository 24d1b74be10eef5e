"""What SEFlow costs."""

from sesame.features.causal_stft import check_frame_rate
from sesame.features.rate_bands import BAND_GROUPS, RateBands

__all__ = ["count_macs"]

_FRAMES_PER_SECOND = 100
# Real values per bin: those of two spectra in, of two masks out.
_VALUES = 4
# Those of a third spectrum in, with flow matching.
_FLOW_VALUES = 2


def count_macs(
    channels: int,
    depth: int,
    sample_rate: int,
    context: int = 100,
    num_tokens: int = 0,
    kernel_size: int = 3,
    flow_steps: int = 0,
) -> int:
    """Multiply-accumulate operations for one second of a signal.

    Matrix products, filters and attention with its full context are counted; norms,
    activations and the Fourier transform are not.

    Arguments
    ---------
    channels : int
        C, width of the sub-network.
    depth : int
        Its blocks.
    sample_rate : int
        Sampling rate [Hz].
    context : int
        Frames that a frame attends to.
    num_tokens : int
        Tokens of an enrollment; its own pass through the network is not counted.
    kernel_size : int
        Taps of the filters.
    flow_steps : int
        Predictions by flow matching; 0: without it.

    Returns
    -------
    int
        Operations per second.

    Raises
    ------
    ValueError
        If the network does not run at this rate.

    Example
    -------
    >>> count_macs(channels=32, depth=4, sample_rate=16000)
    320998400
    """
    check_frame_rate(sample_rate)
    bands = RateBands(sample_rate // 100 + 1)
    projections = 4 * channels**2
    feed_forward = 6 * channels**2 + 2 * kernel_size * channels
    attention = 2 * channels * (bands.num_bands + context + num_tokens)
    block = bands.num_bands * (2 * (projections + feed_forward) + attention)
    values = 2 * _VALUES + (_FLOW_VALUES if flow_steps else 0)
    edges = sum(
        count * (values * width * channels + channels**2)
        for count, width in zip(bands.counts, BAND_GROUPS, strict=False)
    )
    return _FRAMES_PER_SECOND * max(flow_steps, 1) * (depth * block + edges)
