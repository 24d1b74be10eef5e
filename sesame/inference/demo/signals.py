"""Files of the demo as signals for its pictures and scores."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..audio_files import check_audio, read_blocks
from ..resampling import resample_blocks, resampled_length

__all__ = ["MAP_SECONDS", "beginning", "read_mono", "read_shown"]

# Beyond it, pictures and scores hold nothing that people hear.
MAX_SHOWN_RATE = 48_000  # Hz
# The map comes from one pass of the network, whose memory grows with the length.
MAP_SECONDS = 12.0


def read_shown(
    files: Mapping[str, str | Path], sample_rate: int
) -> tuple[dict[str, np.ndarray], int]:
    """Reads the mean of all channels of files, at a rate that pictures need.

    Shape: signals (L,).

    Arguments
    ---------
    files : Mapping[str, str | Path]
        Audio files by title.
    sample_rate : int
        Rate of the upload, Hz.

    Returns
    -------
    tuple[dict[str, np.ndarray], int]
        Signals by title, and their rate, Hz: the upload's, up to 48 kHz.

    Raises
    ------
    ValueError
        As ``check_audio``.

    Example
    -------
    >>> import soundfile
    >>> path = Path(getfixture("tmp_path")) / "a.wav"
    >>> soundfile.write(path, np.zeros(960), 96_000)
    >>> signals, rate = read_shown({"noisy": path}, 96_000)
    >>> signals["noisy"].shape, rate
    ((480,), 48000)
    """
    rate = min(sample_rate, MAX_SHOWN_RATE)
    return {title: read_mono(path, rate) for title, path in files.items()}, rate


def beginning(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """The part of a signal whose experts are shown.

    Shape: (L,) -> (min(L, samples of 12 s),).

    Arguments
    ---------
    signal : np.ndarray
        Any signal.
    sample_rate : int
        Its rate, Hz.

    Returns
    -------
    np.ndarray
        A view.

    Example
    -------
    >>> beginning(np.zeros(200_000), 16_000).shape
    (192000,)
    """
    return signal[: math.ceil(MAP_SECONDS * sample_rate)]


def read_mono(path: str | Path, sample_rate: int) -> np.ndarray:
    """Reads the mean of all channels at a rate; never holds the channels themselves.

    Shape: -> (L,), L = ceil(length * sample_rate / rate of the file).

    Arguments
    ---------
    path : str | Path
        Audio file.
    sample_rate : int
        Rate of the result, Hz.

    Returns
    -------
    np.ndarray
        float64, full scale 1.

    Raises
    ------
    ValueError
        As ``check_audio``.

    Example
    -------
    >>> import soundfile
    >>> path = Path(getfixture("tmp_path")) / "a.wav"
    >>> soundfile.write(path, np.full((8000, 2), [0.5, 0.0]), 16000)
    >>> read_mono(path, 8000).shape
    (4000,)
    """
    info = check_audio(path)
    length = resampled_length(info.num_frames, info.sample_rate, sample_rate)
    mono = (block.mean(axis=0, keepdims=True) for block in read_blocks(path))
    blocks = resample_blocks(mono, info.sample_rate, sample_rate, length)
    return np.concatenate(list(blocks), axis=-1)[0]
