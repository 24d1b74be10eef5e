"""Mixture of experts on an accelerator: dense products, no host synchronisation.

An accelerator has products to spare and pays for every launch and every wait: all
experts are computed for all tokens and the chosen ones are kept. Shapes do not depend
on the routing, so these functions can be compiled and captured in a graph.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

__all__ = ["dense_hidden_experts", "dense_linear_experts"]


def dense_linear_experts(
    tokens: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    expert_ids: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """Mixes linear experts: one product for all of them, then a gather of the chosen.

    Shape: tokens (N, in), weight (E, in, out), bias (E, out), expert_ids (N, K),
    weights (N, K) -> (N, out).

    Arguments
    ---------
    tokens : torch.Tensor
        Inputs of the experts.
    weight : torch.Tensor
        Matrices of all experts.
    bias : torch.Tensor
        Offsets of all experts.
    expert_ids : torch.Tensor
        Distinct experts of each token, int64.
    weights : torch.Tensor
        Weight of each chosen expert.

    Returns
    -------
    torch.Tensor
        Weighted sum of the chosen experts' outputs.

    Example
    -------
    >>> ids, ones = torch.tensor([[1], [0]]), torch.ones(2, 1)
    >>> bias = torch.tensor([[5.0], [7.0]])
    >>> dense_linear_experts(torch.ones(2, 3), torch.zeros(2, 3, 1), bias, ids, ones)
    tensor([[7.],
            [5.]])
    """
    num_experts, _, out_channels = weight.shape
    stacked = weight.transpose(1, 2).flatten(0, 1)  # (E, in, out) -> (E * out, in)
    outputs = F.linear(tokens, stacked, bias.flatten())
    outputs = outputs.view(-1, num_experts, out_channels)
    index = expert_ids.unsqueeze(2).expand(-1, -1, out_channels)
    chosen = outputs.gather(1, index)  # (N, E, out) -> (N, K, out)
    return (chosen * weights.to(chosen.dtype).unsqueeze(2)).sum(1)


def dense_hidden_experts(
    tokens: torch.Tensor,
    hidden_weight: torch.Tensor,
    hidden_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    expert_ids: torch.Tensor,
    weights: torch.Tensor,
    activation: Callable[[torch.Tensor], torch.Tensor] = F.leaky_relu,
) -> torch.Tensor:
    """Mixes experts with a hidden layer: the gate masks the hidden units.

    Multiplying the hidden units of an expert by its gate (0 where it was not chosen)
    lets the second product sum over the experts as well.

    Shape: tokens (N, in), hidden_weight (E, in, hidden), hidden_bias (E, hidden),
    weight (E, hidden, out), bias (E, out), expert_ids (N, K), weights (N, K)
    -> (N, out).

    Arguments
    ---------
    tokens : torch.Tensor
        Inputs of the experts.
    hidden_weight : torch.Tensor
        First matrices of all experts.
    hidden_bias : torch.Tensor
        First offsets of all experts.
    weight : torch.Tensor
        Second matrices of all experts.
    bias : torch.Tensor
        Second offsets of all experts.
    expert_ids : torch.Tensor
        Distinct experts of each token, int64.
    weights : torch.Tensor
        Weight of each chosen expert.
    activation : Callable[[torch.Tensor], torch.Tensor]
        Acts on the hidden units; the default has slope 0.01 below 0.

    Returns
    -------
    torch.Tensor
        Weighted sum of the chosen experts' outputs.

    Example
    -------
    >>> parameters = [torch.zeros(2, 3, 4), torch.zeros(2, 4), torch.zeros(2, 4, 3)]
    >>> bias, ids = torch.ones(2, 3), torch.tensor([[0, 1]])
    >>> weights = torch.tensor([[0.25, 0.75]])
    >>> dense_hidden_experts(torch.randn(1, 3), *parameters, bias, ids, weights)
    tensor([[1., 1., 1.]])
    """
    num_experts = weight.shape[0]
    stacked = hidden_weight.transpose(1, 2).flatten(0, 1)
    hidden = activation(F.linear(tokens, stacked, hidden_bias.flatten()))
    gates = hidden.new_zeros(tokens.shape[0], num_experts)
    gates = gates.scatter(1, expert_ids, weights.to(hidden.dtype))
    hidden = hidden.view(-1, num_experts, weight.shape[1]) * gates.unsqueeze(2)
    return hidden.flatten(1) @ weight.flatten(0, 1) + gates @ bias
