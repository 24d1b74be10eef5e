"""From spectra at any sampling rate to features of bands and back, slimmable."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sesame.features import at_least_float32
from sesame.features.rate_bands import BAND_GROUPS, RateBands
from sesame.nnet.slimmable import FlexLinear

__all__ = ["RateBandDecoder", "RateBandEncoder"]

# The amplitude of a bin that counts as 1, about that of speech at a usual level, where
# full scale is 1: what a network sees is then about 1, as its masks are.
_UNIT = 2.0**-10
# Smallest magnitude that compression tells from zero, in these units.
_FLOOR = 1e-5


class RateBandEncoder(nn.Module):
    """Features of bands of a mixture and, where there is one, a reference signal.

    Each bin is compressed by itself, without statistics of the signal. Bands of about
    the same width share a map, of whose channels every other one is replaced by the
    length of the vector that it makes with the one before. The phases of noise are
    random: averages over time, as attention takes them, are of no use to a network
    before it has something that has a mean. An embedding of its own tells each band's
    frequency.

    Shape: spectra (B, T, F, 2) -> (B, T, G, C), C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full encoder, even.
    exponent : float
        Power to which magnitudes are raised, in (0, 1].

    Raises
    ------
    ValueError
        If ``channels`` is odd, or ``exponent`` out of range.

    Example
    -------
    >>> encoder, bands = RateBandEncoder(8), RateBands(161)
    >>> encoder(torch.randn(1, 3, 161, 2), None, bands, channels=4).shape
    torch.Size([1, 3, 27, 4])
    """

    def __init__(self, channels: int, exponent: float = 0.5):
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"channels ({channels}) must be even, at least 2")
        if not 0 < exponent <= 1:
            raise ValueError(f"exponent ({exponent}) must be in (0, 1]")
        self.exponent = exponent
        # Real and imaginary parts of the mixture and of the reference.
        self.maps = nn.ModuleList(FlexLinear(4 * w, channels) for w in BAND_GROUPS)
        num_bands = RateBands.most_bands()
        self.embedding = nn.Parameter(torch.randn(num_bands, channels) * 0.5)

    def forward(
        self,
        mixture: Tensor,
        reference: Tensor | None,
        bands: RateBands,
        channels: int,
        added: Tensor | None = None,
    ) -> Tensor:
        """Encodes frame by frame.

        Arguments
        ---------
        mixture : Tensor
            Spectrum (B, T, F, 2): real and imaginary parts.
        reference : Tensor | None
            Spectrum of the same shape; ``None``: silence.
        bands : RateBands
            Bands of these F bins.
        channels : int
            C, even.
        added : Tensor | None
            Added to what the maps give, (B, T, G, C): maps of another spectrum.

        Returns
        -------
        Tensor
            (B, T, G, C), at least float32 also under autocast.
        """
        if reference is None:
            x = torch.cat((self.compress(mixture), torch.zeros_like(mixture)), dim=-1)
        else:
            both = torch.stack((mixture, reference), dim=-2)
            x = self.compress(both).flatten(-2)
        groups = bands.split(x)
        features = torch.cat(
            [
                linear(group, channels)
                for linear, group in zip(self.maps, groups, strict=False)
            ],
            dim=2,
        )
        features = at_least_float32(features)
        features = features if added is None else features + added
        pairs = features.unflatten(-1, (-1, 2))
        lengths = torch.linalg.vector_norm(pairs, dim=-1)
        features = torch.stack((pairs[..., 0], lengths), dim=-1).flatten(-2)
        return features + self.embedding[: bands.num_bands, :channels]

    def compress(self, x: Tensor) -> Tensor:
        """Raises the magnitude of each bin, in units of 2^-10, to the encoder's power.

        Arguments
        ---------
        x : Tensor
            Spectrum (..., 2): real and imaginary parts.

        Returns
        -------
        Tensor
            The same phases, (..., 2).

        Example
        -------
        >>> RateBandEncoder(8).compress(torch.tensor([0.0, -4.0]) / 1024)
        tensor([ 0., -2.])
        """
        x = x / _UNIT
        magnitude = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * magnitude.clamp_min(_FLOOR) ** (self.exponent - 1)


class RateBandDecoder(nn.Module):
    """Complex masks of the mixture and of its continuation: Y = m X + q P.

    The continuation P is there where the mixture is not, as in a lost packet. Its mask
    starts near 0, that of the mixture near 1.

    Shape: features (B, T, G, C) -> (B, T, F, 2), C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full decoder.

    Example
    -------
    >>> decoder, bands = RateBandDecoder(8), RateBands(161)
    >>> spectrum = torch.randn(1, 3, 161, 2)
    >>> lost = torch.zeros_like(spectrum)
    >>> decoder(torch.randn(1, 3, 27, 4), spectrum, lost, bands).shape
    torch.Size([1, 3, 161, 2])
    """

    def __init__(self, channels: int):
        super().__init__()
        self.hidden = nn.ModuleList(FlexLinear(channels, channels) for _ in BAND_GROUPS)
        self.outputs = nn.ModuleList(FlexLinear(channels, 4 * w) for w in BAND_GROUPS)
        for output in self.outputs:
            with torch.no_grad():
                output.weight.mul_(0.1)
                output.bias[0::4] = 1

    def forward(
        self,
        features: Tensor,
        mixture: Tensor,
        continued: Tensor | None,
        bands: RateBands,
    ) -> Tensor:
        """Decodes frame by frame.

        Arguments
        ---------
        features : Tensor
            (B, T, G, C).
        mixture : Tensor
            Spectrum (B, T, F, 2).
        continued : Tensor | None
            Its continuation of the same shape, see ``continue_spectrum``; ``None``:
            zeros.
        bands : RateBands
            Bands of these F bins.

        Returns
        -------
        Tensor
            Spectrum (B, T, F, 2), at least float32 also under autocast.
        """
        channels = features.shape[-1]
        parts = features.split(bands.counts, dim=2)
        groups = [
            output(F.silu(hidden(part, channels)))
            for hidden, output, part in zip(
                self.hidden, self.outputs, parts, strict=False
            )
        ]
        values = at_least_float32(bands.join(groups))
        masks = values.split(2, dim=-1)
        masked = _masked(masks[0], mixture)
        return masked if continued is None else masked + _masked(masks[1], continued)


def _masked(mask, x):
    turned = torch.stack((-x[..., 1], x[..., 0]), dim=-1)
    return torch.addcmul(mask[..., :1] * x, mask[..., 1:], turned)
