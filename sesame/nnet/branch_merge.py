"""How the two branches of a parallel block become one."""

import torch
from torch import nn

from sesame.nnet.attention import CrossAttention

__all__ = ["CrossAttentionMerge"]


class CrossAttentionMerge(nn.Module):
    """Each branch queries the other; both results are joined by a linear map.

    Each branch is normalised once, for its own questions and for its answers to the
    other; what it learns is added to it.

    Shape: first (N, S, C), second (N, S, C) -> (N, S, C).

    Arguments
    ---------
    channels : int
        Width C of each branch and of the output.
    num_heads : int
        Attention heads, a divisor of ``channels``.

    Example
    -------
    >>> merge = CrossAttentionMerge(channels=8, num_heads=2)
    >>> merge(torch.randn(3, 5, 8), torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.first_norm = nn.LayerNorm(channels)
        self.second_norm = nn.LayerNorm(channels)
        self.first_attention = CrossAttention(channels, num_heads)
        self.second_attention = CrossAttention(channels, num_heads)
        self.projection = nn.Linear(2 * channels, channels)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Merges two branches of sequences, both (N, S, C), to (N, S, C)."""
        one, two = self.first_norm(first), self.second_norm(second)
        first = first + self.first_attention(one, two)
        second = second + self.second_attention(two, one)
        return self.projection(torch.cat((first, second), dim=-1))
