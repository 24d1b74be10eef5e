"""Anti-wrapped distances between phases."""

import math

import torch
from torch import Tensor

from sesame.features import at_least_float32

TURN = 2 * math.pi


def anti_wrap(difference: Tensor) -> Tensor:
    """Absolute distance of an angle from the nearest whole number of turns.

    Shape: any -> the same.
    Source: arXiv:2305.13686, the anti-wrapping function;
    yxlu-0102/MP-SENet at 89932cf, models/model.py.

    Arguments
    ---------
    difference : Tensor
        Angle [rad], any number of turns.

    Returns
    -------
    Tensor
        Distance [rad], 0 to pi. Its slope is 1 or -1, and 0 at distance 0.

    Example
    -------
    >>> anti_wrap(torch.tensor([0.5, 2 * torch.pi - 0.5, 7 * torch.pi]))
    tensor([0.5000, 0.5000, 3.1416])
    """
    difference = at_least_float32(difference)
    # The rounded number of turns has no slope; detached, it costs no backward pass.
    turns = torch.round(difference.detach() / TURN)
    return torch.sub(difference, turns, alpha=TURN).abs()


def phase_losses(
    estimate: Tensor, target: Tensor, boundary: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean distances of phase, of group delay, and of instantaneous frequency.

    Group delay is the difference along F, instantaneous angular frequency the one
    along T. All bins count alike, whatever their energy.

    Shape: estimate (B, F, T), target (B, F, T) -> three scalars.
    Source: yxlu-0102/MP-SENet at 89932cf, models/model.py (F - 1 and T - 1 terms);
    with ``boundary`` NikolaiKyhne/MambAttention at 7096765 (F and T terms), the same
    in SEMamba and xLSTM-SENet.

    Arguments
    ---------
    estimate : Tensor
        Estimated phase [rad].
    target : Tensor
        Clean phase [rad].
    boundary : bool
        Whether the first bin (of the group delay) and the first frame (of the
        frequency) count too, with the phase itself in place of a difference.

    Returns
    -------
    tuple[Tensor, Tensor, Tensor]
        Instantaneous phase, group delay, instantaneous angular frequency [rad],
        each 0 to pi.

    Raises
    ------
    ValueError
        If F or T is below 2 without ``boundary``: there is no difference to average.

    Example
    -------
    >>> target = torch.rand(1, 3, 4)
    >>> [round(float(loss), 4) for loss in phase_losses(target + 1, target)]
    [1.0, 0.0, 0.0]
    """
    # The differences are linear: taken once, of the error, not of both phases.
    error = at_least_float32(estimate) - at_least_float32(target)
    if boundary:
        along_frequency = torch.diff(
            error, dim=-2, prepend=torch.zeros_like(error[..., :1, :])
        )
        along_time = torch.diff(error, dim=-1, prepend=torch.zeros_like(error[..., :1]))
    else:
        if min(error.shape[-2:]) < 2:
            raise ValueError(
                "expected phases (B, F, T) with F >= 2 and T >= 2, "
                f"got {tuple(error.shape)}"
            )
        along_frequency = torch.diff(error, dim=-2)
        along_time = torch.diff(error, dim=-1)
    return (
        anti_wrap(error).mean(),
        anti_wrap(along_frequency).mean(),
        anti_wrap(along_time).mean(),
    )
