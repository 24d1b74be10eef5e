"""A band limit, as that of a call or of an old recording."""

from collections.abc import Sequence

import numpy as np

from sesame.data.audio import resample
from sesame.data.degradations.degraded import Degraded, check_waveform


class BandLimit:
    """Resamples to a lower rate and back; no delay.

    ``done``: ``bandwidth``, half the lower rate in Hz. The pass band of the resampler
    ends a little below.

    Arguments
    ---------
    rates : Sequence[int]
        Lower rates in Hz to choose from; those not below the waveform's rate leave it
        as it is.

    Raises
    ------
    ValueError
        If there is no rate, or one is below 2000 Hz.

    Example
    -------
    >>> limit = BandLimit([8000])
    >>> tone = np.sin(2 * np.pi * 6000 / 16000 * np.arange(1600)).astype(np.float32)
    >>> limited = limit(tone, 16000, np.random.default_rng(0))
    >>> bool(np.abs(limited.waveform[400:-400]).max() < 1e-4), limited.done
    (True, {'bandwidth': 4000.0})
    """

    def __init__(self, rates: Sequence[int] = (8_000, 16_000, 22_050, 24_000, 32_000)):
        if len(rates) == 0 or min(rates) < 2_000:
            raise ValueError(f"rates ({list(rates)}) must be 2000 Hz or more")
        self.rates = tuple(rates)

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Limit the band.

        Arguments
        ---------
        waveform : np.ndarray
            Samples, (L,).
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Draws the rate.

        Returns
        -------
        Degraded
            Waveform without its upper band.
        """
        check_waveform(waveform)
        rate = min(sample_rate, self.rates[rng.integers(len(self.rates))])
        lower = resample(waveform, sample_rate, rate)
        limited = resample(lower, rate, sample_rate)[: len(waveform)]
        return Degraded(limited.astype(waveform.dtype), {"bandwidth": rate / 2})
