"""One order of speakers for all windows of a long mixture.

A separator returns its sources in any order, another one in each window. Where two
windows overlap, both have separated the same signal: the order in which the later one
resembles the earlier one most is the same speakers' order.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

__all__ = ["SpeakerOrder", "matching_order"]


def matching_order(reference: np.ndarray, estimates: np.ndarray) -> list[int]:
    """The order in which signals differ least from reference signals.

    Of all J! orders it is the one with the smallest squared difference, which is the
    one with the largest sum of correlations. The signals are not normalised: a
    speaker who pauses, and of whom noise is left, has no say against one who speaks.

    Shape: reference (J, L), estimates (J, L) -> J indices.

    Arguments
    ---------
    reference : np.ndarray
        Signals in the order that is wanted.
    estimates : np.ndarray
        The same signals, more or less, in any order.

    Returns
    -------
    list[int]
        For each reference the index of its estimate; 0, 1, ... where nothing can be
        told, as in silence.

    Example
    -------
    >>> voices = np.random.default_rng(0).standard_normal((3, 100))
    >>> matching_order(voices, voices[[2, 0, 1]] + 0.1)
    [1, 2, 0]
    """
    products = reference.astype(np.float64) @ estimates.astype(np.float64).T
    _, order = linear_sum_assignment(products, maximize=True)
    return order.tolist()


class SpeakerOrder:
    """Brings the sources of each window into the order of those of the window before.

    The speakers keep the order of the first window. It is lost where all of them are
    silent for a whole overlap; with two speakers, one who talks there is enough.

    Example
    -------
    >>> voices = np.random.default_rng(0).standard_normal((2, 300))
    >>> order = SpeakerOrder()
    >>> _ = order(voices[:, :200], begin=0)
    >>> np.array_equal(order(voices[::-1, 100:], begin=100), voices[:, 100:])
    True
    """

    def __init__(self):
        self._sources: np.ndarray | None = None
        self._begin = 0

    def __call__(self, sources: np.ndarray, begin: int) -> np.ndarray:
        """Orders the sources of the next window.

        Shape: sources (J, L) -> the same.

        Arguments
        ---------
        sources : np.ndarray
            Sources of a window that overlaps with the one before.
        begin : int
            Where the window begins in the signal [samples], not before the last one.

        Returns
        -------
        np.ndarray
            The sources in the order of the first window.
        """
        if self._sources is not None:
            before = self._sources[:, begin - self._begin :]
            shared = min(before.shape[1], sources.shape[1])
            order = matching_order(before[:, :shared], sources[:, :shared])
            sources = sources[order]
        self._sources, self._begin = sources, begin
        return sources
