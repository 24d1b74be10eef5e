"""Resampling of whole signals and of streams, to lengths that are rules."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

__all__ = ["resample", "resample_blocks", "resampled_length"]

RESAMPLING_QUALITY = "VHQ"


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


def _resampled(
    blocks: Iterable[np.ndarray], source_rate: int, target_rate: int
) -> Iterator[np.ndarray]:
    if source_rate == target_rate:
        yield from blocks
        return
    stream = None
    for block in blocks:
        if stream is None:
            empty = block[:, :0].T
            stream = soxr.ResampleStream(
                source_rate, target_rate, len(block), block.dtype, RESAMPLING_QUALITY
            )
        yield stream.resample_chunk(np.ascontiguousarray(block.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.ascontiguousarray(empty), last=True).T
