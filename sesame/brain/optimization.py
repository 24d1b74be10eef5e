"""Optimiser steps that are clipped over all groups and skipped when not finite."""

import torch

__all__ = ["exponential_moving_average", "gradient_step", "warmup_then_decay"]


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
