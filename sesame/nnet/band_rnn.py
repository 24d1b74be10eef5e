"""The recurrent layer of the band-split RNN."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sesame.nnet.pieces import piece_size

__all__ = ["BandRNN"]

# Bytes of the gates of one direction at a time, and sequences that make a fair product.
_GATE_BYTES = 2**25
_MIN_SEQUENCES = 32


class BandRNN(nn.Module):
    """Normalises a sequence, reads it in both directions with an LSTM, and projects.

    The normalisation spans the steps and channels of each sequence. The caller adds
    the residual.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:2209.15174, section II-B.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    hidden_channels : int | None
        Width of the state of each direction; ``None`` is ``2 * channels``.

    Example
    -------
    >>> BandRNN(channels=8)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, channels: int, hidden_channels: int | None = None):
        super().__init__()
        if hidden_channels is None:
            hidden_channels = 2 * channels
        self.norm = _SequenceNorm(channels)
        self.lstm = nn.LSTM(
            channels, hidden_channels, batch_first=True, bidirectional=True
        )
        self.projection = nn.Linear(2 * hidden_channels, channels)

    def forward(
        self, x: Tensor, context: Tensor | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C), without padding.
        context : Tensor | None
            Not used; accepted as by every layer of a dual-path block.
        valid : Tensor | None
            Not used; accepted as by the layers that route.

        Returns
        -------
        Tensor
            (N, S, C).
        """
        return self.projection(self._read(self.norm(x)))

    def _read(self, x):
        if x.is_cuda and torch.is_autocast_enabled("cuda"):
            # cuDNN leaves its persistent kernels for bfloat16 recurrences and is two
            # to ten times slower there than in float32 (tf32).
            with torch.autocast("cuda", enabled=False):
                return self.lstm(x.float())[0]
        row_bytes = 4 * self.lstm.hidden_size * x.shape[1] * x.element_size()
        parts = x.split(
            piece_size(x, x.shape[0], row_bytes, _GATE_BYTES, _MIN_SEQUENCES)
        )
        states = [self.lstm(part)[0] for part in parts]
        return states[0] if len(states) == 1 else torch.cat(states)


class _SequenceNorm(nn.Module):
    """Normalises (N, S, C) over steps and channels, with a gain for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:]) * self.weight + self.bias
