"""Overlapping mel bands of a spectrum."""

import math

__all__ = ["mel_bands"]

# Edges that are whole bins by definition come out of the mel scale a rounding away.
_TOLERANCE = 1e-6


def mel_bands(n_fft: int, sample_rate: int, num_bands: int) -> list[tuple[int, int]]:
    """Divides the bins of a one-sided spectrum into bands of equal width in mel.

    ``num_bands + 2`` edges lie evenly on the mel scale from 0 to half the sampling
    rate; a band reaches from one edge to the one after the next, as in a filter bank,
    so neighbours share half their width. Every bin is in a band.

    Source: mel(f) = 2595 log10(1 + f / 700) (HTK); AudioCC-Lab/tfmoe-uss.

    Arguments
    ---------
    n_fft : int
        Length of the Fourier transform [samples], even.
    sample_rate : int
        Sampling rate [Hz].
    num_bands : int
        Number of bands G, at least 1.

    Returns
    -------
    list[tuple[int, int]]
        First bin, and bin after the last, of each band; rising.

    Raises
    ------
    ValueError
        If a number is out of range.

    Example
    -------
    >>> mel_bands(n_fft=16, sample_rate=16000, num_bands=4)
    [(0, 2), (0, 3), (1, 5), (2, 9)]
    """
    if n_fft < 2 or n_fft % 2:
        raise ValueError(f"n_fft ({n_fft}) must be even and at least 2")
    if sample_rate <= 0:
        raise ValueError(f"sample_rate ({sample_rate}) must be above 0 Hz")
    if num_bands < 1:
        raise ValueError(f"num_bands ({num_bands}) must be at least 1")
    highest = _mel(sample_rate / 2)
    edges = [
        _hertz(highest * index / (num_bands + 1)) * n_fft / sample_rate
        for index in range(num_bands + 2)
    ]
    bands = [
        (math.floor(low + _TOLERANCE), math.ceil(high - _TOLERANCE))
        for low, high in zip(edges, edges[2:], strict=False)
    ]
    # The last edge is the last bin: it belongs to the band that ends there.
    bands[-1] = (bands[-1][0], n_fft // 2 + 1)
    return bands


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)


def _hertz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)
