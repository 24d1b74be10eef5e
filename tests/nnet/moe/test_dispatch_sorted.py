"""The sorted formulations equal the loop, whatever the slices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sesame.nnet.moe import dispatch_sorted
from sesame.nnet.moe.dispatch_sorted import (
    can_group,
    grouped_linear_experts,
    sorted_experts,
)


def _grouped(tokens, parameters, expert_ids, weights):
    return grouped_linear_experts(tokens, *parameters, expert_ids, weights)


def _sorted(tokens, parameters, expert_ids, weights):
    *hidden, weight, bias = parameters

    def apply_expert(expert, rows):
        if hidden:
            rows = F.leaky_relu(rows @ hidden[0][expert] + hidden[1][expert])
        return rows @ weight[expert] + bias[expert]

    return sorted_experts(tokens, expert_ids, weights, len(weight), apply_expert)


CASES = [(_grouped, None), (_sorted, None), (_sorted, 5)]


@pytest.mark.parametrize(("formulation", "hidden"), CASES)
@pytest.mark.parametrize("top_k", [1, 2, 3, 5])
def test_sorted_experts_equal_the_loop_with_all_gradients(
    assert_equals_loop, formulation, hidden, top_k
):
    assert_equals_loop(formulation, 37, 5, top_k, hidden)


@pytest.mark.parametrize(("formulation", "hidden"), CASES)
def test_one_token_is_enough(assert_equals_loop, formulation, hidden):
    assert_equals_loop(formulation, 1, 5, 2, hidden)
    assert_equals_loop(formulation, 1, 1, 1, hidden)


@pytest.mark.parametrize(("formulation", "hidden"), CASES)
def test_experts_without_tokens_get_zero_gradients(
    assert_equals_loop, formulation, hidden
):
    # The loop gives its idle experts zeros too: they are slices of one tensor.
    assert_equals_loop(formulation, 23, 7, 2, hidden, used=3)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_length_of_the_slices_does_not_matter(assert_equals_loop, monkeypatch, rows):
    monkeypatch.setattr(dispatch_sorted, "_SLICE_ROWS", rows)
    assert_equals_loop(_grouped, 29, 4, 2)


@given(
    num_tokens=st.integers(1, 12),
    num_experts=st.integers(1, 5),
    choice=st.integers(0, 4),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_the_two_sorted_forms_agree(num_tokens, num_experts, choice, seed):
    top_k = 1 + choice % num_experts
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(num_tokens, 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(num_experts, 3, 2, generator=generator, dtype=torch.float64)
    bias = torch.randn(num_experts, 2, generator=generator, dtype=torch.float64)
    scores = torch.rand(num_tokens, num_experts, generator=generator)
    weights, ids = scores.double().topk(top_k, dim=1)
    grouped = _grouped(tokens, [weight, bias], ids, weights)
    by_expert = _sorted(tokens, [weight, bias], ids, weights)
    torch.testing.assert_close(grouped, by_expert, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("frozen", range(4))
def test_a_frozen_input_leaves_the_other_gradients_alone(frozen):
    torch.manual_seed(0)
    ids = torch.rand(11, 4).topk(2, dim=1).indices

    def gradients(without):
        torch.manual_seed(1)
        shapes = [(11, 6), (4, 6, 3), (4, 3), (11, 2)]
        inputs = [torch.randn(s, dtype=torch.float64).requires_grad_() for s in shapes]
        if without is not None:
            inputs[without].requires_grad_(False)
        tokens, weight, bias, weights = inputs
        grouped_linear_experts(
            tokens, weight, bias, ids, weights
        ).sin().sum().backward()
        return [i.grad for i in inputs]

    for index, (expected, actual) in enumerate(
        zip(gradients(None), gradients(frozen), strict=True)
    ):
        if index == frozen:
            assert actual is None
        else:
            torch.testing.assert_close(actual, expected, rtol=0, atol=0)


def test_every_expert_is_called_once_with_the_rows_of_its_tokens():
    called = []

    def apply_expert(expert, rows):
        called.append((expert, rows.flatten().tolist()))
        return rows

    ids = torch.tensor([[2, 0], [1, 2], [0, 2]])
    tokens = torch.tensor([[1.0], [2.0], [3.0]])
    sorted_experts(tokens, ids, torch.ones(3, 2), 4, apply_expert)
    sets = [(expert, sorted(rows)) for expert, rows in called]
    assert sets == [(0, [1.0, 3.0]), (1, [2.0]), (2, [1.0, 2.0, 3.0]), (3, [])]


def test_grouping_is_offered_only_for_few_sets_that_fit_a_key():
    assert can_group(8, 2) and can_group(8, 4) and can_group(1, 1) and can_group(62, 1)
    assert not can_group(64, 2) and not can_group(63, 1) and not can_group(16, 8)
