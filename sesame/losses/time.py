"""Distances between waveforms."""

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
