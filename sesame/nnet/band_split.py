"""From the bins of a spectrum to features of bands, and back to complex masks.

Bands of one width are computed together, with stacked parameters: seventeen steps for
the eighty mel bands of TF-MoE.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from sesame.features import at_least_float32

__all__ = ["BandMaskDecoder", "BandSplit"]


class BandSplit(nn.Module):
    """Normalises the bins of each band and maps them to a vector per frame.

    Each band has its own normalisation, over its bins and all frames of an utterance,
    and its own linear map: the level of a band does not reach its features.

    Shape: spectrum (B, F, T) complex -> (B, C, T, G).
    Source: espnet, espnet2/enh/layers/bsrnn.py (BandSplit).

    Arguments
    ---------
    bands : Sequence[tuple[int, int]]
        First bin, and bin after the last, of each of G bands; together all F bins.
    channels : int
        Width C of a band's features.
    in_channels : int
        Real numbers per bin: 2 for one complex spectrum, 2 M for M of them, given as
        (B, M, F, T).

    Raises
    ------
    ValueError
        If the bands leave out a bin, or ``in_channels`` is odd.

    Example
    -------
    >>> split = BandSplit([(0, 2), (1, 4), (3, 9)], channels=8)
    >>> split(torch.randn(2, 9, 5, dtype=torch.complex64)).shape
    torch.Size([2, 8, 5, 3])
    """

    bins: Tensor
    ranks: Tensor

    def __init__(
        self, bands: Sequence[tuple[int, int]], channels: int, in_channels: int = 2
    ):
        super().__init__()
        if in_channels < 2 or in_channels % 2:
            raise ValueError(f"in_channels ({in_channels}) must be even and at least 2")
        layout = _lay_out(bands)
        self.num_spectra = in_channels // 2
        self.num_bins = layout.num_bins
        self.register_buffer("bins", torch.tensor(layout.bins), persistent=False)
        ranks = torch.tensor(layout.order).argsort()
        self.register_buffer("ranks", ranks, persistent=False)
        self.groups = nn.ModuleList(
            _BandEncoder(count, width * in_channels, channels)
            for count, width in layout.groups
        )
        self.group_bins = [count * width for count, width in layout.groups]

    def forward(self, spectrum: Tensor) -> Tensor:
        """Returns the features of all bands.

        Arguments
        ---------
        spectrum : Tensor
            Complex (B, F, T), or (B, M, F, T).

        Returns
        -------
        Tensor
            (B, C, T, G), bands in the order they were given in.

        Raises
        ------
        ValueError
            If the spectrum has another shape.
        """
        spectra = spectrum.unsqueeze(1) if spectrum.ndim == 3 else spectrum
        if spectra.ndim != 4 or spectra.shape[1:3] != (self.num_spectra, self.num_bins):
            raise ValueError(
                f"expected spectrum (B, {self.num_spectra}, {self.num_bins}, T), "
                f"got {tuple(spectrum.shape)}"
            )
        parts = rearrange(torch.view_as_real(spectra), "b m f t r -> f b t (m r)")
        parts = parts.index_select(0, self.bins).split(self.group_bins)
        features = [
            group(rearrange(part, "(g w) b t i -> g b t (w i)", g=group.num_bands))
            for group, part in zip(self.groups, parts, strict=True)
        ]
        features = torch.cat(features).index_select(0, self.ranks)
        return rearrange(features, "g b t c -> b c t g")


class BandMaskDecoder(nn.Module):
    """Estimates, for each source, a complex mask and a complex residual.

    Each band has two small networks of its own, one for masks and one for residuals:
    normalisation, linear, tanh, linear, GLU. A bin that several bands cover gets the
    mean of what they say. The estimate of a source is mask * mixture + residual.

    Shape: features (B, C, T, G) -> mask and residual, both (B, J, F, T) complex.
    Source: espnet, espnet2/enh/layers/bsrnn.py (MaskDecoder).

    Arguments
    ---------
    bands : Sequence[tuple[int, int]]
        First bin, and bin after the last, of each of G bands; together all F bins.
    channels : int
        Width C of a band's features.
    num_sources : int
        J, sources to estimate, at least 1.
    expansion : int
        Hidden units per channel.

    Raises
    ------
    ValueError
        If the bands leave out a bin, or ``num_sources`` is less than 1.

    Example
    -------
    >>> decoder = BandMaskDecoder([(0, 2), (1, 4), (3, 9)], channels=8, num_sources=2)
    >>> mask, residual = decoder(torch.randn(3, 8, 5, 3))
    >>> mask.shape, mask.dtype
    (torch.Size([3, 2, 9, 5]), torch.complex64)
    """

    bins: Tensor
    order: Tensor
    coverage: Tensor

    def __init__(
        self,
        bands: Sequence[tuple[int, int]],
        channels: int,
        num_sources: int,
        expansion: int = 4,
    ):
        super().__init__()
        if num_sources < 1:
            raise ValueError(f"num_sources ({num_sources}) must be at least 1")
        layout = _lay_out(bands)
        self.num_sources = num_sources
        bins = torch.tensor(layout.bins)
        self.register_buffer("bins", bins, persistent=False)
        self.register_buffer("order", torch.tensor(layout.order), persistent=False)
        coverage = bins.bincount().float()
        self.register_buffer("coverage", coverage, persistent=False)
        # Masks of the bands, then residuals, side by side.
        self.groups = nn.ModuleList(
            _BandDecoder(
                2 * count, channels, expansion * channels, 2 * num_sources * width
            )
            for count, width in layout.groups
        )
        self.group_bands = [count for count, _ in layout.groups]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns masks and residuals of all bins.

        Arguments
        ---------
        features : Tensor
            (B, C, T, G).

        Returns
        -------
        tuple[Tensor, Tensor]
            Mask and residual, (B, J, F, T), complex64 also under autocast.

        Raises
        ------
        ValueError
            If the features are not those of G bands.
        """
        if features.ndim != 4 or features.shape[3] != len(self.order):
            raise ValueError(
                f"expected features (B, C, T, {len(self.order)}), "
                f"got {tuple(features.shape)}"
            )
        x = rearrange(features, "b c t g -> g b t c").index_select(0, self.order)
        values = [
            rearrange(
                group(torch.cat((part, part))),
                "(k g) b t (j w r) -> (g w) k b j t r",
                k=2,
                j=self.num_sources,
                r=2,
            )
            for group, part in zip(self.groups, x.split(self.group_bands), strict=True)
        ]
        values = at_least_float32(torch.cat(values))
        sums = values.new_zeros(len(self.coverage), *values.shape[1:])
        sums = sums.index_add(0, self.bins, values)
        means = sums / self.coverage[:, None, None, None, None, None]
        means = rearrange(means, "f k b j t r -> k b j f t r").contiguous()
        mask, residual = torch.view_as_complex(means)
        return mask, residual


class _BandNorm(nn.Module):
    """Normalises bands (G, B, T, I), each over the frames and inputs of an item."""

    def __init__(self, num_bands: int, num_inputs: int):
        super().__init__()
        # Vectors, as those of every norm: matrices would decay in training.
        self.weight = nn.Parameter(torch.ones(num_bands * num_inputs))
        self.bias = nn.Parameter(torch.zeros(num_bands * num_inputs))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x, x.shape[2:])
        shape = (len(x), 1, 1, -1)
        return torch.addcmul(self.bias.view(shape), x, self.weight.view(shape))


class _BandLinear(nn.Module):
    """A linear map for each of several bands, (G, B, T, I) -> (G, B, T, O)."""

    def __init__(self, num_bands: int, num_inputs: int, num_outputs: int):
        super().__init__()
        bound = num_inputs**-0.5  # as nn.Linear draws its parameters
        weight = torch.empty(num_bands, num_inputs, num_outputs)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))
        bias = torch.empty(num_bands, num_outputs)
        self.bias = nn.Parameter(bias.uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(1, 2)
        mapped = torch.baddbmm(self.bias.unsqueeze(1), rows, self.weight)
        return mapped.unflatten(1, x.shape[1:3])


class _BandEncoder(nn.Module):
    """Bands of one width: normalisation and linear map."""

    def __init__(self, num_bands: int, num_inputs: int, channels: int):
        super().__init__()
        self.num_bands = num_bands
        self.norm = _BandNorm(num_bands, num_inputs)
        self.projection = _BandLinear(num_bands, num_inputs, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(self.norm(x))


class _BandDecoder(nn.Module):
    """Bands of one width: normalisation, linear, tanh, linear, GLU."""

    def __init__(
        self, num_bands: int, channels: int, hidden_channels: int, num_outputs: int
    ):
        super().__init__()
        self.norm = _BandNorm(num_bands, channels)
        self.hidden = _BandLinear(num_bands, channels, hidden_channels)
        self.output = _BandLinear(num_bands, hidden_channels, 2 * num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(self.output(self.hidden(self.norm(x)).tanh()), dim=-1)


class _Layout(NamedTuple):
    """Bands sorted by width: number and width of each group, indices, and bins."""

    num_bins: int
    groups: list[tuple[int, int]]
    order: list[int]
    bins: list[int]


def _lay_out(bands: Sequence[tuple[int, int]]) -> _Layout:
    widths = [stop - start for start, stop in bands]
    order = sorted(range(len(bands)), key=widths.__getitem__)
    bins = [index for band in order for index in range(*bands[band])]
    num_bins = max((stop for _, stop in bands), default=0)
    if not bands or min(widths) < 1 or set(bins) != set(range(num_bins)):
        raise ValueError(
            f"bands ({list(bands)}) must each have a bin, and together all from 0 on"
        )
    groups = [(widths.count(width), width) for width in sorted(set(widths))]
    return _Layout(num_bins, groups, order, bins)
