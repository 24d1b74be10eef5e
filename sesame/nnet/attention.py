"""Self-attention without materialised weights."""

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

__all__ = ["SelfAttention"]


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
        if num_heads < 1 or channels % num_heads:
            raise ValueError(
                f"num_heads ({num_heads}) must be a divisor of channels ({channels})"
            )
        self.num_heads = num_heads
        self.in_projection = nn.Linear(channels, 3 * channels)
        self.out_projection = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_projection.weight)
        nn.init.zeros_(self.in_projection.bias)
        nn.init.zeros_(self.out_projection.bias)

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
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # On a CPU the gradient of this product takes up to four times as long in
            # bfloat16 as in float32, and the product itself no less.
            with torch.autocast("cpu", enabled=False):
                mixed = F.scaled_dot_product_attention(
                    query.float(), key.float(), value.float()
                )
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out_projection(rearrange(mixed, "n h s d -> n s (h d)"))
