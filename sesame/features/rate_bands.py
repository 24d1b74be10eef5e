"""Bands of bins 50 Hz apart that mean the same at every sampling rate."""

import torch
from torch import Tensor, nn

__all__ = ["BAND_GROUPS", "RateBands"]

# Bins of each band up to 24 kHz, and of the widest band of each group: bands of a group
# have about the same width, so that one map serves them all.
_WIDTHS = (5, *[4] * 19, *[10] * 6, *[40] * 7, 60)
_COUNTS = (20, 6, 7, 1)
BAND_GROUPS = (5, 10, 40, 60)


class RateBands(nn.Module):
    """Splits the bins below half a sampling rate into bands, and puts them together.

    A band is as wide at every rate. Rates differ in how many bands there are, 20 at 8
    kHz to 34 at 48 kHz; the last one may be filled up with zeros.

    Shape: (B, T, F, V) <-> for each group of bands of about the same width (B, T, G,
    W * V), V values per bin, W bins per band: those of ``BAND_GROUPS`` that are there.
    Source: arXiv:2305.15758 and espnet (BSRNN for several sampling rates).

    Arguments
    ---------
    num_bins : int
        F, bins from 0 Hz on, at most 481.

    Raises
    ------
    ValueError
        If there is no bin, or more than the bands cover.

    Example
    -------
    >>> bands = RateBands(161)
    >>> bands.num_bands
    27
    >>> [tuple(group.shape) for group in bands.split(torch.zeros(1, 3, 161, 2))]
    [(1, 3, 20, 10), (1, 3, 6, 20), (1, 3, 1, 80)]
    """

    bins: Tensor
    places: Tensor

    def __init__(self, num_bins: int) -> None:
        super().__init__()
        if not 1 <= num_bins <= sum(_WIDTHS):
            raise ValueError(f"num_bins ({num_bins}) must be in [1, {sum(_WIDTHS)}]")
        self.num_bins = num_bins
        groups = [group for group, count in enumerate(_COUNTS) for _ in range(count)]
        self.counts = [0] * len(_COUNTS)
        # A bin that a band lacks is taken from behind the last one, where zeros are.
        bins, start = [], 0
        for width, group in zip(_WIDTHS, groups, strict=True):
            if start >= num_bins:
                break
            stop = min(start + width, num_bins)
            padding = [num_bins] * (BAND_GROUPS[group] - (stop - start))
            bins += [*range(start, stop), *padding]
            self.counts[group] += 1
            start = stop
        self.counts = [count for count in self.counts if count]
        self.num_bands = sum(self.counts)
        places = [bins.index(index) for index in range(num_bins)]
        self.register_buffer("bins", torch.tensor(bins), persistent=False)
        self.register_buffer("places", torch.tensor(places), persistent=False)

    @staticmethod
    def most_bands() -> int:
        """Number of bands at the highest rate.

        Returns
        -------
        int
            34.

        Example
        -------
        >>> RateBands.most_bands() == RateBands(481).num_bands
        True
        """
        return len(_WIDTHS)

    def split(self, x: Tensor) -> list[Tensor]:
        """Gathers the bins of each band.

        Arguments
        ---------
        x : Tensor
            (B, T, F, V).

        Returns
        -------
        list[Tensor]
            (B, T, G, W * V) for each group.

        Raises
        ------
        ValueError
            If x has other bins.
        """
        if x.ndim != 4 or x.shape[2] != self.num_bins:
            raise ValueError(
                f"expected (B, T, {self.num_bins}, V), got {tuple(x.shape)}"
            )
        # Cheaper than padding, which counts where a stream comes frame by frame.
        zero = x.new_zeros(*x.shape[:2], 1, x.shape[3])
        padded = torch.cat((x, zero), dim=2).index_select(2, self.bins)
        sizes = [
            count * width
            for count, width in zip(self.counts, BAND_GROUPS, strict=False)
        ]
        return [
            part.reshape(*x.shape[:2], count, -1)
            for count, part in zip(self.counts, padded.split(sizes, 2), strict=True)
        ]

    def join(self, groups: list[Tensor]) -> Tensor:
        """Puts the bins of all bands in order: what ``split`` has taken apart.

        Arguments
        ---------
        groups : list[Tensor]
            (B, T, G, W * V) for each group.

        Returns
        -------
        Tensor
            (B, T, F, V).

        Example
        -------
        >>> bands, x = RateBands(81), torch.randn(1, 2, 81, 4)
        >>> torch.equal(bands.join(bands.split(x)), x)
        True
        """
        parts = [
            group.reshape(*group.shape[:2], count * width, -1)
            for group, count, width in zip(
                groups, self.counts, BAND_GROUPS, strict=False
            )
        ]
        return torch.cat(parts, dim=2).index_select(2, self.places)
