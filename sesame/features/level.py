"""Level of a waveform, per item of the batch."""

import torch
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


# Directions in which sources that resemble each other differ by less are left alone.
_RESEMBLANCE = 1e-3


def match_levels(sources: Tensor, mixture: Tensor) -> Tensor:
    """Gives sources the levels, and signs, with which they add up to their mixture.

    A network that learns from a scale-invariant loss gives each source at a level of
    its own, far from that in the mixture. Gains are those of least squares; where
    sources resemble each other too much for that, they keep a common one. Sources that
    do add up to the mixture stay as they are.

    Shape: sources (B, J, L), mixture (B, L) -> (B, J, L).

    Arguments
    ---------
    sources : Tensor
        Waveforms, of any level.
    mixture : Tensor
        What they are to add up to.

    Returns
    -------
    Tensor
        Each source times a number, in the dtype of the sources; what is not finite
        stays so.

    Example
    -------
    >>> mixture, other = torch.eye(4)[:2] + 1
    >>> sources = torch.stack((other, mixture - other))
    >>> louder = torch.tensor([[5.0], [-0.3]]) * sources
    >>> torch.allclose(match_levels(louder[None], mixture[None])[0], sources)
    True
    """
    batch, num_sources, length = sources.shape
    own, whole = rms(sources.flatten(0, 1)), rms(mixture)
    units = normalize(sources.flatten(0, 1), own).unflatten(0, (batch, -1)).double()
    target = normalize(mixture, whole).double().unsqueeze(2)
    # The solver raises on what is not finite.
    gram = (units @ units.mT / length).nan_to_num()
    wanted = (units @ target / length).nan_to_num()
    # The common gain: that of the sum of all sources. A sum that is nearly nothing,
    # as of sources that cancel each other, has none.
    weights = own.double().view(batch, num_sources, 1)
    weights = weights / weights.amax(1, keepdim=True).clamp_min(1e-300)
    energy = weights.mT @ gram @ weights
    alone = weights.mT @ (gram.diagonal(dim1=1, dim2=2).unsqueeze(2) * weights)
    common = weights.mT @ wanted / energy.clamp_min(1e-300)
    gains = weights * common.masked_fill(energy <= _RESEMBLANCE * alone, 0)
    inverse = torch.linalg.pinv(gram, rtol=_RESEMBLANCE, hermitian=True)
    gains = gains + inverse @ (wanted - gram @ gains)
    return (gains * units * whole.double().unsqueeze(2)).to(sources.dtype)
