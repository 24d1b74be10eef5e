"""A gated feed-forward with a short filter, slimmable and causal on demand."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .linear import FlexLinear, FlexLinearStack

__all__ = ["FlexConv", "FlexFeedForward"]

# Numbers up to which unfolding costs less than the set-up of a convolution on a CPU.
_SMALL = 16384


class FlexConv(nn.Module):
    """Filters each channel along a sequence by itself; the first channels suffice.

    Shape: x (N, S, C) -> the same, C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full layer.
    kernel_size : int
        Taps of each filter, odd and at least 3.
    causal : bool
        Each step sees itself and earlier ones; otherwise as many on both sides.

    Raises
    ------
    ValueError
        If ``kernel_size`` is even or less than 3.

    Example
    -------
    >>> FlexConv(8, causal=True)(torch.randn(2, 5, 4)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, channels: int, kernel_size: int = 3, causal: bool = False):
        super().__init__()
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size ({kernel_size}) must be odd, at least 3")
        self.channels = channels
        self.kernel_size = kernel_size
        self.causal = causal
        bound = kernel_size**-0.5  # as nn.Conv1d draws its parameters
        weight = torch.empty(channels, kernel_size).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Filters whole sequences; beyond their ends there are zeros.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).

        Returns
        -------
        Tensor
            (N, S, C).

        Raises
        ------
        ValueError
            If there are more channels than the full layer has.
        """
        seen = self.kernel_size - 1
        before = seen if self.causal else seen // 2
        return self.slide(F.pad(x, (0, 0, before, seen - before)))

    def slide(self, window: Tensor) -> Tensor:
        """Filters steps whose neighbours are all there.

        Arguments
        ---------
        window : Tensor
            (N, S + kernel_size - 1, C).

        Returns
        -------
        Tensor
            (N, S, C).

        Raises
        ------
        ValueError
            If there are more channels than the full layer has.

        Example
        -------
        >>> FlexConv(8, causal=True).slide(torch.randn(2, 3, 4)).shape
        torch.Size([2, 1, 4])
        """
        channels = window.shape[-1]
        weight = self.weight
        if channels != self.channels:
            if channels > self.channels:
                raise ValueError(
                    f"channels ({channels}) must be in [1, {self.channels}]"
                )
            weight = weight[:channels]
        small = window.device.type == "cpu" and window.numel() <= _SMALL
        if small and not torch.jit.is_tracing():
            return (window.unfold(1, self.kernel_size, 1) * weight).sum(-1)
        # As a picture of height 1 with the channels innermost in memory, as they are:
        # far faster on a CPU than after moving them out.
        picture = window.transpose(1, 2).unsqueeze(2)
        y = F.conv2d(picture, weight[:, None, None], groups=channels)
        return y.squeeze(2).transpose(1, 2)


class FlexFeedForward(nn.Module):
    """SwiGLU with a filter on its gate: C(SiLU(filter(A x)) * B x), 2 C units wide.

    Shape: x (N, S, C) -> the same, C <= channels.
    Source: arXiv:2002.05202 (SwiGLU).

    Arguments
    ---------
    channels : int
        Width of the full layer.
    kernel_size : int
        Taps of the filters, odd and at least 3.
    causal : bool
        Whether a step sees itself and earlier ones only.

    Example
    -------
    >>> FlexFeedForward(8)(torch.randn(2, 5, 4)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, channels: int, kernel_size: int = 3, causal: bool = False):
        super().__init__()
        self.expand = FlexLinearStack(2, channels, 2 * channels)
        self.conv = FlexConv(2 * channels, kernel_size, causal)
        self.contract = FlexLinear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Maps whole sequences.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).

        Returns
        -------
        Tensor
            (N, S, C).
        """
        gate, value = self.expand(x, 2 * x.shape[-1]).unbind(-2)
        return self.contract(F.silu(self.conv(gate)) * value, x.shape[-1])

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Maps the next steps of sequences: together, as ``forward`` maps the whole.

        Arguments
        ---------
        x : Tensor
            (N, S, C).
        past : Tensor
            What the call before returned, (N, kernel_size - 1, 2 C); zeros at first.

        Returns
        -------
        tuple[Tensor, Tensor]
            The steps (N, S, C), and the past of the next ones.
        """
        gate, value = self.expand(x, 2 * x.shape[-1]).unbind(-2)
        window = torch.cat((past, gate), dim=1)
        y = self.contract(F.silu(self.conv.slide(window)) * value, x.shape[-1])
        return y, window[:, -past.shape[1] :]
