"""xLSTM-SENet and its attentive form: bidirectional mLSTM along both axes."""

from sesame.models.attentive import attentive_block
from sesame.models.codec_2023 import Codec2023Enhancer
from sesame.models.directions import bidirectional_mlstm
from sesame.nnet import DualPathBlock, ProjectedBackbone

__all__ = ["XLSTMAttention", "XLSTMSENet"]


class XLSTMSENet(Codec2023Enhancer):
    """xLSTM-SENet, on the codec of MP-SENet 2023.

    2 203 601 parameters with the defaults; xLSTM-SENet2, with 8 blocks and an
    expansion of 2, has 2 272 849.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2501.06146; NikolaiKyhne/xLSTM-SENet@353a143, models/generator.py.

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
        Inner channels of an mLSTM mixer per channel.
    num_mlstm_heads : int
        Heads of an mLSTM cell.
    conv_width : int
        Taps of the convolution of an mLSTM mixer.

    Example
    -------
    >>> import torch
    >>> network = XLSTMSENet(num_bins=9, channels=4, num_blocks=1)
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
        num_mlstm_heads: int = 4,
        conv_width: int = 4,
    ):
        def layer() -> ProjectedBackbone:
            return ProjectedBackbone(
                bidirectional_mlstm(channels, expand, num_mlstm_heads, conv_width),
                channels,
            )

        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[DualPathBlock(layer(), layer()) for _ in range(num_blocks)],
        )


class XLSTMAttention(Codec2023Enhancer):
    """MambAttention with mLSTM in the place of Mamba.

    2 270 673 parameters with the defaults (published: 2.27 M).

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2507.00966 (xLSTM-Attention).

    Arguments
    ---------
    num_bins : int
        F, odd: n_fft // 2 + 1 with n_fft a multiple of 4.
    channels : int
        C, width of every layer.
    num_blocks : int
        Dual-path blocks.
    num_heads : int
        Attention heads, a divisor of ``channels``.
    dense_depth : int
        Layers of each dense block.
    expand : int
        Inner channels of an mLSTM mixer per channel.
    num_mlstm_heads : int
        Heads of an mLSTM cell.
    conv_width : int
        Taps of the convolution of an mLSTM mixer.

    Example
    -------
    >>> import torch
    >>> network = XLSTMAttention(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape
    torch.Size([2, 9, 6])
    """

    def __init__(
        self,
        num_bins: int = 201,
        channels: int = 64,
        num_blocks: int = 4,
        num_heads: int = 8,
        dense_depth: int = 4,
        expand: int = 4,
        num_mlstm_heads: int = 4,
        conv_width: int = 4,
    ):
        def layer() -> ProjectedBackbone:
            return ProjectedBackbone(
                bidirectional_mlstm(channels, expand, num_mlstm_heads, conv_width),
                channels,
            )

        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[
                attentive_block(layer, channels, num_heads) for _ in range(num_blocks)
            ],
        )
