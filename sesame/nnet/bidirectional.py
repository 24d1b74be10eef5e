"""Two sequence layers, one for each direction, side by side."""

import torch
from torch import nn

__all__ = ["Bidirectional", "PreNormResidual"]


class PreNormResidual(nn.Module):
    """Adds to a sequence what a mixer makes of its normalised form.

    Shape: x (N, S, C) -> (N, S, C).

    Arguments
    ---------
    norm : nn.Module
        Normalises the channels of (N, S, C).
    mixer : nn.Module
        Maps (N, S, C) to (N, S, C).

    Example
    -------
    >>> layer = PreNormResidual(nn.LayerNorm(4), nn.Identity())
    >>> layer(torch.ones(1, 2, 4))
    tensor([[[1., 1., 1., 1.],
             [1., 1., 1., 1.]]], grad_fn=<AddBackward0>)
    """

    def __init__(self, norm: nn.Module, mixer: nn.Module):
        super().__init__()
        self.norm = norm
        self.mixer = mixer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns ``x + mixer(norm(x))``, (N, S, C)."""
        return x + self.mixer(self.norm(x))


class Bidirectional(nn.Module):
    """Joins the outputs of a layer per direction, forward half first.

    Shape: x (N, S, C) -> (N, S, 2 C).
    Source: RoyChao19477/SEMamba@750ff5d, models/mamba_block.py.

    Arguments
    ---------
    channels : int
        Width C of the input and of the output of each layer.
    forward_layer : nn.Module
        Maps (N, S, C) to (N, S, C), from the first step to the last.
    backward_layer : nn.Module
        The same from the last step to the first.

    Example
    -------
    >>> both = Bidirectional(8, nn.Identity(), nn.Identity())
    >>> both(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 16])
    >>> both.out_channels
    16
    """

    def __init__(
        self, channels: int, forward_layer: nn.Module, backward_layer: nn.Module
    ):
        super().__init__()
        self.out_channels = 2 * channels
        self.forward_layer = forward_layer
        self.backward_layer = backward_layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs both layers on sequences (N, S, C); returns (N, S, 2 C)."""
        return torch.cat((self.forward_layer(x), self.backward_layer(x)), dim=-1)
