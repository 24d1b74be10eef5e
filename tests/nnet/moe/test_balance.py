"""The adaptive bias evens the load; the summary says by how much."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sesame.nnet.moe.balance import moe_layers, routing_summary, update_expert_bias
from sesame.nnet.moe.layer import MoEFeedForward
from sesame.nnet.moe.router import TopKRouter


def test_layers_are_found_once_each_by_name_and_in_order():
    shared = MoEFeedForward(4, 2, 1)
    last = MoEFeedForward(4, 3, 1)
    network = nn.Sequential(
        nn.Linear(4, 4), nn.ModuleDict({"ff": shared}), shared, nn.ModuleList([last])
    )
    found = moe_layers(network)
    assert list(found) == ["1.ff", "3.0"]
    assert found["1.ff"] is shared and found["3.0"] is last
    assert moe_layers(nn.Linear(4, 4)) == {}
    assert list(moe_layers(last)) == [""]


def test_repeated_updates_lower_the_imbalance():
    torch.manual_seed(0)
    router = TopKRouter(8, 6, 2)
    with torch.no_grad():
        router.token_projection.weight.normal_(std=0.3)
    x = torch.randn(1, 2000, 8) + 0.5
    first = routing_summary(router(x).load, router.expert_bias)
    for _ in range(300):
        update_expert_bias(router, router(x).load, speed=0.002)
    last = routing_summary(router(x).load, router.expert_bias)
    assert first["load_max_over_mean"] > 1.5
    assert last["load_max_over_mean"] < 1.1
    assert last["routing_entropy"] > max(first["routing_entropy"], 0.99)
    assert last["bias_range"] > 0


def test_update_moves_each_bias_by_the_speed_towards_the_mean():
    router = TopKRouter(8, 4, 2)
    router.expert_bias.fill_(1.0)
    before = router.expert_bias
    update_expert_bias(router, torch.tensor([9.0, 5.0, 5.0, 1.0]), speed=0.25)
    assert router.expert_bias is before
    assert router.expert_bias.tolist() == [0.75, 1.0, 1.0, 1.25]
    update_expert_bias(router, torch.tensor([9, 5, 5, 1]), speed=0.0)
    assert router.expert_bias.tolist() == [0.75, 1.0, 1.0, 1.25]


def test_update_after_a_forward_does_not_disturb_its_backward():
    layer = MoEFeedForward(8, 4, 2)
    loss = layer(torch.randn(2, 5, 8)).sum()
    update_expert_bias(layer.router, layer.routing.load, speed=0.1)
    loss.backward()
    assert layer.router.token_projection.weight.grad.isfinite().all()


def test_wrong_loads_and_speeds_are_named():
    router = TopKRouter(8, 4, 2)
    with pytest.raises(
        ValueError, match=r"load \(3,\) must be \(num_experts,\) = \(4,\)"
    ):
        update_expert_bias(router, torch.ones(3), speed=0.1)
    with pytest.raises(ValueError, match=r"speed \(-0.1\) must not be negative"):
        update_expert_bias(router, torch.ones(4), speed=-0.1)


@pytest.mark.parametrize("num_experts", [2, 5, 8])
def test_even_load_and_collapse_are_the_ends_of_the_scale(num_experts):
    bias = torch.zeros(num_experts)
    even = routing_summary(torch.full((num_experts,), 3.0), bias)
    assert even["load_max_over_mean"] == 1.0 and even["dead_experts"] == 0.0
    assert even["routing_entropy"] == pytest.approx(1.0, abs=1e-12)
    collapsed = torch.zeros(num_experts)
    collapsed[1] = 7.0
    summary = routing_summary(collapsed, bias)
    assert summary["load_max_over_mean"] == num_experts
    assert summary["routing_entropy"] == 0.0
    assert summary["dead_experts"] == num_experts - 1


def test_two_equal_experts_of_four_have_half_the_entropy():
    bias = torch.tensor([-0.5, 0.0, 0.25, 1.0])
    summary = routing_summary(torch.tensor([4.0, 0.0, 4.0, 0.0]), bias)
    assert summary == {
        "load_max_over_mean": 2.0,
        "routing_entropy": pytest.approx(0.5),
        "dead_experts": 2.0,
        "bias_range": 1.5,
    }


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9), st.integers(1, 9))
@settings(deadline=None)
def test_summary_is_in_range_and_ignores_order_and_scale(counts, scale):
    load, bias = torch.tensor(counts).float(), torch.zeros(len(counts))
    if load.sum() == 0:
        load[0] = 1.0
    summary = routing_summary(load, bias)
    assert 1.0 <= summary["load_max_over_mean"] <= len(counts) + 1e-9
    assert -1e-12 <= summary["routing_entropy"] <= 1.0 + 1e-12
    assert summary == pytest.approx(routing_summary(scale * load.flip(0), bias))


def test_one_expert_is_even_and_no_tokens_are_not_a_number():
    single = routing_summary(torch.tensor([5.0]), torch.zeros(1))
    assert single["routing_entropy"] == single["load_max_over_mean"] == 1.0
    empty = routing_summary(torch.zeros(4), torch.zeros(4))
    assert empty["dead_experts"] == 4.0
    assert empty["load_max_over_mean"] != empty["load_max_over_mean"]
    assert empty["routing_entropy"] != empty["routing_entropy"]
