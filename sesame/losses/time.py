"""Distances between waveforms."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sesame.features import at_least_float32


def waveform_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of waveforms, both divided by the level of the noisy one.

    Shape: estimate (B, L), target (B, L) -> scalar.
    Source: yxlu-0102/MP-SENet at 89932cf, train.py; weight there 0.2.

    Arguments
    ---------
    estimate : Tensor
        Enhanced waveforms.
    target : Tensor
        Clean waveforms.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> import torch
    >>> waveform_loss(torch.ones(2, 5), -torch.ones(2, 5))
    tensor(2.)
    """
    return F.l1_loss(at_least_float32(estimate), at_least_float32(target))


def snr(estimate: Tensor, target: Tensor, eps: float = 1e-8) -> Tensor:
    """Signal-to-noise ratio, the noise being all that is not the target.

    ``10 log10(|t|^2 / (|y - t|^2 + eps))``: unlike ``si_snr`` it also falls with a
    wrong level. Below -80 dB, as of a silent target, it is -80 dB without a gradient.

    Shape: estimate (..., L), target (..., L) -> (...).

    Arguments
    ---------
    estimate : Tensor
        Waveforms; broadcast against the targets.
    target : Tensor
        Clean waveforms.
    eps : float
        Guards the division, in units of energy, and bounds the ratio from below.

    Returns
    -------
    Tensor
        dB, float32 or float64.

    Example
    -------
    >>> target = torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> round(snr(0.9 * target, target).item(), 4)
    20.0
    """
    estimate, target = at_least_float32(estimate), at_least_float32(target)
    noise = (estimate - target).square().sum(-1)
    ratio = target.square().sum(-1) / (noise + eps)
    return 10 * torch.log10(ratio.clamp_min(eps))
