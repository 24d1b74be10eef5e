"""Laws of the router."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.nnet.moe.router import TopKRouter


@given(
    num_experts=st.integers(1, 9),
    choice=st.integers(0, 8),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 7)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=50)
def test_weights_sum_to_one_over_exactly_k_distinct_experts(
    num_experts, choice, shape, seed
):
    torch.manual_seed(seed)
    top_k = 1 + choice % num_experts
    router = TopKRouter(5, num_experts, top_k)
    router.expert_bias.normal_()
    routing = router(3 * torch.randn(*shape, 5))
    num_tokens = math.prod(shape)
    assert routing.expert_ids.dtype == torch.int64
    assert routing.expert_ids.shape == routing.weights.shape == (num_tokens, top_k)
    assert routing.expert_ids.min() >= 0 and routing.expert_ids.max() < num_experts
    assert all(len(set(ids)) == top_k for ids in routing.expert_ids.tolist())
    assert (routing.weights > 0).all()
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(num_tokens))
    assert routing.load.sum() == num_tokens * top_k
    assert routing.load.dtype == torch.float32 and not routing.load.requires_grad
    counts = torch.bincount(routing.expert_ids.flatten(), minlength=num_experts)
    assert torch.equal(routing.load, counts.float())


@pytest.mark.parametrize("top_k", [1, 2, 3, 6])
def test_choice_and_weights_follow_the_definition(top_k):
    torch.manual_seed(0)
    router = TopKRouter(5, 6, top_k).double()
    router.expert_bias.normal_(std=0.1)
    x = torch.randn(4, 7, 5, dtype=torch.float64)
    routing = router(x)
    logits = x.flatten(0, 1) @ router.token_projection.weight.t()
    scores = logits.softmax(1)
    ids = (scores + router.expert_bias).topk(top_k, dim=1).indices
    weights = scores.gather(1, ids)
    torch.testing.assert_close(routing.logits, logits)
    assert torch.equal(routing.expert_ids, ids)
    torch.testing.assert_close(
        routing.weights, weights / weights.sum(1, keepdim=True), rtol=1e-12, atol=0
    )


def test_bias_changes_choice_not_weights():
    torch.manual_seed(0)
    router = TopKRouter(5, 6, 2)
    x = torch.randn(4, 50, 5)
    plain = router(x)
    router.expert_bias[3] = 0.2
    biased = router(x)
    same = (plain.expert_ids.sort(1)[0] == biased.expert_ids.sort(1)[0]).all(1)
    assert 0 < same.sum() < len(same)
    assert biased.load[3] > plain.load[3]
    assert torch.equal(plain.logits, biased.logits)

    def by_expert(routing):
        return torch.zeros(200, 6).scatter(1, routing.expert_ids, routing.weights)

    assert torch.equal(by_expert(plain)[same], by_expert(biased)[same])


def test_bias_survives_the_state_dict_and_has_no_gradient():
    router = TopKRouter(5, 6, 2)
    router.expert_bias.copy_(torch.arange(6.0))
    twin = TopKRouter(5, 6, 2)
    twin.load_state_dict(router.state_dict())
    assert torch.equal(twin.expert_bias, torch.arange(6.0))
    assert "expert_bias" not in dict(router.named_parameters())
    assert not router.expert_bias.requires_grad


@pytest.mark.parametrize("runs", [1, 2, 6])
@pytest.mark.parametrize("context_steps", [1, 7])
def test_context_equals_its_explicit_repetition(runs, context_steps):
    torch.manual_seed(0)
    router = TopKRouter(5, 4, 2, context_dim=3).double()
    x = torch.randn(6, 7, 5, dtype=torch.float64)
    context = torch.randn(runs, context_steps, 3, dtype=torch.float64)
    per_token = context.repeat_interleave(6 // runs, 0).expand(-1, 7, -1)
    routing, explicit = router(x, context), router(x, per_token)
    torch.testing.assert_close(routing.logits, explicit.logits, rtol=1e-12, atol=1e-12)
    expected = (
        x @ router.token_projection.weight.t()
        + per_token @ router.context_projection.weight.t()
    ).flatten(0, 1)
    torch.testing.assert_close(routing.logits, expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_context_are_those_of_its_repetition():
    torch.manual_seed(0)
    router = TopKRouter(5, 4, 2, context_dim=3).double()
    x = torch.randn(6, 7, 5, dtype=torch.float64)
    context = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    per_token = context.repeat_interleave(3, 0).expand(-1, 7, -1)
    inputs = [context, *router.parameters()]
    compact, explicit = (
        torch.autograd.grad(router(x, c).weights.square().sum(), inputs)
        for c in (context, per_token)
    )
    for left, right in zip(compact, explicit, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-12)


def test_weights_and_logits_pass_gradcheck():
    torch.manual_seed(0)
    router = TopKRouter(5, 4, 2, context_dim=3).double()
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    context = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *a: router(*a)[1:3], (x, context))


def test_permuting_tokens_permutes_the_routing():
    torch.manual_seed(0)
    router = TopKRouter(5, 4, 2).double()
    x = torch.randn(1, 30, 5, dtype=torch.float64)
    order = torch.randperm(30)
    plain, permuted = router(x), router(x[:, order])
    assert torch.equal(permuted.expert_ids, plain.expert_ids[order])
    torch.testing.assert_close(permuted.weights, plain.weights[order])
    assert torch.equal(permuted.load, plain.load)


def test_autocast_leaves_the_routing_in_float32():
    torch.manual_seed(0)
    router = TopKRouter(5, 4, 2, context_dim=3)
    x, context = torch.randn(6, 7, 5), torch.randn(2, 7, 3)
    plain = router(x, context)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = router(x, context)
    assert reduced.logits.dtype == reduced.weights.dtype == torch.float32
    assert torch.equal(reduced.logits, plain.logits)
    assert torch.equal(reduced.weights, plain.weights)
    from_bfloat16 = router(x.bfloat16(), context.bfloat16())
    assert from_bfloat16.logits.dtype == torch.float32


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_values_that_are_not_finite_still_give_distinct_indices(value, top_k):
    router = TopKRouter(5, 4, top_k)
    x = torch.randn(2, 6, 5)
    x[0, 2, 1] = value
    x[1, 4] = value
    routing = router(x)
    assert routing.expert_ids.min() >= 0 and routing.expert_ids.max() < 4
    assert all(len(set(ids)) == top_k for ids in routing.expert_ids.tolist())
    assert routing.load.sum() == 12 * top_k
    untouched = [t for t in range(12) if t not in (2, 10)]
    assert routing.weights[untouched].isfinite().all()


def test_extreme_logits_keep_weights_finite():
    router = TopKRouter(1, 3, 2)
    with torch.no_grad():
        router.token_projection.weight.copy_(torch.tensor([[0.0], [-500.0], [-900.0]]))
    # Bias makes the two experts with underflown scores win.
    router.expert_bias.copy_(torch.tensor([-5.0, 0.0, 0.0]))
    routing = router(torch.ones(1, 1, 1))
    assert set(routing.expert_ids.flatten().tolist()) == {1, 2}
    torch.testing.assert_close(routing.weights.sum(1), torch.ones(1))


def test_routing_never_waits_for_a_value():
    # Meta tensors have no values: whatever would synchronise raises.
    router = TopKRouter(5, 4, 2, context_dim=3).to("meta")
    x = torch.empty(6, 7, 5, device="meta")
    routing = router(x, torch.empty(2, 1, 3, device="meta"))
    assert routing.expert_ids.shape == (42, 2) and routing.load.shape == (4,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0, 1), r"num_experts \(0\) must be at least 1"),
        ((5, 4, 5), r"top_k \(5\) must be in \[1, num_experts \(4\)\]"),
        ((5, 4, 0), r"top_k \(0\) must be in \[1, num_experts \(4\)\]"),
        ((5, 4, 2, -1), r"context_dim \(-1\) must not be negative"),
    ],
)
def test_wrong_sizes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TopKRouter(*arguments)


@pytest.mark.parametrize("shape", [(4, 7, 3), (2, 3, 3), (2, 7, 2)])
def test_a_context_that_does_not_fit_is_named(shape):
    router = TopKRouter(5, 4, 2, context_dim=3)
    with pytest.raises(ValueError, match="a divisor of 6, 7 or 1, 3"):
        router(torch.randn(6, 7, 5), torch.randn(shape))
    with pytest.raises(ValueError, match=r"context_dim \(3\) needs a context"):
        router(torch.randn(6, 7, 5))


def test_context_is_not_used_without_a_context_dim():
    router = TopKRouter(5, 4, 2)
    x = torch.randn(6, 7, 5)
    with_context = router(x, torch.randn(6, 7, 9))
    assert torch.equal(router(x).logits, with_context.logits)


@pytest.mark.parametrize("top_k", [1, 3])
def test_weights_that_are_not_renormalised_are_probabilities(top_k):
    router = TopKRouter(6, 4, top_k, renormalize=False).double()
    twin = TopKRouter(6, 4, top_k).double()
    router.expert_bias[2] = 0.3
    twin.load_state_dict(router.state_dict())
    x = torch.randn(3, 7, 6, dtype=torch.float64)
    routing, renormalised = router(x), twin(x)
    assert torch.equal(routing.expert_ids, renormalised.expert_ids)
    probability = routing.logits.softmax(1).gather(1, routing.expert_ids)
    torch.testing.assert_close(routing.weights, probability)
    torch.testing.assert_close(
        renormalised.weights, probability / probability.sum(1, keepdim=True)
    )
    routing.weights.sum().backward()
    assert router.token_projection.weight.grad.abs().sum() > 0
