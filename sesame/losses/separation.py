"""Separated waveforms against their sources, in whatever order they come out."""

import itertools

import torch
from torch import Tensor

from sesame.features import at_least_float32


def si_snr(
    estimate: Tensor, target: Tensor, lengths: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """Scale-invariant signal-to-noise ratio after the mean of both is removed.

    ``10 log10(|s|^2 / (|y - s|^2 + eps))`` with s the projection of the estimate y on
    the target. Below -80 dB, as of silent signals, it is -80 dB and has no gradient.

    Shape: estimate (..., L), target (..., L), lengths (...) -> (...).
    Source: asteroid-team/asteroid, losses/sdr.py, ``PairwiseNegSDR("sisdr")``.

    Arguments
    ---------
    estimate : Tensor
        Waveforms; broadcast against the targets.
    target : Tensor
        Clean waveforms.
    lengths : Tensor | None
        Samples of each waveform that count, from its start; the rest is padding.
        Broadcast against the shape without the last axis; ``None``: all count.
    eps : float
        Guards the divisions, in units of energy, and bounds the ratio from below.

    Returns
    -------
    Tensor
        dB, float32 or float64.

    Example
    -------
    >>> target = torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> error = torch.tensor([0.1, 0.1, -0.1, -0.1])
    >>> round(si_snr(target + error, target).item(), 4)
    20.0
    """
    estimate, target = at_least_float32(estimate), at_least_float32(target)
    if lengths is None:
        estimate = estimate - estimate.mean(-1, keepdim=True)
        target = target - target.mean(-1, keepdim=True)
    else:
        lengths = lengths[..., None]
        mask = torch.arange(target.shape[-1], device=target.device) < lengths
        estimate, target = (
            mask * (signal - (mask * signal).sum(-1, keepdim=True) / lengths)
            for signal in (estimate, target)
        )
    energy = target.square().sum(-1, keepdim=True)
    scale = (estimate * target).sum(-1, keepdim=True) / (energy + eps)
    projection = scale * target
    noise = (estimate - projection).square().sum(-1)
    ratio = projection.square().sum(-1) / (noise + eps)
    return 10 * torch.log10(ratio.clamp_min(eps))


def permutation_invariant(costs: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest mean cost over all ways to give each target an estimate of its own.

    All J! ways are tried: 24 for four sources.

    Shape: costs (B, J, J) -> cost (B,), order (B, J).

    Arguments
    ---------
    costs : Tensor
        Cost of each estimate (second axis) for each target (last axis).

    Returns
    -------
    tuple[Tensor, Tensor]
        Mean over the targets, and for each target the index of its estimate.

    Raises
    ------
    ValueError
        If there are not as many estimates as targets.

    Example
    -------
    >>> cost, order = permutation_invariant(torch.tensor([[[9.0, 1.0], [3.0, 9.0]]]))
    >>> cost.item(), order.tolist()
    (2.0, [[1, 0]])
    """
    if costs.ndim != 3 or costs.shape[1] != costs.shape[2]:
        raise ValueError(f"costs {tuple(costs.shape)} must be (B, J, J)")
    targets = torch.arange(costs.shape[-1], device=costs.device)
    orders = torch.tensor(
        list(itertools.permutations(range(len(targets)))), device=costs.device
    )
    # (B, J!): minimum picks one order, so only that one gets a gradient.
    best = costs[:, orders, targets].mean(-1).min(-1)
    return best.values, orders[best.indices]


def separation_loss(
    estimates: Tensor,
    targets: Tensor,
    lengths: Tensor | None = None,
    max_si_snr: float | None = 30.0,
    eps: float = 1e-8,
) -> Tensor:
    """Negative SI-SNR on the best permutation, the mean over sources and utterances.

    An utterance that is separated better than ``max_si_snr`` counts as that and has no
    gradient: it would otherwise dominate a batch.

    Shape: estimates (B, J, L), targets (B, J, L), lengths (B,) -> scalar.
    Source: permutation-invariant training, arXiv:1703.06284; threshold as in
    etzinis/sudo_rm_rf and JusperLee/TDANet.

    Arguments
    ---------
    estimates : Tensor
        Separated waveforms, in any order.
    targets : Tensor
        Clean waveforms.
    lengths : Tensor | None
        Samples of each utterance that count; ``None``: all.
    max_si_snr : float | None
        Threshold of the mean over an utterance's sources, dB; ``None``: off.
    eps : float
        See ``si_snr``.

    Returns
    -------
    Tensor
        Scalar, dB.

    Raises
    ------
    ValueError
        If the shapes differ or are not (B, J, L).

    Example
    -------
    >>> targets = torch.eye(4)[None, :2]
    >>> round(separation_loss(targets.flip(1) + 0.01, targets).item(), 2)
    -30.0
    """
    if estimates.ndim != 3 or estimates.shape != targets.shape:
        raise ValueError(
            f"estimates {tuple(estimates.shape)} and targets {tuple(targets.shape)} "
            "must both be (B, J, L)"
        )
    if lengths is not None:
        lengths = lengths[:, None, None]
    ratios = si_snr(estimates[:, :, None], targets[:, None], lengths, eps)
    costs, _ = permutation_invariant(-ratios)
    if max_si_snr is not None:
        costs = costs.clamp_min(-max_si_snr)
    return costs.mean()
