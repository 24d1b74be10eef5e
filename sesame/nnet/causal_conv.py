"""Depthwise convolution along a sequence that looks one way only."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["CausalConv"]


class CausalConv(nn.Conv1d):
    """Filters every channel of a sequence by itself, from its own and earlier steps.

    Shape: x (N, S, channels) -> the same.
    Source: Dao-AILab/causal-conv1d, causal_conv1d_ref, without the activation.

    Arguments
    ---------
    channels : int
        Width of the input and the output.
    width : int
        Taps of each filter; the last one belongs to the step itself.
    reverse : bool
        Each step sees itself and later ones instead: the same filters between two
        flips.

    Example
    -------
    >>> conv = CausalConv(channels=8, width=4)
    >>> conv(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, channels: int, width: int, reverse: bool = False):
        super().__init__(channels, channels, width, groups=channels)
        self.reverse = reverse

    def forward(self, x: Tensor, past: Tensor | None = None) -> Tensor:
        """Filters each sequence.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, channels).
        past : Tensor | None
            The width - 1 steps that were read before, (N, width - 1, channels);
            ``None`` is zeros.

        Returns
        -------
        Tensor
            (N, S, channels).
        """
        weight = self.weight
        if past is None:
            seen = self.kernel_size[0] - 1
            x = F.pad(x, (0, 0, 0, seen) if self.reverse else (0, 0, seen, 0))
        else:
            x = torch.cat((x, past) if self.reverse else (past, x), dim=1)
        if self.reverse:
            weight = weight.flip(-1)
        # As a picture of height 1 with the channels innermost in memory, as they are:
        # five times as fast on a CPU as after moving them out.
        picture = x.transpose(1, 2).unsqueeze(2)
        y = F.conv2d(picture, weight.unsqueeze(2), self.bias, groups=self.groups)
        return y.squeeze(2).transpose(1, 2)
