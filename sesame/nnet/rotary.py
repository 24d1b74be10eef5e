"""Attention whose queries and keys turn with their position."""

import torch
from einops import rearrange
from torch import nn

from sesame.nnet.attention import attend

__all__ = ["RotarySelfAttention", "rotate"]


class RotarySelfAttention(nn.Module):
    """Multi-head self-attention with rotary position embedding.

    Scores depend on the distance of two steps, not on where they are. The width of all
    heads together may differ from that of the input.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:2104.09864, eq. 15.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    num_heads : int
        Number of heads H.
    head_channels : int
        Width D of a head, even.
    base : float
        Ratio between the slowest and the fastest rotation, nearly.

    Raises
    ------
    ValueError
        If ``num_heads`` is less than 1 or ``head_channels`` is not even and positive.

    Example
    -------
    >>> attention = RotarySelfAttention(channels=32, num_heads=4, head_channels=16)
    >>> attention(torch.randn(3, 5, 32)).shape
    torch.Size([3, 5, 32])
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 4,
        head_channels: int = 16,
        base: float = 1e4,
    ):
        super().__init__()
        if num_heads < 1:
            raise ValueError(f"num_heads ({num_heads}) must be at least 1")
        if head_channels < 2 or head_channels % 2:
            raise ValueError(f"head_channels ({head_channels}) must be even, 2 or more")
        self.num_heads = num_heads
        self.base = base
        width = num_heads * head_channels
        self.in_projection = nn.Linear(channels, 3 * width, bias=False)
        self.out_projection = nn.Linear(width, channels)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        mask : torch.Tensor | None
            False for steps (N, S) that are padding, which no step sees.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        num_all = 3 * self.num_heads
        heads = rearrange(self.in_projection(x), "n s (h d) -> n s h d", h=num_all)
        turning, value = heads.split([2 * self.num_heads, self.num_heads], dim=2)
        query, key = rotate(turning, self.base).chunk(2, dim=2)
        if mask is not None:
            mask = mask[:, None, None, :]
        heads = (part.transpose(1, 2) for part in (query, key, value))
        return self.out_projection(attend(*heads, mask))


def rotate(x: torch.Tensor, base: float = 1e4) -> torch.Tensor:
    """Turns neighbouring pairs of channels by angles that grow with the position.

    Channels 2 m and 2 m + 1 of step s turn by ``s * base ** (-2 m / D)`` radians.

    Shape: x (N, S, H, D) -> the same, in the same type.
    Source: arXiv:2104.09864, eq. 34.

    Arguments
    ---------
    x : torch.Tensor
        Queries or keys of all heads; D even.
    base : float
        Ratio between the slowest and the fastest rotation, nearly.

    Returns
    -------
    torch.Tensor
        The turned vectors.

    Example
    -------
    >>> turned = rotate(torch.tensor([1.0, 0.0]).expand(1, 2, 1, 2))
    >>> turned.flatten() # unmoved, then by one radian
    tensor([1.0000, 0.0000, 0.5403, 0.8415])
    """
    width = x.shape[-1]
    # In bfloat16 positions beyond 256 would coincide.
    dtype = torch.promote_types(x.dtype, torch.float32)
    exponents = torch.arange(0, width, 2, device=x.device, dtype=dtype) / width
    steps = torch.arange(x.shape[1], device=x.device, dtype=dtype)
    angles = steps[:, None, None] * base**-exponents
    pairs = rearrange(x.to(dtype), "n s h (d two) -> n s h d two", two=2)
    if x.device.type == "cpu" and not torch.jit.is_tracing():
        # As complex numbers: one pass over memory instead of seven.
        turns = torch.polar(torch.ones_like(angles), angles)
        turned = torch.view_as_real(torch.view_as_complex(pairs) * turns)
    else:
        first, second = pairs.unbind(-1)
        cos, sin = angles.cos(), angles.sin()
        turned = torch.stack(
            (first * cos - second * sin, first * sin + second * cos), dim=-1
        )
    return rearrange(turned, "n s h d two -> n s h (d two)").to(x.dtype)
