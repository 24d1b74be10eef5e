"""The 30 ms frames that segmental SNR, LLR and WSS share."""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Frames handled at once: 2048 frames (15 s at 16 kHz) keep an hour of audio in 100 MB.
BLOCK = 2048


def frame_sizes(sample_rate: int) -> tuple[int, int]:
    """Length and hop of a frame: 30 ms and a quarter of it.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Returns
    -------
    tuple[int, int]
        Frame length and hop, samples.

    Example
    -------
    >>> frame_sizes(16000)
    (480, 120)
    """
    length = round(30 * sample_rate / 1000)
    return length, length // 4


def count_frames(num_samples: int, sample_rate: int) -> int:
    """Number of frames; the last one that would fit is left out, as in MATLAB.

    Arguments
    ---------
    num_samples : int
        Length of the signal, samples.
    sample_rate : int
        Hz.

    Returns
    -------
    int
        Number of frames, at least 0.

    Example
    -------
    >>> count_frames(33483, 16000), count_frames(480, 16000)
    (275, 0)
    """
    length, hop = frame_sizes(sample_rate)
    return max(0, int(num_samples / hop - length / hop))


def frame_blocks(
    estimate: np.ndarray, target: np.ndarray, sample_rate: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Windowed frames of both signals, some thousands at a time.

    The window is a Hann window without zeros at its ends.

    Shape: estimate (L,), target (L,) -> pairs of (T', frame length), T' <= 2048.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test.
    target : np.ndarray
        Clean reference, the same length.
    sample_rate : int
        Hz.

    Yields
    ------
    tuple[np.ndarray, np.ndarray]
        Frames of the estimate and of the target.

    Example
    -------
    >>> [e.shape for e, t in frame_blocks(np.ones(16000), np.ones(16000), 16000)]
    [(129, 480)]
    """
    length, hop = frame_sizes(sample_rate)
    num_frames = count_frames(target.size, sample_rate)
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))
    for start in range(0, num_frames, BLOCK):
        stop = min(start + BLOCK, num_frames)
        part = slice(start * hop, (stop - 1) * hop + length)
        yield tuple(
            sliding_window_view(signal[part], length)[::hop] * window
            for signal in (estimate, target)
        )
