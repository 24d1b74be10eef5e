"""Resampling of whole signals and of streams, to lengths that are rules."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

__all__ = [
    "StreamResampler",
    "resample",
    "resample_blocks",
    "resampled_length",
    "resampling_lag",
]

RESAMPLING_QUALITY = "VHQ"
# Of the signal that is followed through a stream, at a resolution of 1 ms.
FOLLOWED_SECONDS, FOLLOWED_PARTS = 2, 1000


def resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples each channel.

    Shape: waveform (channels, L) -> (channels, ceil(L * target_rate / source_rate)).

    Arguments
    ---------
    waveform : np.ndarray
        float32 or float64.
    source_rate : int
        Hz.
    target_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        The same dtype.

    Example
    -------
    >>> resample(np.zeros((2, 48_001)), 48_000, 16_000).shape
    (2, 16001)
    """
    if source_rate == target_rate:
        return waveform
    length = resampled_length(waveform.shape[-1], source_rate, target_rate)
    out = soxr.resample(waveform.T, source_rate, target_rate, RESAMPLING_QUALITY).T
    # soxr rounds to the nearest length; ours is a rule that others can rely on.
    missing = max(0, length - out.shape[-1])
    return np.pad(out, ((0, 0), (0, missing)))[:, :length]


def resampled_length(length: int, source_rate: int, target_rate: int) -> int:
    """Length of a signal at another rate: never too short to get back to the first.

    Arguments
    ---------
    length : int
        Samples at the source rate.
    source_rate : int
        Hz.
    target_rate : int
        Hz.

    Returns
    -------
    int
        Samples at the target rate, rounded up.

    Example
    -------
    >>> resampled_length(48_001, 48_000, 16_000)
    16001
    """
    return -(-length * target_rate // source_rate)


def resampling_lag(source_rate: int, target_rate: int) -> float:
    """How long ``StreamResampler`` keeps a sample at most.

    Arguments
    ---------
    source_rate : int
        Hz.
    target_rate : int
        Hz.

    Returns
    -------
    float
        Time from when a sample comes in to when its place in the output is given [s],
        at most 1 ms too long; 0 for equal rates.

    Example
    -------
    >>> 0.03 < resampling_lag(22_050, 24_000) < 0.05
    True
    """
    if source_rate == target_rate:
        return 0.0
    # What is given depends on how many samples came, not on which.
    resampler = StreamResampler(1, source_rate, target_rate)
    block = np.zeros((1, max(1, source_rate // FOLLOWED_PARTS)), np.float32)
    taken = given = 0
    lag = 0.0
    while taken < FOLLOWED_SECONDS * source_rate:
        taken += block.size
        lag = max(lag, taken / source_rate - given / target_rate)
        given += resampler.push(block).shape[1]
    return lag


def resample_blocks(
    blocks: Iterable[np.ndarray], source_rate: int, target_rate: int, length: int
) -> Iterator[np.ndarray]:
    """Resamples a stream; the same samples as from the whole signal at once.

    Arguments
    ---------
    blocks : Iterable[np.ndarray]
        Arrays (channels, n) of float32 or float64.
    source_rate : int
        Hz.
    target_rate : int
        Hz.
    length : int
        Length of the result [samples]; it is cut or filled with zeros to this.

    Yields
    ------
    np.ndarray
        (channels, n) of the same dtype.

    Example
    -------
    >>> blocks = resample_blocks([np.zeros((2, 480))] * 2, 48_000, 16_000, 320)
    >>> np.concatenate(list(blocks), axis=-1).shape
    (2, 320)
    """
    missing, last = length, None
    for block in _resampled(blocks, source_rate, target_rate):
        last = block[:, :missing]
        missing -= last.shape[-1]
        yield last
    if missing and last is not None:
        yield np.zeros((len(last), missing), dtype=last.dtype)


class StreamResampler:
    """Resamples a stream; how many samples it gives depends on how many it has got.

    It gives them late, by 20 to 230 ms (the filters work on blocks), but at their
    places: all together, they are what the whole signal gives.

    Shape: (channels, n) -> (channels, m).

    Arguments
    ---------
    channels : int
        Number of channels.
    source_rate : int
        Hz.
    target_rate : int
        Hz.
    dtype : np.dtype | str
        float32 or float64.

    Example
    -------
    >>> resampler = StreamResampler(1, 48_000, 16_000)
    >>> parts = [resampler.push(np.zeros((1, 480), np.float32)), resampler.flush()]
    >>> np.concatenate(parts, axis=1).shape
    (1, 160)
    """

    def __init__(
        self,
        channels: int,
        source_rate: int,
        target_rate: int,
        dtype: np.dtype | str = "float32",
    ):
        self._nothing = np.zeros((channels, 0), dtype)
        self._stream = None
        if source_rate != target_rate:
            self._stream = soxr.ResampleStream(
                source_rate, target_rate, channels, dtype, RESAMPLING_QUALITY
            )

    def push(self, block: np.ndarray) -> np.ndarray:
        """Takes the next samples.

        Arguments
        ---------
        block : np.ndarray
            (channels, n), n >= 0.

        Returns
        -------
        np.ndarray
            The samples that are ready, (channels, m).
        """
        return self._resample(block, last=False)

    def flush(self) -> np.ndarray:
        """Ends the stream.

        Returns
        -------
        np.ndarray
            The rest, (channels, m).
        """
        return self._resample(self._nothing, last=True)

    def reset(self) -> None:
        """Starts anew."""
        if self._stream is not None:
            self._stream.clear()

    def _resample(self, block, last):
        if self._stream is None:
            return block
        block = np.ascontiguousarray(block.T)
        return self._stream.resample_chunk(block, last=last).T


def _resampled(
    blocks: Iterable[np.ndarray], source_rate: int, target_rate: int
) -> Iterator[np.ndarray]:
    if source_rate == target_rate:
        yield from blocks
        return
    resampler = None
    for block in blocks:
        if resampler is None:
            resampler = StreamResampler(
                len(block), source_rate, target_rate, block.dtype
            )
        yield resampler.push(block)
    if resampler is not None:
        yield resampler.flush()
