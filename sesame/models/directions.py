"""The bidirectional parts of the dual-path systems, two directions side by side."""

from torch import nn

from sesame.nnet import MLSTM, Bidirectional, LSTMMixer, Mamba, PreNormResidual

__all__ = ["bidirectional_lstm", "bidirectional_mamba", "bidirectional_mlstm"]

_RMS_EPSILON = 1e-5


def bidirectional_mamba(
    channels: int, expand: int, state_size: int, conv_width: int
) -> Bidirectional:
    """Makes a Mamba mixer per direction, each with its RMS norm and residual.

    Source: RoyChao19477/SEMamba@750ff5d, models/mamba_block.py.

    Arguments
    ---------
    channels : int
        C, width of the sequences.
    expand : int
        Inner channels of a mixer per channel.
    state_size : int
        P, states of each inner channel.
    conv_width : int
        Taps of the convolution of a mixer.

    Returns
    -------
    Bidirectional
        Maps (N, S, C) to (N, S, 2 C).
    """

    def direction(reverse: bool) -> PreNormResidual:
        return PreNormResidual(
            nn.RMSNorm(channels, eps=_RMS_EPSILON),
            Mamba(channels, expand, state_size, conv_width, reverse=reverse),
        )

    return Bidirectional(channels, direction(reverse=False), direction(reverse=True))


def bidirectional_mlstm(
    channels: int, expand: int, num_heads: int, conv_width: int
) -> Bidirectional:
    """Makes an mLSTM mixer per direction, each with its layer norm and residual.

    Source: NikolaiKyhne/xLSTM-SENet@353a143, models/xlstm.py.

    Arguments
    ---------
    channels : int
        C, width of the sequences.
    expand : int
        Inner channels of a mixer per channel.
    num_heads : int
        Heads of the mLSTM cell.
    conv_width : int
        Taps of the convolution of a mixer.

    Returns
    -------
    Bidirectional
        Maps (N, S, C) to (N, S, 2 C).
    """

    def direction(reverse: bool) -> PreNormResidual:
        return PreNormResidual(
            nn.LayerNorm(channels),
            MLSTM(channels, expand, num_heads, conv_width, reverse=reverse),
        )

    return Bidirectional(channels, direction(reverse=False), direction(reverse=True))


def bidirectional_lstm(channels: int, hidden_channels: int) -> Bidirectional:
    """Makes an LSTM mixer per direction, each with its RMS norm and residual.

    Source: arXiv:2501.06146 (xLSTM-SENet), table of LSTM variants; sizes are ours.

    Arguments
    ---------
    channels : int
        C, width of the sequences.
    hidden_channels : int
        Width of the state of each direction.

    Returns
    -------
    Bidirectional
        Maps (N, S, C) to (N, S, 2 C).
    """

    def direction(reverse: bool) -> PreNormResidual:
        return PreNormResidual(
            nn.RMSNorm(channels, eps=_RMS_EPSILON),
            LSTMMixer(channels, hidden_channels, reverse=reverse),
        )

    return Bidirectional(channels, direction(reverse=False), direction(reverse=True))
