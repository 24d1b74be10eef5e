"""LSTM-SENet and its attentive form: bidirectional LSTM along both axes."""

from sesame.models.attentive import attentive_block
from sesame.models.codec_2023 import Codec2023Enhancer
from sesame.models.directions import bidirectional_lstm
from sesame.nnet import DualPathBlock, ProjectedBackbone

__all__ = ["LSTMAttention", "LSTMSENet"]


class LSTMSENet(Codec2023Enhancer):
    """LSTM-SENet, the block variant: xLSTM-SENet with LSTMs for its mLSTM blocks.

    2 344 273 parameters with the defaults (published: 2.34 M, without the sizes).

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2501.06146, section 4.

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
    hidden_channels : int
        Width of the state of each LSTM.

    Example
    -------
    >>> import torch
    >>> network = LSTMSENet(num_bins=9, channels=4, num_blocks=1, hidden_channels=6)
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
        hidden_channels: int = 98,
    ):
        def layer() -> ProjectedBackbone:
            return ProjectedBackbone(
                bidirectional_lstm(channels, hidden_channels), channels
            )

        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[DualPathBlock(layer(), layer()) for _ in range(num_blocks)],
        )


class LSTMAttention(Codec2023Enhancer):
    """MambAttention with LSTMs in the place of Mamba.

    2 483 537 parameters with the defaults (published: 2.48 M, without the sizes).

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2507.00966 (LSTM-Attention).

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
    hidden_channels : int
        Width of the state of each LSTM.

    Example
    -------
    >>> import torch
    >>> network = LSTMAttention(
    ...     num_bins=9, channels=4, num_blocks=1, num_heads=2, hidden_channels=6
    ... )
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
        hidden_channels: int = 102,
    ):
        def layer() -> ProjectedBackbone:
            return ProjectedBackbone(
                bidirectional_lstm(channels, hidden_channels), channels
            )

        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[
                attentive_block(layer, channels, num_heads) for _ in range(num_blocks)
            ],
        )
