"""Sorted slices of two-layer experts: equal to the loop, whatever the slices."""

import pytest
import torch

from sesame.nnet.moe import swish_sliced
from sesame.nnet.moe.swish_sliced import sliced_swish_experts

CASES = [(37, 1, 5, 1), (37, 1, 5, 3), (7, 6, 4, 1), (7, 6, 4, 2), (1, 1, 1, 1)]


@pytest.mark.parametrize(("num_blocks", "length", "num_experts", "top_k"), CASES)
def test_slices_equal_the_loop_with_all_gradients(
    assert_equals_swish_loop, num_blocks, length, num_experts, top_k
):
    assert_equals_swish_loop(
        sliced_swish_experts, num_blocks, length, num_experts, top_k
    )


def test_idle_experts_get_zero_gradients(assert_equals_swish_loop):
    assert_equals_swish_loop(sliced_swish_experts, 11, 3, 7, 2, used=3)


@pytest.mark.parametrize("tokens", [1, 5, 1000])
@pytest.mark.parametrize("top_k", [1, 2])
def test_length_of_the_slices_does_not_matter(
    assert_equals_swish_loop, monkeypatch, tokens, top_k
):
    monkeypatch.setattr(swish_sliced, "_SLICE_TOKENS", tokens)
    assert_equals_swish_loop(sliced_swish_experts, 13, 2, 3, top_k)


def test_float32_equals_the_loop_to_1e_5(assert_equals_swish_loop):
    assert_equals_swish_loop(
        sliced_swish_experts, 30, 4, 5, 2, dtype=torch.float32, tolerance=1e-5
    )


@pytest.mark.parametrize("frozen", [0, 6])
def test_frozen_tokens_or_weights_leave_the_other_gradients_alone(frozen):
    def gradients(without):
        torch.manual_seed(1)
        shapes = [(9, 2, 6), (4, 6, 8), (4, 8), (4, 8, 6), (4, 6), None, (9, 2)]
        inputs = [
            torch.rand(9, 4).topk(2).indices
            if shape is None
            else torch.randn(shape, dtype=torch.float64).requires_grad_()
            for shape in shapes
        ]
        if without is not None:
            inputs[without].requires_grad_(False)
        sliced_swish_experts(*inputs).sin().sum().backward()
        return [tensor.grad for tensor in inputs]

    for index, (expected, actual) in enumerate(
        zip(gradients(None), gradients(frozen), strict=True)
    ):
        if index in (5, frozen):
            assert actual is None
        else:
            torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_sums_over_slices_do_not_stall_in_bfloat16(monkeypatch):
    monkeypatch.setattr(swish_sliced, "_SLICE_TOKENS", 1)
    shapes = [(1, 1, 1), (1, 1)] * 2
    parameters = [torch.zeros(s, dtype=torch.bfloat16).requires_grad_() for s in shapes]
    tokens = torch.ones(400, 1, 1, dtype=torch.bfloat16)
    ids, weights = torch.zeros(400, 1, dtype=torch.int64), torch.ones(400, 1)
    sliced_swish_experts(tokens, *parameters, ids, weights).float().sum().backward()
    # In bfloat16 256 + 1 is 256.
    assert parameters[3].grad.item() == 400


def test_no_blocks_give_no_output():
    parameters = [torch.randn(4, 6, 8), torch.randn(4, 8)]
    parameters += [torch.randn(4, 8, 6), torch.randn(4, 6)]
    ids, weights = torch.empty(0, 2, dtype=torch.int64), torch.empty(0, 2)
    output = sliced_swish_experts(torch.empty(0, 3, 6), *parameters, ids, weights)
    assert output.shape == (0, 3, 6)
