"""Mixture of experts on a CPU: tokens sorted by expert, one product per slice.

A CPU pays for every product it computes and for every byte it moves. Sorting computes
the chosen experts only; slices small enough for the cache move a token once.
"""

from collections.abc import Callable
from math import comb

import torch
from torch.autograd.function import once_differentiable

__all__ = ["can_group", "grouped_linear_experts", "sorted_experts"]

# Above this many sets of experts the slices are too short to fill a matrix product.
_MAX_GROUPS = 128
# A set of experts is the bits of one int64.
_MAX_EXPERTS = 62
# Rows of a slice: 1 MiB of 256 float32 channels, which a second-level cache holds.
_SLICE_ROWS = 1024


def can_group(num_experts: int, top_k: int) -> bool:
    """Tells whether tokens can be sorted by their *set* of chosen experts.

    Arguments
    ---------
    num_experts : int
        Number of experts E.
    top_k : int
        Number K of experts per token.

    Returns
    -------
    bool
        True if there are few enough sets of K out of E experts.

    Example
    -------
    >>> can_group(num_experts=8, top_k=2), can_group(num_experts=64, top_k=6)
    (True, False)
    """
    return num_experts <= _MAX_EXPERTS and comb(num_experts, top_k) <= _MAX_GROUPS


def _slices(sorted_keys: torch.Tensor) -> list[tuple[int, int, int]]:
    """Cuts runs of equal keys into (run number, start, stop) of bounded length."""
    _, counts = torch.unique_consecutive(sorted_keys, return_counts=True)
    slices, start = [], 0
    for run, count in enumerate(counts.tolist()):
        stop = start + count
        for first in range(start, stop, _SLICE_ROWS):
            slices.append((run, first, min(first + _SLICE_ROWS, stop)))
        start = stop
    return slices


class _GroupedLinear(torch.autograd.Function):
    """Linear experts on tokens sorted by their set of experts.

    Every token is in one slice only, so each gradient is a gather, a product and a
    write to rows of its own; nothing is accumulated over tokens but the parameters.
    """

    @staticmethod
    def forward(ctx, tokens, weight, bias, gates, order, slices, sets):
        num_tokens, width = tokens.shape
        columns = len(sets[0]) * weight.shape[2] if sets else 0
        keep = ctx.needs_input_grad[3]
        rows = num_tokens if keep else min(num_tokens, _SLICE_ROWS)
        hidden = tokens.new_empty(rows, columns)
        gathered = tokens.new_empty(min(num_tokens, _SLICE_ROWS), width)
        output = tokens.new_empty(num_tokens, weight.shape[2])
        run = None
        for this_run, start, stop in slices:
            if this_run != run:
                run, experts = this_run, sets[this_run]
                joined_weight = torch.cat([weight[e] for e in experts], dim=1)
                joined_bias = torch.cat([bias[e] for e in experts])
            token_ids = order[start:stop]
            inputs = gathered[: stop - start]
            torch.index_select(tokens, 0, token_ids, out=inputs)
            states = hidden[start:stop] if keep else hidden[: stop - start]
            torch.addmm(joined_bias, inputs, joined_weight, out=states)
            parts = states.unflatten(1, (len(experts), -1)).unbind(1)
            gate = gates[experts[0]].index_select(0, token_ids)
            mixed = parts[0] * gate.unsqueeze(1)
            for part, expert in zip(parts[1:], experts[1:], strict=True):
                gate = gates[expert].index_select(0, token_ids)
                mixed.addcmul_(part, gate.unsqueeze(1))
            output.index_copy_(0, token_ids, mixed)
        ctx.save_for_backward(
            tokens, weight, bias, gates, order, hidden if keep else None
        )
        ctx.slices, ctx.sets = slices, sets
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, output_grad):
        tokens, weight, bias, gates, order, hidden = ctx.saved_tensors
        need_tokens, need_weight, need_bias, need_gates = ctx.needs_input_grad[:4]
        out_width = weight.shape[2]
        tokens_grad = torch.empty_like(tokens) if need_tokens else None
        weight_grad = torch.zeros_like(weight) if need_weight else None
        bias_grad = torch.zeros_like(bias) if need_bias else None
        gates_grad = torch.zeros_like(gates) if need_gates else None
        run = None
        for this_run, start, stop in ctx.slices:
            if this_run != run:
                run, experts = this_run, ctx.sets[this_run]
                joined_weight = torch.cat([weight[e] for e in experts], dim=1).t()
            token_ids = order[start:stop]
            grads = output_grad.index_select(0, token_ids)
            if need_gates:
                states = hidden[start:stop].unflatten(1, (len(experts), -1))
                products = torch.einsum("nko,no->kn", states, grads)
                for expert, product in zip(experts, products, strict=True):
                    gates_grad[expert].index_copy_(0, token_ids, product)
            gate = torch.stack([gates[e].index_select(0, token_ids) for e in experts])
            states_grad = (grads.unsqueeze(1) * gate.t().unsqueeze(2)).flatten(1)
            if need_tokens:
                tokens_grad.index_copy_(0, token_ids, states_grad @ joined_weight)
            if need_weight:
                inputs = tokens.index_select(0, token_ids)
                joined = inputs.t() @ states_grad
                for expert, part in zip(
                    experts, joined.split(out_width, dim=1), strict=True
                ):
                    weight_grad[expert] += part
            if need_bias:
                bias_grad[experts] += states_grad.sum(0).view(-1, out_width)
        return tokens_grad, weight_grad, bias_grad, gates_grad, None, None, None


@torch.compiler.disable  # slices differ from batch to batch
def grouped_linear_experts(
    tokens: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    expert_ids: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """Mixes linear experts, one matrix product per set of experts that occurs.

    The tokens that chose experts {a, b} are gathered once and multiplied by
    ``[weight_a, weight_b]`` side by side. Needs ``can_group``.

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
        Weighted sum of the chosen experts' outputs, in the type of ``tokens``.

    Example
    -------
    >>> ids = torch.tensor([[0, 1], [2, 1]])
    >>> half = torch.full((2, 2), 0.5)
    >>> matrices = torch.eye(4).expand(3, 4, 4)
    >>> tokens = torch.randn(2, 4)
    >>> mixed = grouped_linear_experts(tokens, matrices, torch.zeros(3, 4), ids, half)
    >>> torch.allclose(mixed, tokens)
    True
    """
    keys = torch.bitwise_left_shift(1, expert_ids).sum(1)
    sorted_keys, order = keys.sort()
    slices = _slices(sorted_keys)
    starts = [start for _, start, _ in slices]
    members = expert_ids[order[starts]].sort(1).values.tolist()
    sets = {run: experts for (run, _, _), experts in zip(slices, members, strict=True)}
    gates = tokens.new_zeros(weight.shape[0], tokens.shape[0])
    gates = gates.scatter(0, expert_ids.t(), weights.t().to(tokens.dtype))
    return _GroupedLinear.apply(tokens, weight, bias, gates, order, slices, sets)


class _SelectRows(torch.autograd.Function):
    """Repeats and reorders rows; its gradient gathers instead of accumulating."""

    @staticmethod
    def forward(ctx, rows, source, position):
        ctx.save_for_backward(position)
        return rows.index_select(0, source)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (position,) = ctx.saved_tensors
        copies = grad.index_select(0, position.flatten())
        return copies.unflatten(0, position.shape).sum(1), None, None


@torch.compiler.disable  # slices differ from batch to batch
def sorted_experts(
    tokens: torch.Tensor,
    expert_ids: torch.Tensor,
    weights: torch.Tensor,
    num_experts: int,
    apply_expert: Callable[[int, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Mixes experts of any form, each called once on the slice of its tokens.

    Shape: tokens (N, in), expert_ids (N, K), weights (N, K) -> (N, out).

    Arguments
    ---------
    tokens : torch.Tensor
        Inputs of the experts.
    expert_ids : torch.Tensor
        Distinct experts of each token, int64.
    weights : torch.Tensor
        Weight of each chosen expert.
    num_experts : int
        Number of experts E.
    apply_expert : Callable[[int, torch.Tensor], torch.Tensor]
        Maps (expert, its tokens (n, in)) to (n, out).

    Returns
    -------
    torch.Tensor
        Weighted sum of the chosen experts' outputs.

    Example
    -------
    >>> ids, ones = torch.tensor([[1], [0], [1]]), torch.ones(3, 1)
    >>> scale = lambda expert, rows: rows * (expert + 1)
    >>> sorted_experts(torch.ones(3, 1), ids, ones, 2, scale).flatten().tolist()
    [2.0, 1.0, 2.0]
    """
    num_tokens, top_k = expert_ids.shape
    chosen = expert_ids.flatten()
    order = chosen.argsort()
    position = torch.empty_like(order)
    position[order] = torch.arange(order.numel())
    source = order.div(top_k, rounding_mode="floor")
    rows = _SelectRows.apply(tokens, source, position.view(num_tokens, top_k))
    counts = torch.bincount(chosen, minlength=num_experts).tolist()
    parts = rows.split(counts)
    outputs = torch.cat([apply_expert(e, part) for e, part in enumerate(parts)])
    outputs = _SelectRows.apply(outputs, position, order.unsqueeze(1))
    outputs = outputs.unflatten(0, (num_tokens, top_k))
    return (outputs * weights.to(outputs.dtype).unsqueeze(2)).sum(1)
