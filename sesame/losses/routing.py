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


def sequence_balance_loss(
    logits: Tensor, expert_ids: Tensor, num_utterances: int
) -> Tensor:
    """DeepSeekMoE's balance loss within each utterance, averaged over utterances.

    ``sum_i f_i P_i`` with f_i the share of the utterance's assignments that expert i
    got, times E, and P_i its mean router probability in the utterance. It is 1 for an
    utterance with uniform probabilities or uniform load, and E when everything goes to
    one expert; the gradient flows through P. One utterance gives ``load_balance_loss``.

    Shape: logits (N, E), expert_ids (N, K) -> scalar.
    Source: arXiv:2401.06066, eq. 12 to 14; deepseek-ai/deepseek-moe-16b-base,
    modeling_deepseek.py (MoEGate with ``seq_aux``).

    Arguments
    ---------
    logits : Tensor
        Router logits, the N / num_utterances of an utterance next to each other.
    expert_ids : Tensor
        Experts chosen for each row of logits, int64 in [0, E).
    num_utterances : int
        Number of utterances, a divisor of N.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Raises
    ------
    ValueError
        If ``num_utterances`` is not a divisor of N.

    Example
    -------
    >>> ids = torch.tensor([[0], [1], [0], [0]])
    >>> sequence_balance_loss(torch.zeros(4, 2), ids, num_utterances=2)
    tensor(1.)
    """
    num_rows, num_experts = logits.shape
    if num_utterances < 1 or num_rows % num_utterances:
        raise ValueError(
            f"num_utterances ({num_utterances}) must be a divisor of N ({num_rows})"
        )
    # Over the first axis: the router lays logits out as (E, N) on a CPU.
    probability = at_least_float32(logits).t().softmax(dim=0)
    probability = probability.unflatten(1, (num_utterances, -1)).mean(dim=2)
    # Not bincount, which waits for a GPU.
    experts = torch.arange(num_experts, device=expert_ids.device)
    chosen = experts[:, None, None] == expert_ids.reshape(num_utterances, -1)
    load = num_experts * chosen.to(probability.dtype).mean(dim=2)
    return (load * probability).sum() / num_utterances


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
