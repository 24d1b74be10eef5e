"""Steps, schedules and averages of the weights."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sesame.brain.optimization import (
    average_gradients,
    exponential_moving_average,
    gradient_step,
    warmup_then_cosine,
    warmup_then_decay,
    weight_decay_groups,
)
from sesame.nnet.moe import MoEFeedForward


def _two_groups(first=(3.0, 0.0), second=(0.0, 4.0)):
    """SGD with rate 1 over two groups; the norm of the gradients is 5."""
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    for weight, gradient in zip(weights, (first, second), strict=True):
        weight.grad = torch.tensor(gradient)
    groups = [{"params": [weights[0]], "weight_decay": 0.0}, {"params": [weights[1]]}]
    return torch.optim.SGD(groups, lr=1.0), weights


# ----------------------------------------------------------------- gradient_step


@pytest.mark.parametrize("bound", [5.0, 1.0, 0.01])
def test_clipping_bounds_the_norm_over_all_groups_and_keeps_the_direction(bound):
    optimizer, weights = _two_groups()
    assert gradient_step(optimizer, bound)
    update = torch.cat(list(weights)).detach()
    expected = -torch.tensor([3.0, 0.0, 0.0, 4.0]) * bound / 5
    torch.testing.assert_close(update, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("bound", [0.0, -1.0, -math.inf, 1e9])
def test_no_positive_bound_and_a_wide_one_leave_gradients_as_they_are(bound):
    optimizer, weights = _two_groups()
    assert gradient_step(optimizer, bound)
    assert torch.cat(list(weights)).tolist() == [-3.0, 0.0, 0.0, -4.0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("group", [0, 1])
@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_one_bad_number_in_any_group_drops_the_whole_step(bad, group, bound):
    gradients = [[1.0, 1.0], [1.0, 1.0]]
    gradients[group][1] = bad
    optimizer, weights = _two_groups(*gradients)
    assert not gradient_step(optimizer, bound)
    assert all((weight == 0).all() for weight in weights)
    assert all(weight.grad is None for weight in weights)
    assert not optimizer.state, "the moments of the optimiser have seen the step"


def test_gradients_are_consumed():
    optimizer, weights = _two_groups()
    gradient_step(optimizer, 1.0)
    assert all(weight.grad is None for weight in weights)


def test_parameters_without_gradient_are_left_alone():
    optimizer, weights = _two_groups()
    weights[1].grad = None
    assert gradient_step(optimizer, 1.0)
    torch.testing.assert_close(weights[0].detach(), torch.tensor([-1.0, 0.0]))
    assert weights[1].tolist() == [0.0, 0.0]


# ----------------------------------------------------------------- schedule


@given(
    st.integers(0, 10_000),
    st.integers(0, 2000),
    st.floats(0.01, 1.0),
    st.integers(100, 5000),
)
def test_the_rate_is_a_fraction_that_rises_then_falls(step, warmup, decay, steps):
    now, then = (warmup_then_decay(s, warmup, decay, steps) for s in (step, step + 1))
    assert 0 < now <= 1
    assert then >= now if step + 1 <= warmup else then <= now


@given(st.integers(0, 100), st.floats(0.01, 1.0), st.integers(1, 100))
def test_the_rate_falls_by_the_decay_per_decay_steps(warmup, decay, steps):
    for periods in (0, 1, 2):
        factor = warmup_then_decay(warmup + periods * steps, warmup, decay, steps)
        assert factor == pytest.approx(decay**periods)


def test_the_warm_up_is_linear_and_never_zero():
    factors = [warmup_then_decay(step, 4, 0.5, 10) for step in range(5)]
    assert factors == [0.25, 0.5, 0.75, 1.0, 1.0]


@given(
    st.integers(0, 12_000),
    st.integers(0, 2000),
    st.integers(1, 9000),
    st.floats(0.0, 1.0),
)
def test_the_cosine_rises_then_falls_to_its_last_value(step, warmup, rest, final):
    total = warmup + rest
    now, then = (warmup_then_cosine(s, warmup, total, final) for s in (step, step + 1))
    assert 0 <= now <= 1 + 1e-12
    assert then >= now if step + 1 <= warmup else then <= now + 1e-12
    if step >= total:
        assert now == pytest.approx(final)


@given(st.integers(0, 100), st.integers(1, 1000), st.floats(0.0, 1.0))
def test_the_cosine_is_half_way_down_in_the_middle_and_flat_at_both_ends(
    warmup, half, final
):
    def at(step):
        return warmup_then_cosine(warmup + step, warmup, warmup + 2 * half, final)

    assert at(0) == 1
    assert at(half) == pytest.approx((1 + final) / 2)
    for step in range(0, half, max(1, half // 7)):
        assert at(step) + at(2 * half - step) == pytest.approx(1 + final)


def test_the_warm_up_before_the_cosine_is_linear_and_never_zero():
    factors = [warmup_then_cosine(step, 4, 10, 0.0) for step in range(5)]
    assert factors == [0.25, 0.5, 0.75, 1.0, 1.0]


@given(st.integers(0, 50), st.integers(0, 99), st.integers(1, 99), st.integers(0, 300))
def test_between_warm_up_and_cosine_the_rate_can_stay(warmup, hold, rest, step):
    held = warmup_then_cosine(step, warmup, warmup + hold + rest, 0.1, hold)
    if warmup <= step <= warmup + hold:
        assert held == 1
    else:
        left_out = hold if step > warmup else 0
        assert held == warmup_then_cosine(step - left_out, warmup, warmup + rest, 0.1)


@pytest.mark.parametrize("total", [0, 7, 8])
def test_a_run_that_ends_within_its_warm_up_is_refused(total):
    with pytest.raises(ValueError, match=rf"total_steps \({total}\) must be above"):
        warmup_then_cosine(0, 8, total, 0.0)
    with pytest.raises(ValueError, match=r"hold_steps \(8\)"):
        warmup_then_cosine(0, 0, total, 0.0, hold_steps=8)


# ----------------------------------------------------------------- groups


def test_weights_decay_and_biases_norms_and_routers_do_not():
    network = torch.nn.Sequential(
        torch.nn.Conv1d(4, 4, 3),
        torch.nn.GroupNorm(1, 4),
        MoEFeedForward(4, 3, 1, expert_hidden_dim=5),
    )
    decaying, others = weight_decay_groups(network)
    assert "weight_decay" not in decaying and others["weight_decay"] == 0
    names = {parameter: name for name, parameter in network.named_parameters()}
    together = [*decaying["params"], *others["params"]]
    assert len(together) == len(names) and set(together) == set(names)
    kept = {names[parameter] for parameter in decaying["params"]}
    assert {"0.weight", "2.experts.weight", "2.experts.hidden_weight"} <= kept
    free = {names[parameter] for parameter in others["params"]}
    assert {"0.bias", "1.weight", "1.bias", "2.experts.bias"} <= free
    assert {"2.experts.hidden_bias", "2.router.token_projection.weight"} <= free


def test_a_group_without_parameters_is_left_out():
    (group,) = weight_decay_groups(torch.nn.LayerNorm(3))
    assert group["weight_decay"] == 0 and len(group["params"]) == 2


# ----------------------------------------------------------------- average


class _Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.register_buffer("expert_bias", torch.zeros(3))


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_that_cannot_average_is_refused(decay):
    with pytest.raises(ValueError, match=rf"decay \({decay}\) must be in \[0, 1\)"):
        exponential_moving_average(torch.nn.Linear(1, 1), decay)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_constant_weights_stay_what_they_are(decay):
    network = _Network()
    torch.nn.init.normal_(network.weight)
    average = exponential_moving_average(network, decay)
    for _ in range(20):
        average.update_parameters(network)
    torch.testing.assert_close(average.module.weight, network.weight)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999])
def test_the_average_follows_its_formula(decay):
    network = _Network()
    average = exponential_moving_average(network, decay)
    expected = None
    for count in range(30):
        with torch.no_grad():
            network.weight.normal_()
        average.update_parameters(network)
        if expected is None:
            expected = network.weight.detach().clone()
        weight = min(decay, (1 + count) / (10 + count))
        expected = weight * expected + (1 - weight) * network.weight.detach()
        torch.testing.assert_close(average.module.weight.detach(), expected)


def test_decay_zero_is_an_exact_copy():
    network = _Network()
    average = exponential_moving_average(network, 0.0)
    for _ in range(3):
        with torch.no_grad():
            network.weight.normal_()
        average.update_parameters(network)
        assert torch.equal(average.module.weight, network.weight)


def test_buffers_are_copied_not_averaged():
    network = _Network()
    average = exponential_moving_average(network, 0.999)
    for value in (1.0, -2.0):
        network.expert_bias.fill_(value)
        average.update_parameters(network)
        assert torch.equal(average.module.expert_bias, network.expert_bias)


def test_the_average_shares_no_memory_with_the_network():
    network = _Network()
    average = exponential_moving_average(network, 0.5)
    average.update_parameters(network)
    with torch.no_grad():
        network.weight.fill_(9.0)
        network.expert_bias.fill_(9.0)
    assert not average.module.weight.any() and not average.module.expert_bias.any()


def test_the_average_goes_on_from_its_state_dict():
    network = _Network()
    one = exponential_moving_average(network, 0.9)
    for _ in range(5):
        one.update_parameters(network)
    other = exponential_moving_average(_Network(), 0.9)
    other.load_state_dict(one.state_dict())
    with torch.no_grad():
        network.weight.normal_()
    one.update_parameters(network)
    other.update_parameters(network)
    assert torch.equal(one.module.weight, other.module.weight)


def test_tables_of_biases_and_embeddings_do_not_decay():
    class Tables(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name in ("biases", "embedding", "weight"):
                setattr(self, name, torch.nn.Parameter(torch.ones(2, 3)))

    module = Tables()
    decaying, others = weight_decay_groups(module)
    assert decaying["params"] == [module.weight]
    assert others["params"] == [module.biases, module.embedding]


def test_one_process_has_no_gradients_to_average():
    module = torch.nn.Linear(2, 1)
    module.weight.grad = torch.tensor([[1.0, 2.0]])
    average_gradients(module)
    assert module.weight.grad.tolist() == [[1.0, 2.0]] and module.bias.grad is None
