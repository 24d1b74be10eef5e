"""Decoders: features at half the bins to a magnitude mask or a phase."""

import torch
from einops import rearrange
from torch import nn

from sesame.nnet.activations import LearnableSigmoid
from sesame.nnet.conv import ConvUnit, DenseBlock, SubPixelConv

__all__ = [
    "MagnitudeMaskDecoder",
    "MagnitudeMaskDecoder2023",
    "PhaseDecoder",
    "PhaseDecoder2023",
]


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    """Leaves half precision: 8 bits are too few for a mask or a phase."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _Decoder(nn.Module):
    """Dense block, up-sampling and projection that all four decoders share."""

    def __init__(self, dense: nn.Module, upsample: nn.Module, projection: nn.Module):
        super().__init__()
        self.dense = dense
        self.upsample = upsample
        self.projection = projection

    def project(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, F') -> (B, projection's channels, F, T), float32 or wider."""
        x = self.projection(self.upsample(self.dense(x)))
        return rearrange(_at_least_float32(x), "b c t f -> b c f t")


class _MaskDecoder(_Decoder):
    """Decoder with one projected channel and a sigmoid per bin."""

    def __init__(self, num_bins: int, beta: float, **parts: nn.Module):
        super().__init__(**parts)
        self.activation = LearnableSigmoid(num_bins, beta)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the mask (B, F, T), in (0, beta), of features (B, C, T, F')."""
        return self.activation(self.project(x).squeeze(1))


class _PhaseDecoder(_Decoder):
    """Decoder with two projected channels, the cosine and the sine direction."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the phase (B, F, T), in radians, of features (B, C, T, F')."""
        real, imaginary = self.project(x).unbind(1)
        return torch.atan2(imaginary, real)


def _subpixel_upsampling(channels: int) -> nn.Module:
    return nn.Sequential(
        SubPixelConv(channels, channels),
        nn.InstanceNorm2d(channels, affine=True),
        nn.PReLU(channels),
    )


class MagnitudeMaskDecoder(_MaskDecoder):
    """Mask decoder of the current MP-SENet.

    Shape: (B, C, T, F') -> mask (B, F, T) in (0, beta), F = num_bins = 2 F' - 1.
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py.

    Arguments
    ---------
    channels : int
        C, channels of the features.
    num_bins : int
        F, bins of the mask, odd.
    depth : int
        Layers of the dense block.
    beta : float
        Ceiling of the mask, which multiplies the compressed magnitude.

    Example
    -------
    >>> decoder = MagnitudeMaskDecoder(channels=4, num_bins=9, depth=2)
    >>> decoder(torch.randn(1, 4, 6, 5)).shape
    torch.Size([1, 9, 6])
    """

    def __init__(self, channels: int, num_bins: int, depth: int = 4, beta: float = 2.0):
        super().__init__(
            num_bins,
            beta,
            dense=DenseBlock(channels, depth),
            upsample=_subpixel_upsampling(channels),
            projection=nn.Conv2d(channels, 1, (1, 2)),
        )


class PhaseDecoder(_PhaseDecoder):
    """Phase decoder of the current MP-SENet.

    Shape: (B, C, T, F') -> phase (B, F, T) in radians, in [-pi, pi], F = 2 F' - 1.
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py.

    Arguments
    ---------
    channels : int
        C, channels of the features.
    depth : int
        Layers of the dense block.

    Example
    -------
    >>> PhaseDecoder(channels=4, depth=2)(torch.randn(1, 4, 6, 5)).shape
    torch.Size([1, 9, 6])
    """

    def __init__(self, channels: int, depth: int = 4):
        super().__init__(
            dense=DenseBlock(channels, depth),
            upsample=_subpixel_upsampling(channels),
            projection=nn.Conv2d(channels, 2, (1, 2)),
        )


class MagnitudeMaskDecoder2023(_MaskDecoder):
    """Mask decoder of MP-SENet 2023, SEMamba, MambAttention and xLSTM-SENet.

    The single mask channel is normalised over the utterance, so the level of the mask
    depends on the utterance's length and silence. Its last layer, one weight and one
    bias, starts as the identity: drawn at random like other layers, the weight may
    start near 0, and then the mask stays near 1 for thousands of steps.

    Shape: (B, C, T, F') -> mask (B, F, T) in (0, beta), F = num_bins = 2 F' + 1.
    Source: RoyChao19477/SEMamba@750ff5d, models/codec_module.py.

    Arguments
    ---------
    channels : int
        C, channels of the features.
    num_bins : int
        F, bins of the mask, odd.
    depth : int
        Layers of the dense block.
    beta : float
        Ceiling of the mask, which multiplies the compressed magnitude.

    Example
    -------
    >>> decoder = MagnitudeMaskDecoder2023(channels=4, num_bins=9, depth=2)
    >>> decoder(torch.randn(1, 4, 6, 4)).shape
    torch.Size([1, 9, 6])
    """

    def __init__(self, channels: int, num_bins: int, depth: int = 4, beta: float = 2.0):
        super().__init__(
            num_bins,
            beta,
            dense=DenseBlock(channels, depth, causal=False),
            upsample=nn.ConvTranspose2d(channels, channels, (1, 3), stride=(1, 2)),
            projection=nn.Sequential(
                ConvUnit(channels, 1, (1, 1)), nn.Conv2d(1, 1, (1, 1))
            ),
        )
        nn.init.ones_(self.projection[1].weight)
        nn.init.zeros_(self.projection[1].bias)


class PhaseDecoder2023(_PhaseDecoder):
    """Phase decoder of MP-SENet 2023, SEMamba, MambAttention and xLSTM-SENet.

    Shape: (B, C, T, F') -> phase (B, F, T) in radians, in [-pi, pi], F = 2 F' + 1.
    Source: RoyChao19477/SEMamba@750ff5d, models/codec_module.py.

    Arguments
    ---------
    channels : int
        C, channels of the features.
    depth : int
        Layers of the dense block.

    Example
    -------
    >>> PhaseDecoder2023(channels=4, depth=2)(torch.randn(1, 4, 6, 4)).shape
    torch.Size([1, 9, 6])
    """

    def __init__(self, channels: int, depth: int = 4):
        super().__init__(
            dense=DenseBlock(channels, depth, causal=False),
            upsample=nn.Sequential(
                nn.ConvTranspose2d(channels, channels, (1, 3), stride=(1, 2)),
                nn.InstanceNorm2d(channels, affine=True),
                nn.PReLU(channels),
            ),
            projection=nn.Conv2d(channels, 2, (1, 1)),
        )
