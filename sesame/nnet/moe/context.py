"""What the router knows about the noise around a token."""

import torch
from einops import rearrange
from torch import nn

__all__ = ["NoiseContext"]


class NoiseContext(nn.Module):
    """Describes the noise of each frame to the routers of all layers.

    The noisy magnitude of the frame is projected, normalised and activated (SiLU).
    It is computed once for a network; routers add a projection of it to their logits.

    Shape: magnitude (B, F, T) -> context (B, T, D).

    Arguments
    ---------
    num_bins : int
        Frequency bins F of the magnitude.
    context_dim : int
        Width D of the context.

    Example
    -------
    >>> context = NoiseContext(num_bins=201, context_dim=16)
    >>> context(torch.rand(2, 201, 7)).shape
    torch.Size([2, 7, 16])
    """

    def __init__(self, num_bins: int, context_dim: int):
        super().__init__()
        self.projection = nn.Linear(num_bins, context_dim)
        self.norm = nn.LayerNorm(context_dim)
        self.activation = nn.SiLU()

    def forward(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Computes the context of every frame.

        Arguments
        ---------
        magnitude : torch.Tensor
            Compressed magnitude of the noisy spectrum (B, F, T).

        Returns
        -------
        torch.Tensor
            Context (B, T, D).
        """
        frames = rearrange(magnitude, "b f t -> b t f")
        return self.activation(self.norm(self.projection(frames)))
