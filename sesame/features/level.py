"""Level of a waveform, per item of the batch."""

from torch import Tensor

from .precision import at_least_float32


def rms(waveform: Tensor) -> Tensor:
    """Root mean square of each waveform.

    Scales by the peak before squaring: amplitudes whose squares leave the range of
    float32 (below 1e-19, above 1e19) are measured as well as any other.

    Shape: waveform (B, L) -> (B, 1).

    Arguments
    ---------
    waveform : Tensor
        Real waveforms of one length, L >= 1.

    Returns
    -------
    Tensor
        Level, 0 for digital silence.

    Example
    -------
    >>> import torch
    >>> rms(torch.tensor([[3.0, -3.0], [0.0, 0.0]]))
    tensor([[3.],
            [0.]])
    """
    waveform = at_least_float32(waveform)
    peak = waveform.detach().abs().amax(dim=-1, keepdim=True)
    silent = peak == 0
    mean_square = (waveform / peak.masked_fill(silent, 1)).square().mean(-1, True)
    # The square root has no finite slope at 0; the peak makes silence 0 anyway.
    return peak * mean_square.masked_fill(silent, 1).sqrt()


def normalize(waveform: Tensor, level: Tensor) -> Tensor:
    """Divides waveforms by their level; waveforms of level 0 become zeros.

    Shape: waveform (B, L), level (B, 1) -> (B, L).

    Arguments
    ---------
    waveform : Tensor
        Real waveforms.
    level : Tensor
        Level of each, not negative, for example from ``rms``; of the noisy waveform
        for both sides of a training pair.

    Returns
    -------
    Tensor
        ``waveform / level``, without NaN or infinity for silent items.

    Example
    -------
    >>> import torch
    >>> waveform = torch.tensor([[2.0, -2.0], [0.0, 0.0]])
    >>> normalize(waveform, rms(waveform))
    tensor([[ 1., -1.],
            [ 0.,  0.]])
    """
    silent = level == 0
    scaled = at_least_float32(waveform) / level.masked_fill(silent, 1)
    return scaled.masked_fill(silent, 0)
