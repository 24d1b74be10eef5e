"""Colour of a recording: what microphone and voice do to the spectrum."""

from collections.abc import Sequence

import numpy as np
from scipy.signal import lfilter

# Of the random filters of RNNoise.
MAX_COEFFICIENT = 3 / 8


def random_colour(
    signals: Sequence[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """Filter signals of one source alike, with a random filter of second order.

    Few recordings then sound like many voices, places and microphones. The filter is
    (1 + a z^-1 + b z^-2) / (1 + c z^-1 + d z^-2), all four uniform in [-3/8, 3/8]: it
    is stable, and its gains lie 7 dB apart in the median, 22 dB at most. Levels change.

    Shape: (L,) each -> (L,) each.

    Arguments
    ---------
    signals : Sequence[np.ndarray]
        Signals, of any lengths.
    rng : np.random.Generator
        Draws the filter.

    Returns
    -------
    list[np.ndarray]
        Filtered signals, of the same dtypes.

    Source: arXiv:1709.08243 (RNNoise), its training data.

    Example
    -------
    >>> impulse = np.eye(1, 400)[0]
    >>> (response,) = random_colour([impulse], np.random.default_rng(0))
    >>> bool(response[0] == 1), bool(abs(response[-1]) < 1e-9)
    (True, True)
    """
    a, b, c, d = rng.uniform(-MAX_COEFFICIENT, MAX_COEFFICIENT, 4)
    return [
        lfilter([1, a, b], [1, c, d], signal).astype(signal.dtype) for signal in signals
    ]
