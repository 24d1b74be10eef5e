"""The dense formulations equal the loop, and never look at the values."""

import pytest
import torch

from sesame.nnet.moe.dispatch import dense_hidden_experts, dense_linear_experts


def _dense(tokens, parameters, expert_ids, weights):
    if len(parameters) == 2:
        return dense_linear_experts(tokens, *parameters, expert_ids, weights)
    return dense_hidden_experts(tokens, *parameters, expert_ids, weights)


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("top_k", [1, 2, 3, 4])
def test_dense_experts_equal_the_loop_with_all_gradients(
    assert_equals_loop, top_k, hidden
):
    assert_equals_loop(_dense, 19, 4, top_k, hidden)


@pytest.mark.parametrize("hidden", [None, 5])
def test_dense_experts_accept_one_token_and_idle_experts(assert_equals_loop, hidden):
    assert_equals_loop(_dense, 1, 4, 2, hidden)
    assert_equals_loop(_dense, 9, 6, 2, hidden, used=3)


@pytest.mark.parametrize("hidden", [None, 5])
def test_dense_experts_never_wait_for_a_value(hidden):
    # A meta tensor has a shape and no values: whatever would synchronise raises.
    with torch.device("meta"):
        parameters = [torch.randn(4, hidden or 6, 3), torch.randn(4, 3)]
        if hidden:
            parameters = [
                torch.randn(4, 6, hidden),
                torch.randn(4, hidden),
                *parameters,
            ]
        ids = torch.zeros(9, 2, dtype=torch.int64)
        output = _dense(torch.randn(9, 6), parameters, ids, torch.rand(9, 2))
    assert output.shape == (9, 3)


def test_dense_linear_experts_are_one_graph():
    compiled = torch.compile(dense_linear_experts, backend="eager", fullgraph=True)
    tokens, weight, bias = torch.randn(7, 6), torch.randn(4, 6, 3), torch.randn(4, 3)
    ids, weights = torch.rand(7, 4).topk(2, dim=1).indices, torch.rand(7, 2)
    arguments = (tokens, weight, bias, ids, weights)
    torch.testing.assert_close(compiled(*arguments), dense_linear_experts(*arguments))


def test_hidden_experts_take_any_activation(swish_loop):
    torch.manual_seed(0)
    shapes = [(4, 6, 5), (4, 5), (4, 5, 6), (4, 6)]
    parameters = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    tokens = torch.randn(9, 6, dtype=torch.float64)
    ids = torch.rand(9, 4).topk(2, dim=1).indices
    weights = torch.rand(9, 2, dtype=torch.float64)
    expected = swish_loop(tokens.unsqueeze(1), parameters, ids, weights).squeeze(1)
    actual = dense_hidden_experts(
        tokens, *parameters, ids, weights, activation=torch.nn.functional.silu
    )
    torch.testing.assert_close(actual, expected)
