"""Attention without materialised weights."""

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

__all__ = ["CrossAttention", "PreNormAttention", "SelfAttention", "attend"]


class SelfAttention(nn.Module):
    """Multi-head self-attention along each sequence.

    Equal to ``nn.MultiheadAttention(..., batch_first=True)``, with the same
    initialisation, but through the fused kernel in training and evaluation alike.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:1706.03762, section 3.2.2.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    num_heads : int
        H, a divisor of ``channels``.

    Raises
    ------
    ValueError
        If ``num_heads`` does not divide ``channels``.

    Example
    -------
    >>> SelfAttention(channels=8, num_heads=2)(torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        _check_heads(channels, num_heads)
        self.num_heads = num_heads
        self.in_projection, self.out_projection = _projections(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        query, key, value = rearrange(
            self.in_projection(x), "n s (k h d) -> k n h s d", k=3, h=self.num_heads
        )
        return self.out_projection(attend(query, key, value))


class CrossAttention(nn.Module):
    """Multi-head attention of one sequence to another.

    Equal to ``nn.MultiheadAttention(..., batch_first=True)`` with the second sequence
    as key and value, with the same initialisation.

    Shape: x (N, S, C), other (N, S', C) -> (N, S, C).
    Source: arXiv:1706.03762, section 3.2.2.

    Arguments
    ---------
    channels : int
        Width C of both inputs and of the output.
    num_heads : int
        H, a divisor of ``channels``.

    Raises
    ------
    ValueError
        If ``num_heads`` does not divide ``channels``.

    Example
    -------
    >>> attention = CrossAttention(channels=8, num_heads=2)
    >>> attention(torch.randn(3, 5, 8), torch.randn(3, 7, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        _check_heads(channels, num_heads)
        self.num_heads = num_heads
        self.in_projection, self.out_projection = _projections(channels)

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Gathers for each step of ``x`` what it asks of ``other``.

        Arguments
        ---------
        x : torch.Tensor
            Sequences that ask, (N, S, C).
        other : torch.Tensor
            Sequences that answer, (N, S', C).

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        channels = x.shape[-1]
        weight, bias = self.in_projection.weight, self.in_projection.bias
        query = F.linear(x, weight[:channels], bias[:channels])
        answers = F.linear(other, weight[channels:], bias[channels:])
        query = rearrange(query, "n s (h d) -> n h s d", h=self.num_heads)
        key, value = rearrange(
            answers, "n s (k h d) -> k n h s d", k=2, h=self.num_heads
        )
        return self.out_projection(attend(query, key, value))


class PreNormAttention(nn.Module):
    """Layer normalisation, then self-attention; the caller adds the residual.

    Shape: x (N, S, C) -> (N, S, C).
    Source: NikolaiKyhne/MambAttention@7096765, models/mamba_block.py.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    num_heads : int
        H, a divisor of ``channels``.

    Example
    -------
    >>> PreNormAttention(channels=8, num_heads=2)(torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = SelfAttention(channels, num_heads)

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        context : torch.Tensor | None
            Not used; accepted as by every layer of a dual-path block.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        return self.attention(self.norm(x))


def _check_heads(channels, num_heads):
    if num_heads < 1 or channels % num_heads:
        raise ValueError(
            f"num_heads ({num_heads}) must be a divisor of channels ({channels})"
        )


def _projections(channels):
    """Of all heads: queries, keys and values one below the other; and outputs."""
    in_projection = nn.Linear(channels, 3 * channels)
    out_projection = nn.Linear(channels, channels)
    nn.init.xavier_uniform_(in_projection.weight)
    nn.init.zeros_(in_projection.bias)
    nn.init.zeros_(out_projection.bias)
    return in_projection, out_projection


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Softmax attention of all heads, joined.

    Shape: query (N, H, S, D), key and value (N, H, S', D), mask broadcastable to
    (N, H, S, S') -> (N, S, H * D).

    Arguments
    ---------
    query : torch.Tensor
        What is asked.
    key : torch.Tensor
        What is asked for.
    value : torch.Tensor
        What is answered.
    mask : torch.Tensor | None
        False where a query must not see a key; ``None``: everything is seen.

    Returns
    -------
    torch.Tensor
        Answers, the heads side by side.

    Example
    -------
    >>> query, key, value = torch.randn(3, 2, 4, 5, 8)
    >>> attend(query, key, value).shape
    torch.Size([2, 5, 32])
    """
    options = {} if mask is None else {"attn_mask": mask}
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        # On a CPU the gradient of this product takes up to four times as long in
        # bfloat16 as in float32, and the product itself no less.
        with torch.autocast("cpu", enabled=False):
            mixed = F.scaled_dot_product_attention(
                query.float(), key.float(), value.float(), **options
            )
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, **options)
    return rearrange(mixed, "n h s d -> n s (h d)")
