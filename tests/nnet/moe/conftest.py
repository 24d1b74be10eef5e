"""The definition every fast formulation must equal."""

import pytest
import torch
from torch.nn import functional as F


def _loop(tokens, parameters, expert_ids, weights):
    """Sums, token by token and choice by choice, weight * expert(token)."""
    *hidden, weight, bias = parameters
    rows = []
    for token, ids, token_weights in zip(tokens, expert_ids, weights, strict=True):
        row = torch.zeros(weight.shape[2], dtype=tokens.dtype)
        for expert, expert_weight in zip(ids.tolist(), token_weights, strict=True):
            state = token
            if hidden:
                state = F.leaky_relu(token @ hidden[0][expert] + hidden[1][expert])
            row = row + expert_weight * (state @ weight[expert] + bias[expert])
        rows.append(row)
    return torch.stack(rows)


@pytest.fixture
def loop_mixture():
    """The mixture as a plain loop: (tokens, parameters, expert_ids, weights)."""
    return _loop


@pytest.fixture
def assert_equals_loop():
    """Compares a formulation with the loop: output and all gradients, float64."""

    def check(formulation, num_tokens, num_experts, top_k, hidden=None, used=None):
        generator = torch.Generator().manual_seed(num_tokens + 7 * top_k)

        def draw(*shape):
            values = torch.randn(*shape, generator=generator, dtype=torch.float64)
            return values.requires_grad_()

        tokens = draw(num_tokens, 6)
        parameters = [draw(num_experts, hidden or 6, 4), draw(num_experts, 4)]
        if hidden:
            first = [draw(num_experts, 6, hidden), draw(num_experts, hidden)]
            parameters = first + parameters
        scores = torch.rand(num_tokens, used or num_experts, generator=generator)
        expert_ids = scores.topk(top_k, dim=1).indices
        weights = draw(num_tokens, top_k).detach().softmax(1).requires_grad_()
        inputs = [tokens, *parameters, weights]
        results = []
        for function in (_loop, formulation):
            output = function(tokens, parameters, expert_ids, weights)
            # A curved objective, so that the incoming gradient varies.
            gradients = torch.autograd.grad(output.sin().sum(), inputs)
            results.append([output, *gradients])
        for expected, actual in zip(*results, strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)

    return check


def _swish_loop(blocks, parameters, expert_ids, weights):
    """Sums, block by block and choice by choice, weight * expert(tokens)."""
    hidden_weight, hidden_bias, weight, bias = parameters
    mixed = []
    for block, ids, block_weights in zip(blocks, expert_ids, weights, strict=True):
        total = torch.zeros_like(block)
        for expert, expert_weight in zip(ids.tolist(), block_weights, strict=True):
            state = block @ hidden_weight[expert] + hidden_bias[expert]
            state = (state * state.sigmoid()) @ weight[expert] + bias[expert]
            total = total + expert_weight * state
        mixed.append(total)
    return torch.stack(mixed)


@pytest.fixture
def swish_loop():
    """The mixture as a plain loop: (blocks, parameters, expert_ids, weights)."""
    return _swish_loop


@pytest.fixture
def assert_equals_swish_loop():
    """Compares a formulation with the loop: output and all gradients."""

    def check(
        formulation,
        num_blocks,
        length,
        num_experts,
        top_k,
        used=None,
        dtype=torch.float64,
        tolerance=1e-10,
    ):
        generator = torch.Generator().manual_seed(num_blocks + 7 * top_k)

        def draw(*shape):
            values = torch.randn(*shape, generator=generator, dtype=dtype)
            return values.requires_grad_()

        tokens = draw(num_blocks, length, 6)
        parameters = [draw(num_experts, 6, 8), draw(num_experts, 8)]
        parameters += [draw(num_experts, 8, 6), draw(num_experts, 6)]
        scores = torch.rand(num_blocks, used or num_experts, generator=generator)
        expert_ids = scores.topk(top_k, dim=1).indices
        weights = draw(num_blocks, top_k).detach().softmax(1).requires_grad_()
        inputs = [tokens, *parameters, weights]
        outputs = [
            _swish_loop(tokens, parameters, expert_ids, weights),
            formulation(tokens, *parameters, expert_ids, weights),
        ]
        results = []
        for output in outputs:
            # A curved objective, so that the incoming gradient varies.
            gradients = torch.autograd.grad(output.sin().mean(), inputs)
            results.append([output, *gradients])
        for expected, actual in zip(*results, strict=True):
            torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)

    return check
