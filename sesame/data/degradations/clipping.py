"""Clipping at quantiles of the samples."""

import numpy as np

from sesame.data.degradations.degraded import Degraded, check_range, check_waveform


class Clipping:
    """Clips a waveform at a low and at a high quantile of its samples.

    ``done``: ``low`` and ``high``, the two quantiles; ``clipped``, the part of the
    samples that lay beyond them.

    Arguments
    ---------
    low : tuple[float, float]
        Range of the low quantile.
    high : tuple[float, float]
        Range of the high quantile.

    Raises
    ------
    ValueError
        If the ranges are not in order in [0, 1].

    Source: URGENT challenge, min_quantile 0-0.1 and max_quantile 0.9-1.

    Example
    -------
    >>> clip = Clipping(low=(0.25, 0.25), high=(0.75, 0.75))
    >>> ramp = np.linspace(-1, 1, 9, dtype=np.float32)
    >>> clip(ramp, 16000, np.random.default_rng(0)).waveform.tolist()
    [-0.5, -0.5, -0.5, -0.25, 0.0, 0.25, 0.5, 0.5, 0.5]
    """

    def __init__(
        self,
        low: tuple[float, float] = (0.0, 0.1),
        high: tuple[float, float] = (0.9, 1.0),
    ):
        self.low = check_range("low", low, 0, 1)
        self.high = check_range("high", high, self.low[1], 1)

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Clip.

        Arguments
        ---------
        waveform : np.ndarray
            Samples, (L,).
        sample_rate : int
            Hz; clipping does not depend on it.
        rng : np.random.Generator
            Draws the quantiles.

        Returns
        -------
        Degraded
            Clipped waveform.
        """
        check_waveform(waveform)
        low, high = float(rng.uniform(*self.low)), float(rng.uniform(*self.high))
        least, most = np.quantile(waveform, [low, high]).astype(waveform.dtype)
        clipped = float(np.mean((waveform < least) | (waveform > most)))
        done = {"low": low, "high": high, "clipped": clipped}
        return Degraded(waveform.clip(least, most), done)
