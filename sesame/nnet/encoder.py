"""Dense convolutional encoders: spectrum channels to features at half the bins."""

from torch import nn

from sesame.nnet.conv import ConvUnit, DenseBlock

__all__ = ["DenseEncoder", "DenseEncoder2023"]


class DenseEncoder(nn.Sequential):
    """Encoder of the current MP-SENet: dense block causal in time, padded bins.

    Shape: (B, in_channels, T, F) -> (B, channels, T, F'), F' = (F + 1) // 2.
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py.

    Arguments
    ---------
    channels : int
        C, channels of the output and of the dense block.
    depth : int
        Layers of the dense block.
    in_channels : int
        Channels of the input: 2 for magnitude and phase.

    Example
    -------
    >>> import torch
    >>> DenseEncoder(channels=4, depth=2)(torch.randn(1, 2, 6, 201)).shape
    torch.Size([1, 4, 6, 101])
    """

    def __init__(self, channels: int = 64, depth: int = 4, in_channels: int = 2):
        super().__init__()
        self.expand = ConvUnit(in_channels, channels, (1, 1))
        self.dense = DenseBlock(channels, depth)
        self.reduce = ConvUnit(
            channels, channels, (1, 3), stride=(1, 2), padding=(0, 1)
        )


class DenseEncoder2023(nn.Sequential):
    """Encoder of MP-SENet 2023, SEMamba, MambAttention and xLSTM-SENet.

    It differs from ``DenseEncoder`` in the dense block, which looks ahead, and in the
    missing padding of the last convolution.

    Shape: (B, in_channels, T, F) -> (B, channels, T, F'), F' = (F - 1) // 2.
    Source: RoyChao19477/SEMamba@750ff5d, models/codec_module.py.

    Arguments
    ---------
    channels : int
        C, channels of the output and of the dense block.
    depth : int
        Layers of the dense block.
    in_channels : int
        Channels of the input: 2 for magnitude and phase.

    Example
    -------
    >>> import torch
    >>> DenseEncoder2023(channels=4, depth=2)(torch.randn(1, 2, 6, 201)).shape
    torch.Size([1, 4, 6, 100])
    """

    def __init__(self, channels: int = 64, depth: int = 4, in_channels: int = 2):
        super().__init__()
        self.expand = ConvUnit(in_channels, channels, (1, 1))
        self.dense = DenseBlock(channels, depth, causal=False)
        self.reduce = ConvUnit(channels, channels, (1, 3), stride=(1, 2))
