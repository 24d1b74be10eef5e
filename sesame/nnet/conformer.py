"""Conformer: attention and convolution between two halves of a feed-forward."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from sesame.nnet.rotary import RotarySelfAttention

__all__ = ["ConformerBlock", "ConformerModule", "ConvModule", "SwishFeedForward"]


class SwishFeedForward(nn.Module):
    """Linear, SiLU, linear: the dense feed-forward of a conformer.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:2005.08100, section 2.3, without its normalisation and dropout.

    Arguments
    ---------
    channels : int
        Width C of a token.
    expansion : int
        Hidden units per channel.

    Example
    -------
    >>> SwishFeedForward(channels=8)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, channels: int, expansion: int = 4):
        super().__init__()
        self.in_projection = nn.Linear(channels, expansion * channels)
        self.out_projection = nn.Linear(expansion * channels, channels)

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Transforms each token.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        context : torch.Tensor | None
            Not used: a dense layer has nothing to route. Accepted so that it can stand
            wherever a mixture of experts does.
        valid : torch.Tensor | None
            Not used, for the same reason.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        hidden = self.in_projection(x)
        # In place where nothing is remembered: new memory costs more than the function.
        in_place = not (torch.is_grad_enabled() or torch.jit.is_tracing())
        return self.out_projection(F.silu(hidden, inplace=in_place))


class ConvModule(nn.Module):
    """Gated convolution along each sequence, symmetric in time.

    Layer norm, linear map, gated linear unit, a filter per channel, batch norm, SiLU,
    linear map. While training, the statistics of the batch norm include padding.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:2005.08100, section 2.2.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    kernel_size : int
        Taps of each filter, odd.
    expansion : int
        Filters per channel.

    Raises
    ------
    ValueError
        If ``kernel_size`` is not odd.

    Example
    -------
    >>> ConvModule(channels=8)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, channels: int, kernel_size: int = 31, expansion: int = 2):
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size ({kernel_size}) must be odd")
        inner = expansion * channels
        self.norm = nn.LayerNorm(channels)
        self.in_projection = nn.Linear(channels, 2 * inner)
        self.filters = _Filters(inner, kernel_size)
        self.batch_norm = nn.BatchNorm1d(inner)
        self.out_projection = nn.Linear(inner, channels)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Filters each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        mask : torch.Tensor | None
            False for steps (N, S) that are padding, which the filters take for the
            silence beyond the ends.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        gated = F.glu(self.in_projection(self.norm(x)), dim=-1)
        if mask is not None:
            gated = gated.masked_fill(~mask.unsqueeze(2), 0)
        filtered = self.filters(gated)
        # Tokens as a batch: on a CPU three times as fast as moving the channels.
        normed = self.batch_norm(filtered.flatten(0, 1)).view_as(filtered)
        return self.out_projection(F.silu(normed))


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, the other half; then a norm.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:2005.08100, section 2.4.

    Arguments
    ---------
    channels : int
        Width C of the tokens.
    attention : nn.Module
        Maps (N, S, C) and a mask (N, S) or None to (N, S, C).
    convolution : nn.Module
        The same, with a norm of its own.
    feed_forwards : Sequence[nn.Module]
        Two layers, the first half and the second, each of which maps (N, S, C), a
        context or None and ``valid`` or None to (N, S, C).

    Raises
    ------
    ValueError
        If there are not two feed-forwards.

    Example
    -------
    >>> feed_forwards = [SwishFeedForward(8), SwishFeedForward(8)]
    >>> attention, convolution = RotarySelfAttention(8), ConvModule(8)
    >>> block = ConformerBlock(8, attention, convolution, feed_forwards)
    >>> block(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        channels: int,
        attention: nn.Module,
        convolution: nn.Module,
        feed_forwards: Sequence[nn.Module],
    ):
        super().__init__()
        if len(feed_forwards) != 2:
            raise ValueError(f"feed_forwards ({len(feed_forwards)}) must be 2 layers")
        self.first_norm = nn.LayerNorm(channels)
        self.first_feed_forward = feed_forwards[0]
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = attention
        self.convolution = convolution
        self.second_norm = nn.LayerNorm(channels)
        self.second_feed_forward = feed_forwards[1]
        self.output_norm = nn.LayerNorm(channels)

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Transforms each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C), those of an utterance next to each other.
        context : torch.Tensor | None
            Handed to the feed-forwards.
        valid : torch.Tensor | None
            True where tokens are real, (B, N / B or 1, S or 1) for B utterances.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        mask = _step_mask(valid, x.shape[0])
        half = self.first_feed_forward(self.first_norm(x), context, valid)
        x = x + 0.5 * half
        x = x + self.attention(self.attention_norm(x), mask)
        x = x + self.convolution(x, mask)
        half = self.second_feed_forward(self.second_norm(x), context, valid)
        return self.output_norm(x + 0.5 * half)


class ConformerModule(nn.Module):
    """A conformer block and a linear map; the caller adds the residual.

    34 784 parameters with 32 channels and dense feed-forwards.

    Shape: x (N, S, C) -> (N, S, C).
    Source: AudioCC-Lab/tfmoe-uss; sizes fitted to the counts that the paper on TF-MoE
    prints.

    Arguments
    ---------
    channels : int
        Width C of the tokens.
    feed_forwards : Sequence[nn.Module]
        The two feed-forwards of ``ConformerBlock``.
    num_heads : int
        Attention heads.
    head_channels : int
        Width of an attention head, even.
    kernel_size : int
        Taps of the convolution, odd.
    conv_expansion : int
        Filters of the convolution per channel.

    Example
    -------
    >>> feed_forwards = [SwishFeedForward(32), SwishFeedForward(32)]
    >>> module = ConformerModule(32, feed_forwards)
    >>> sum(parameter.numel() for parameter in module.parameters())
    34784
    """

    def __init__(
        self,
        channels: int,
        feed_forwards: Sequence[nn.Module],
        num_heads: int = 4,
        head_channels: int = 16,
        kernel_size: int = 31,
        conv_expansion: int = 2,
    ):
        super().__init__()
        self.conformer = ConformerBlock(
            channels,
            RotarySelfAttention(channels, num_heads, head_channels),
            ConvModule(channels, kernel_size, conv_expansion),
            feed_forwards,
        )
        self.projection = nn.Linear(channels, channels)

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Transforms each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C), those of an utterance next to each other.
        context : torch.Tensor | None
            Handed to the feed-forwards.
        valid : torch.Tensor | None
            True where tokens are real, (B, N / B or 1, S or 1) for B utterances.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        return self.projection(self.conformer(x, context, valid))


class _Filters(nn.Conv1d):
    """One symmetric filter per channel along sequences (N, S, C)."""

    def __init__(self, channels, kernel_size):
        padding = kernel_size // 2
        super().__init__(
            channels, channels, kernel_size, padding=padding, groups=channels
        )

    def forward(self, x):
        # As a picture of height 1 with the channels innermost in memory, as they are:
        # twenty times as fast on a CPU as after moving them out.
        picture = x.transpose(1, 2).unsqueeze(2)
        weight = self.weight.unsqueeze(2)
        padding = (0, *self.padding)
        y = F.conv2d(picture, weight, self.bias, padding=padding, groups=self.groups)
        return y.squeeze(2).transpose(1, 2)


def _step_mask(valid, num_sequences):
    """(B, P, S) -> (N, S), or None where no sequence is real in part only."""
    if valid is None or valid.shape[2] == 1:
        return None
    batch, _, steps = valid.shape
    return valid.expand(batch, num_sequences // batch, steps).flatten(0, 1)
