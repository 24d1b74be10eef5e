"""Transform and bands of any sampling rate, made at its first use."""

from typing import NamedTuple

import torch

from .causal_stft import CausalSTFT
from .rate_bands import RateBands

__all__ = ["FrontEnd", "FrontEnds"]


class FrontEnd(NamedTuple):
    """Transform and bands of one sampling rate.

    Arguments
    ---------
    stft : CausalSTFT
        The transform.
    bands : RateBands
        The bands of its bins.
    """

    stft: CausalSTFT
    bands: RateBands


class FrontEnds:
    """Front ends of the sampling rates and devices that a network has met.

    Example
    -------
    >>> front_ends = FrontEnds()
    >>> front_ends(48000, "cpu").bands.num_bands
    34
    >>> front_ends(48000, "cpu") is front_ends(48000, "cpu")
    True
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, torch.device], FrontEnd] = {}

    def __call__(self, sample_rate: int, device: torch.device | str) -> FrontEnd:
        """Returns the front end of a sampling rate.

        Arguments
        ---------
        sample_rate : int
            Sampling rate [Hz], a multiple of 100 from 8000 to 48000.
        device : torch.device | str
            Where the signals are.

        Returns
        -------
        FrontEnd
            Transform and bands.

        Raises
        ------
        ValueError
            If the rate is out of range.
        """
        key = (sample_rate, torch.device(device))
        if key not in self._made:
            # They outlive the call, and inference tensors are of no use in training.
            with torch.inference_mode(False):
                stft = CausalSTFT(sample_rate)
                bands = RateBands(stft.num_bins)
                self._made[key] = FrontEnd(stft.to(device), bands.to(device))
        return self._made[key]
