"""Balance of the experts: the adaptive bias and the numbers to watch."""

import math

import torch
from torch import nn

from sesame.nnet.moe.layer import RoutedLayer
from sesame.nnet.moe.router import TopKRouter

__all__ = ["moe_layers", "routing_summary", "update_expert_bias"]


def moe_layers(module: nn.Module) -> dict[str, RoutedLayer]:
    """Finds the mixture-of-experts layers of a network.

    Arguments
    ---------
    module : nn.Module
        Network to search.

    Returns
    -------
    dict[str, RoutedLayer]
        Layers by qualified name, in the order of the network; each layer once.

    Example
    -------
    >>> from sesame.nnet.moe import MoEFeedForward
    >>> network = nn.Sequential(nn.Linear(8, 8), MoEFeedForward(8, 4, 2))
    >>> list(moe_layers(network))
    ['1']
    """
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, RoutedLayer)
    }


@torch.no_grad()
def update_expert_bias(router: TopKRouter, load: torch.Tensor, speed: float) -> None:
    """Moves the choice of experts towards an even load.

    The bias of each expert grows by ``speed`` if it got fewer tokens than the mean,
    and shrinks by as much if it got more. Ranks that pass the same load keep the
    same bias. In the end the load oscillates around the mean by the tokens whose
    scores lie within about ``speed`` of a tie: a router with saturated scores needs a
    small speed.

    Source: arXiv:2408.15664, algorithm 1.

    Arguments
    ---------
    router : TopKRouter
        Router whose ``expert_bias`` changes in place.
    load : torch.Tensor
        Token assignments per expert (E,), summed over whatever shares the step.
    speed : float
        Step of the bias, in units of a softmax score (0 to 1), at least 0.

    Raises
    ------
    ValueError
        If ``load`` is not (E,) or ``speed`` is negative.

    Example
    -------
    >>> router = TopKRouter(channels=8, num_experts=2, top_k=1)
    >>> update_expert_bias(router, torch.tensor([3.0, 1.0]), speed=0.5)
    >>> router.expert_bias
    tensor([-0.5000,  0.5000])
    """
    bias = router.expert_bias
    if load.shape != bias.shape:
        raise ValueError(
            f"load {tuple(load.shape)} must be (num_experts,) = {tuple(bias.shape)}"
        )
    if speed < 0:
        raise ValueError(f"speed ({speed}) must not be negative")
    load = load.to(bias)
    bias += speed * torch.sign(load.mean() - load)


def routing_summary(load: torch.Tensor, expert_bias: torch.Tensor) -> dict[str, float]:
    """Summarises how evenly a layer uses its experts.

    ``load_max_over_mean`` is 1 for an even load and E / K when K experts take all.
    ``routing_entropy`` is the entropy of the load's distribution over the experts
    divided by log E: 1 for an even load, 0 when one expert takes all; 1 for E = 1.
    ``dead_experts`` counts the experts without a token. ``bias_range`` is the
    largest minus the smallest bias. Without any token the first two are NaN.

    Arguments
    ---------
    load : torch.Tensor
        Token assignments per expert (E,), summed over any period.
    expert_bias : torch.Tensor
        Balancing bias per expert (E,).

    Returns
    -------
    dict[str, float]
        The four numbers by name.

    Example
    -------
    >>> summary = routing_summary(torch.tensor([6.0, 2.0, 0.0, 0.0]), torch.zeros(4))
    >>> summary["load_max_over_mean"], summary["dead_experts"]
    (3.0, 2.0)
    """
    load = load.detach().double()
    share = load / load.sum()
    entropy = float(torch.special.entr(share).sum())
    num_experts = load.numel()
    return {
        "load_max_over_mean": float(load.max() / load.mean()),
        "routing_entropy": entropy / math.log(num_experts) if num_experts > 1 else 1.0,
        "dead_experts": float((load == 0).sum()),
        "bias_range": float(expert_bias.max() - expert_bias.min()),
    }
