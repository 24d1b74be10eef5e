"""The frame of the systems built on the codec of MP-SENet 2023."""

from collections.abc import Iterable

from torch import nn

from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.nnet import DenseEncoder2023, MagnitudeMaskDecoder2023, PhaseDecoder2023

__all__ = ["Codec2023Enhancer"]


class Codec2023Enhancer(MagPhaseEnhancer):
    """Encoder and decoders of MP-SENet 2023 around any dual-path blocks.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2305.13686; RoyChao19477/SEMamba@750ff5d, models/codec_module.py.

    Arguments
    ---------
    num_bins : int
        F, odd: n_fft // 2 + 1 with n_fft a multiple of 4.
    channels : int
        C, width of every layer.
    dense_depth : int
        Layers of each dense block.
    blocks : Iterable[nn.Module]
        Each maps (B, C, T, F') and a context (B, T, D) or None to (B, C, T, F').
    noise_context : nn.Module | None
        Maps the magnitude (B, F, T) to the context (B, T, D) of the blocks.

    Raises
    ------
    ValueError
        If ``num_bins`` is not an odd number of at least 3.

    Example
    -------
    >>> import torch
    >>> network = Codec2023Enhancer(num_bins=9, channels=4, dense_depth=1, blocks=[])
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape
    torch.Size([2, 9, 6])
    """

    def __init__(
        self,
        num_bins: int,
        channels: int,
        dense_depth: int,
        blocks: Iterable[nn.Module],
        noise_context: nn.Module | None = None,
    ):
        if num_bins < 3 or num_bins % 2 == 0:
            raise ValueError(f"num_bins ({num_bins}) must be odd and at least 3")
        super().__init__(
            encoder=DenseEncoder2023(channels, dense_depth),
            blocks=blocks,
            mask_decoder=MagnitudeMaskDecoder2023(channels, num_bins, dense_depth),
            phase_decoder=PhaseDecoder2023(channels, dense_depth),
            noise_context=noise_context,
        )
