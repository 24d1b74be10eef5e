"""Auxiliary losses of a mixture of experts."""

import torch
from torch import Tensor

from sesame.features import at_least_float32


def load_balance_loss(logits: Tensor, expert_ids: Tensor) -> Tensor:
    """Switch Transformer's load-balance loss.

    ``E * sum_i f_i P_i`` with f_i the share of the assignments that expert i got and
    P_i the mean router probability of expert i. It is 1 at uniform probabilities or
    uniform load, and E when everything goes to one expert; the gradient flows through
    P. Give it the real tokens only, not those of padding.

    Shape: logits (N, E), expert_ids (N, K) -> scalar.
    Source: arXiv:2101.03961, eq. 4, with f over K assignments per token.

    Arguments
    ---------
    logits : Tensor
        Router logits, without the balancing bias.
    expert_ids : Tensor
        Experts chosen for each token, int64 in [0, E).

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> load_balance_loss(torch.zeros(4, 2), torch.tensor([[0], [1], [0], [1]]))
    tensor(1.)
    """
    num_experts = logits.shape[-1]
    # Over the first axis: the router lays logits out as (E, N) on a CPU.
    probability = at_least_float32(logits).t().softmax(dim=0).mean(dim=1)
    # Not bincount, which waits for a GPU.
    experts = torch.arange(num_experts, device=expert_ids.device)
    load = (experts[:, None] == expert_ids.flatten()).sum(dim=1)
    share = load.to(probability.dtype) / expert_ids.numel()
    return num_experts * torch.dot(share, probability)


def router_z_loss(logits: Tensor) -> Tensor:
    """Mean squared log-sum-exp of the router logits; keeps them small.

    Shape: logits (N, E) -> scalar.
    Source: arXiv:2202.08906 (ST-MoE), eq. 5.

    Arguments
    ---------
    logits : Tensor
        Router logits, without the balancing bias.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> router_z_loss(torch.full((5, 1), 3.0))
    tensor(9.)
    """
    return at_least_float32(logits).t().logsumexp(dim=0).square().mean()
