"""Optimiser steps, schedules of the learning rate, groups, averaged weights."""

import math

import torch

from sesame.nnet.moe import TopKRouter

__all__ = [
    "average_gradients",
    "exponential_moving_average",
    "gradient_step",
    "warmup_then_cosine",
    "warmup_then_decay",
    "weight_decay_groups",
]


def gradient_step(optimizer: torch.optim.Optimizer, max_grad_norm: float) -> bool:
    """Clips and applies the gradients of one optimiser, or drops them if not finite.

    The decision rests on the norm of the gradients, which data-parallel training has
    already averaged: every rank takes the same branch.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        Its gradients are consumed: they are ``None`` afterwards.
    max_grad_norm : float
        Upper bound of the L2 norm over all parameter groups; 0 or less: no clipping.

    Returns
    -------
    bool
        Whether the step was taken.

    Example
    -------
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> gradient_step(torch.optim.SGD([weight], lr=1.0), max_grad_norm=1.0)
    True
    >>> weight.detach()
    tensor([-0.6000, -0.8000])
    """
    parameters = [
        p
        for group in optimizer.param_groups
        for p in group["params"]
        if p.grad is not None
    ]
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
    finite = bool(torch.isfinite(norm))
    if finite:
        if max_grad_norm > 0:
            torch.nn.utils.clip_grads_with_norm_(parameters, max_grad_norm, norm)
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return finite


def warmup_then_decay(
    step: int, warmup_steps: int, decay: float, decay_steps: int
) -> float:
    """Learning-rate factor: linear warm-up, then exponential decay.

    Arguments
    ---------
    step : int
        Optimiser steps taken so far, from 0.
    warmup_steps : int
        Steps until the factor reaches 1; 0: no warm-up.
    decay : float
        Factor per ``decay_steps``, in (0, 1].
    decay_steps : int
        Steps over which the rate falls by ``decay`` (the papers: one epoch, 0.99).

    Returns
    -------
    float
        Factor in (0, 1] of the base learning rate.

    Example
    -------
    >>> [round(warmup_then_decay(s, 4, 0.5, 10), 3) for s in (0, 3, 4, 14)]
    [0.25, 1.0, 1.0, 0.5]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return decay ** ((step - warmup_steps) / decay_steps)


def warmup_then_cosine(
    step: int, warmup_steps: int, total_steps: int, final: float, hold_steps: int = 0
) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to a last value.

    Source: arXiv:1608.03983 without restarts.

    Arguments
    ---------
    step : int
        Optimiser steps taken so far, from 0.
    warmup_steps : int
        Steps until the factor reaches 1; 0: no warm-up.
    total_steps : int
        Steps of the whole run, more than ``warmup_steps`` and ``hold_steps``; from then
        on the factor stays at ``final``.
    final : float
        Last factor, in [0, 1].
    hold_steps : int
        Steps between warm-up and cosine, in which the factor is 1.

    Returns
    -------
    float
        Factor in [final, 1] of the base learning rate, less only in the warm-up.

    Raises
    ------
    ValueError
        If the run is not longer than its warm-up.

    Example
    -------
    >>> [round(warmup_then_cosine(s, 4, 24, 0.1), 3) for s in (0, 3, 4, 14, 24, 99)]
    [0.25, 1.0, 1.0, 0.55, 0.1, 0.1]
    """
    start = warmup_steps + hold_steps
    if total_steps <= start:
        raise ValueError(
            f"total_steps ({total_steps}) must be above warmup_steps ({warmup_steps}) "
            f"and hold_steps ({hold_steps}) together"
        )
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    part = min(1.0, max(0, step - start) / (total_steps - start))
    return final + (1 - final) * (1 + math.cos(math.pi * part)) / 2


def weight_decay_groups(module: torch.nn.Module) -> list[dict]:
    """Parameter groups of an optimiser that keep weight decay, and Muon, to weights.

    Biases, also those stacked over experts or distances, embeddings, the vectors of
    normalisations and the routers do not decay.

    Arguments
    ---------
    module : torch.nn.Module
        Network whose parameters are grouped.

    Returns
    -------
    list[dict]
        Two groups; the second has ``weight_decay`` 0 and ``matrices`` False (see
        ``Muon``). One without parameters is left out.

    Example
    -------
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    >>> [len(group["params"]) for group in weight_decay_groups(net)]
    [1, 3]
    """
    routers = {
        parameter
        for part in module.modules()
        if isinstance(part, TopKRouter)
        for parameter in part.parameters()
    }
    decaying, others = [], []
    for name, parameter in module.named_parameters():
        exempt = parameter.ndim < 2 or name.endswith(("bias", "biases", "embedding"))
        exempt = exempt or parameter in routers
        (others if exempt else decaying).append(parameter)
    groups = [
        {"params": decaying},
        {"params": others, "weight_decay": 0.0, "matrices": False},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def average_gradients(module: torch.nn.Module) -> None:
    """Averages the gradients of a module over the ranks.

    For steps that consist of several passes, each of its own size, of the module
    itself: the wrapper for data-parallel training knows one pass of one size. A
    parameter without a gradient on one rank counts as 0 there; without any it stays
    so, as it does in one process.

    Arguments
    ---------
    module : torch.nn.Module
        The same on all ranks, neither wrapped nor compiled.

    Example
    -------
    >>> average_gradients(torch.nn.Linear(1, 1)) # one process: nothing to do
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    world = torch.distributed.get_world_size()
    parameters = [p for p in module.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    found = torch.tensor([float(p.grad is not None) for p in parameters])
    # One message: most of the time is that of the calls.
    flat = torch.cat([g.flatten() for g in gradients] + [found.to(gradients[0])])
    torch.distributed.all_reduce(flat)
    *averaged, found = flat.split([g.numel() for g in gradients] + [len(found)])
    for parameter, gradient, count in zip(
        parameters, averaged, found.tolist(), strict=True
    ):
        if count > 0:
            parameter.grad = gradient.view_as(parameter) / world


def exponential_moving_average(module: torch.nn.Module, decay: float):
    """Copy of a module whose parameters follow it as an exponential moving average.

    The effective decay starts low, min(decay, (1 + n) / (10 + n)) after n updates, so
    that the average forgets the initialisation. Buffers are copied, not averaged.

    Arguments
    ---------
    module : torch.nn.Module
        Network to follow.
    decay : float
        Weight of the past per update, in [0, 1); 0 keeps an exact copy.

    Returns
    -------
    torch.optim.swa_utils.AveragedModel
        Call ``update_parameters(module)`` after each optimiser step; the averaged
        network is its attribute ``module``.

    Raises
    ------
    ValueError
        If ``decay`` is not in [0, 1).

    Example
    -------
    >>> net = torch.nn.Linear(1, 1, bias=False)
    >>> ema = exponential_moving_average(net, decay=0.0)
    >>> ema.update_parameters(net)
    >>> bool(ema.module.weight == net.weight)
    True
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay ({decay}) must be in [0, 1)")

    @torch.no_grad()
    def update(averaged, current, num_averaged):
        count = int(num_averaged)
        weight = 1 - min(decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(list(averaged), list(current), weight)

    return torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=update)
