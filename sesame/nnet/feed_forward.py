"""Recurrent feed-forward of the MP-SENet transformer: the part SESAME makes sparse."""

import torch
from torch import nn
from torch.nn import functional as F

from sesame.nnet.pieces import piece_size

__all__ = ["GRUFeedForward", "ProjectedBackbone", "RecurrentBackbone"]

# Bytes of the gates of one direction at a time, and sequences that make a fair product.
_GATE_BYTES = 2**25
_MIN_SEQUENCES = 32


class RecurrentBackbone(nn.Module):
    """Reads a sequence in both directions with a GRU and rectifies the result.

    Dense and mixture-of-experts feed-forwards share this part; they differ in the
    linear map that follows.

    Shape: x (N, S, C) -> (N, S, 2 * hidden_channels).
    Source: yxlu-0102/MP-SENet@89932cf, models/transformer.py, with the sequence on
    dimension 1 (there the GRU runs over the batch).

    Arguments
    ---------
    channels : int
        Width C of the input.
    hidden_channels : int | None
        Width of the state of each direction; ``None`` is ``2 * channels``.

    Example
    -------
    >>> backbone = RecurrentBackbone(channels=8, hidden_channels=16)
    >>> backbone(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 32])
    >>> backbone.out_channels
    32
    """

    def __init__(self, channels: int, hidden_channels: int | None = None):
        super().__init__()
        if hidden_channels is None:
            hidden_channels = 2 * channels
        self.out_channels = 2 * hidden_channels
        self.gru = nn.GRU(
            channels, hidden_channels, batch_first=True, bidirectional=True
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the rectified states of both directions, forward half first.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).

        Returns
        -------
        torch.Tensor
            (N, S, 2 * hidden_channels).
        """
        if x.is_cuda and torch.is_autocast_enabled("cuda"):
            # cuDNN leaves its persistent kernels for bfloat16 recurrences and is two
            # to ten times slower there than in float32 (tf32).
            with torch.autocast("cuda", enabled=False):
                return F.leaky_relu(self.gru(x.float())[0], 0.01)
        parts = [self._read(part) for part in self.split(x)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Cuts a batch into runs of sequences that are faster one after the other.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).

        Returns
        -------
        tuple[torch.Tensor, ...]
            Parts (n, S, C) of ``x``, in order.
        """
        num_sequences, steps, _ = x.shape
        # Products of bfloat16 matrices lose more by being short than pages cost; a
        # traced program would keep the number of sequences.
        if torch.is_autocast_enabled("cpu") or torch.jit.is_tracing():
            return (x,)
        gate_bytes = 3 * self.gru.hidden_size * steps * x.element_size()
        return x.split(
            piece_size(x, num_sequences, gate_bytes, _GATE_BYTES, _MIN_SEQUENCES)
        )

    def _read(self, x):
        if x.device.type == "cpu":
            # With the steps outermost in memory, the bias joins the product of the
            # gates; otherwise it is added in a second pass.
            x = x.transpose(0, 1).contiguous().transpose(0, 1)
        states, _ = self.gru(x)
        return F.leaky_relu(states, 0.01)


class ProjectedBackbone(nn.Module):
    """A backbone along the sequence, then a linear map of each step.

    Shape: x (N, S, C) -> (N, S, C).

    Arguments
    ---------
    backbone : nn.Module
        Maps (N, S, C) to (N, S, ``out_channels``), an attribute of it.
    channels : int
        Width C of the input and the output.

    Example
    -------
    >>> layer = ProjectedBackbone(RecurrentBackbone(8, hidden_channels=16), 8)
    >>> layer(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, backbone: nn.Module, channels: int):
        super().__init__()
        self.backbone = backbone
        self.projection = nn.Linear(backbone.out_channels, channels)

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Transforms each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        context : torch.Tensor | None
            Not used: a dense layer has nothing to route. Accepted so that it can stand
            wherever a mixture of experts does.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        return self.projection(self.backbone(x))


class GRUFeedForward(ProjectedBackbone):
    """Dense feed-forward of MP-SENet: bidirectional GRU, leaky ReLU, linear map.

    Shape: x (N, S, C) -> (N, S, C).
    Source: yxlu-0102/MP-SENet@89932cf, models/transformer.py.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    hidden_channels : int | None
        Width of the state of each direction, as in ``RecurrentBackbone``.

    Example
    -------
    >>> feed_forward = GRUFeedForward(channels=8)
    >>> feed_forward(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, channels: int, hidden_channels: int | None = None):
        super().__init__(RecurrentBackbone(channels, hidden_channels), channels)
