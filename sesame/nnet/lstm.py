"""The LSTM mixer: a plain recurrent layer in the place of an mLSTM."""

import torch
from torch import Tensor, nn

from sesame.nnet.pieces import piece_size

__all__ = ["LSTMMixer"]

# Bytes of the gates of the sequences at a time, and sequences that make a fair product.
_GATE_BYTES = 2**24
_MIN_SEQUENCES = 16


class LSTMMixer(nn.Module):
    """Reads a sequence in one direction with an LSTM and projects its states.

    Shape: x (N, S, C) -> (N, S, C).
    Source: arXiv:2501.06146, ablation "LSTM (block)", which names neither the width of
    the state nor a projection.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    hidden_channels : int
        Width of the state.
    reverse : bool
        Reads the sequence from its last step to its first: the same function between
        two flips.

    Example
    -------
    >>> LSTMMixer(channels=8, hidden_channels=16)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, channels: int, hidden_channels: int, reverse: bool = False):
        super().__init__()
        self.reverse = reverse
        self.lstm = nn.LSTM(channels, hidden_channels, batch_first=True)
        self.projection = nn.Linear(hidden_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).

        Returns
        -------
        Tensor
            (N, S, C).
        """
        if self.reverse:
            x = x.flip(1)
        y = self.projection(self._read(x))
        return y.flip(1) if self.reverse else y

    def _read(self, x):
        if x.is_cuda and torch.is_autocast_enabled("cuda"):
            # cuDNN leaves its persistent kernels for bfloat16 recurrences and is two
            # to ten times slower there than in float32 (tf32).
            with torch.autocast("cuda", enabled=False):
                return self.lstm(x.float())[0]
        parts = [self.lstm(part)[0] for part in self._split(x)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _split(self, x):
        # Products of bfloat16 matrices lose more by being short than pages cost; a
        # traced program would keep the number of sequences.
        if torch.is_autocast_enabled("cpu") or torch.jit.is_tracing():
            return (x,)
        row_bytes = 4 * self.lstm.hidden_size * x.shape[1] * x.element_size()
        return x.split(
            piece_size(x, x.shape[0], row_bytes, _GATE_BYTES, _MIN_SEQUENCES)
        )
