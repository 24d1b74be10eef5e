"""Two-layer experts with SiLU on a CPU: blocks sorted by expert, cut into slices.

The hidden units are four times as wide as the tokens. A slice is short enough for them
to stay in the cache, and the backward pass computes them again instead of keeping
them: that is faster than fetching them from memory.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["sliced_swish_experts"]

# Tokens of a slice: 1 MiB of 128 hidden units in float32.
_SLICE_TOKENS = 2048


class _SlicedSwish(torch.autograd.Function):
    """Experts on blocks of tokens, in the ``order`` that sorts the assignments.

    An assignment is a block and one of its ``top_k`` experts; a slice (expert, start,
    stop) is a range of sorted assignments.
    """

    @staticmethod
    def forward(ctx, tokens, weights, order, slices, *parameters):
        hidden_weight, hidden_bias, weight, bias = parameters
        top_k = weights.shape[1]
        blocks = order.div(top_k, rounding_mode="floor")
        gates = weights.flatten().index_select(0, order)
        output = _start((*tokens.shape[:2], weight.shape[2]), tokens, top_k)
        results = None
        if ctx.needs_input_grad[1]:
            results = tokens.new_empty(len(order), *output.shape[1:])
        for expert, start, stop in slices:
            chosen = blocks[start:stop]
            rows = tokens.index_select(0, chosen).flatten(0, 1)
            hidden = torch.addmm(hidden_bias[expert], rows, hidden_weight[expert])
            F.silu(hidden, inplace=True)
            mixed = torch.addmm(bias[expert], hidden, weight[expert])
            mixed = mixed.view(stop - start, *output.shape[1:])
            if results is not None:
                results[start:stop] = mixed
            mixed.mul_(gates[start:stop, None, None])
            _put(output, chosen, mixed, top_k)
        ctx.save_for_backward(tokens, gates, order, blocks, results, *parameters)
        ctx.slices, ctx.top_k = slices, top_k
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx, output_grad):
        tokens, gates, order, blocks, results, *parameters = ctx.saved_tensors
        hidden_weight, hidden_bias, weight, _ = parameters
        need_tokens, need_weights = ctx.needs_input_grad[:2]
        tokens_grad, weights_grad = None, None
        if need_tokens:
            tokens_grad = _start(tokens.shape, tokens, ctx.top_k)
        if need_weights:
            weights_grad = torch.empty_like(gates)
        # Sums over slices: in bfloat16 they would stop growing.
        wide = torch.promote_types(tokens.dtype, torch.float32)
        grads = [torch.zeros_like(p, dtype=wide) for p in parameters]
        for expert, start, stop in ctx.slices:
            chosen = blocks[start:stop]
            grad = output_grad.index_select(0, chosen)
            if need_weights:
                products = (results[start:stop] * grad).sum((1, 2))
                weights_grad.index_copy_(0, order[start:stop], products)
            grad.mul_(gates[start:stop, None, None])
            grad = grad.flatten(0, 1)
            rows = tokens.index_select(0, chosen).flatten(0, 1)
            states = torch.addmm(hidden_bias[expert], rows, hidden_weight[expert])
            grads[2][expert] += F.silu(states).t() @ grad
            grads[3][expert] += grad.sum(0)
            grad = grad @ weight[expert].t()
            grad = torch.ops.aten.silu_backward(grad, states)
            grads[0][expert] += rows.t() @ grad
            grads[1][expert] += grad.sum(0)
            if need_tokens:
                grad = grad @ hidden_weight[expert].t()
                _put(tokens_grad, chosen, grad.view(-1, *tokens.shape[1:]), ctx.top_k)
        grads = [g.to(p.dtype) for g, p in zip(grads, parameters, strict=True)]
        if need_weights:
            weights_grad = weights_grad.view(-1, ctx.top_k)
        return tokens_grad, weights_grad, None, None, *grads


def _start(shape, like, top_k):
    """Memory for ``_put``: every block of it is written if there is one choice."""
    return like.new_empty(shape) if top_k == 1 else like.new_zeros(shape)


def _put(output, blocks, mixed, top_k):
    """Adds to blocks, each of which occurs once here and ``top_k`` times in all."""
    if top_k == 1:
        output.index_copy_(0, blocks, mixed)
    else:
        output.index_add_(0, blocks, mixed)


@torch.compiler.disable  # slices differ from batch to batch
def sliced_swish_experts(
    tokens: torch.Tensor,
    hidden_weight: torch.Tensor,
    hidden_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    expert_ids: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """Mixes experts of the form linear, SiLU, linear.

    A block of R tokens shares its choice of experts; R is 1 where every token chooses
    for itself.

    Shape: tokens (N, R, in), hidden_weight (E, in, hidden), hidden_bias (E, hidden),
    weight (E, hidden, out), bias (E, out), expert_ids (N, K), weights (N, K)
    -> (N, R, out).

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
        Distinct experts of each block, int64.
    weights : torch.Tensor
        Weight of each chosen expert.

    Returns
    -------
    torch.Tensor
        Weighted sum of the chosen experts' outputs, in the type of ``tokens``.

    Example
    -------
    >>> parameters = [torch.zeros(2, 3, 4), torch.zeros(2, 4), torch.zeros(2, 4, 1)]
    >>> bias = torch.tensor([[5.0], [7.0]])
    >>> ids, ones = torch.tensor([[1], [0]]), torch.ones(2, 1)
    >>> tokens = torch.randn(2, 2, 3)
    >>> sliced_swish_experts(tokens, *parameters, bias, ids, ones).flatten()
    tensor([7., 7., 5., 5.])
    """
    chosen, order = expert_ids.flatten().sort()
    counts = torch.bincount(chosen, minlength=weight.shape[0]).tolist()
    slices = _cut(counts, max(1, _SLICE_TOKENS // max(1, tokens.shape[1])))
    parameters = (hidden_weight, hidden_bias, weight, bias)
    return _SlicedSwish.apply(
        tokens, weights.to(tokens.dtype), order, slices, *parameters
    )


def _cut(counts: list[int], length: int) -> list[tuple[int, int, int]]:
    """Cuts runs of assignments into (expert, start, stop) of bounded length."""
    slices, start = [], 0
    for expert, count in enumerate(counts):
        stop = start + count
        for first in range(start, stop, length):
            slices.append((expert, first, min(first + length, stop)))
        start = stop
    return slices
