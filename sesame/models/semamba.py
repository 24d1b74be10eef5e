"""SEMamba: bidirectional Mamba along time and frequency."""

from sesame.models.codec_2023 import Codec2023Enhancer
from sesame.models.directions import bidirectional_mamba
from sesame.nnet import DualPathBlock, ProjectedBackbone

__all__ = ["SEMamba"]


class SEMamba(Codec2023Enhancer):
    """SEMamba, on the codec of MP-SENet 2023.

    2 258 769 parameters with the defaults.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2405.06573; RoyChao19477/SEMamba@750ff5d, models/generator.py.

    Arguments
    ---------
    num_bins : int
        F, odd: n_fft // 2 + 1 with n_fft a multiple of 4.
    channels : int
        C, width of every layer.
    num_blocks : int
        Dual-path blocks.
    dense_depth : int
        Layers of each dense block.
    expand : int
        Inner channels of a Mamba mixer per channel.
    state_size : int
        P, states of each inner channel.
    conv_width : int
        Taps of the convolution of a Mamba mixer.

    Example
    -------
    >>> import torch
    >>> network = SEMamba(num_bins=9, channels=4, num_blocks=1)
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape
    torch.Size([2, 9, 6])
    """

    def __init__(
        self,
        num_bins: int = 201,
        channels: int = 64,
        num_blocks: int = 4,
        dense_depth: int = 4,
        expand: int = 4,
        state_size: int = 16,
        conv_width: int = 4,
    ):
        def layer() -> ProjectedBackbone:
            backbone = bidirectional_mamba(channels, expand, state_size, conv_width)
            return ProjectedBackbone(backbone, channels)

        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[DualPathBlock(layer(), layer()) for _ in range(num_blocks)],
        )
