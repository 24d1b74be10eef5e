from fractions import Fraction

import pytest

from sesame.features import CausalSTFT
from sesame.inference.flow_sizes import (
    FlowSize,
    count_parameters,
    flow_sizes,
    native_rate,
    size_within,
)
from sesame.models.seflow import SEFlow


@pytest.fixture(scope="module")
def full():
    return SEFlow()


@pytest.fixture(scope="module")
def small():
    return SEFlow(width=12, depth=3, head_channels=4, context=10, num_tokens=4)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 22050, 44101, 48000, 96000])
def test_the_native_rate_is_the_next_that_the_network_takes(rate):
    native = native_rate(rate)
    CausalSTFT(native)
    assert native == rate or rate % 100 or not 8000 <= rate <= 48000
    assert native >= min(rate, 48000)
    assert native - rate < 100 or native == 8000


def test_every_listed_size_can_be_cut_and_is_counted(small):
    sizes = flow_sizes(small)
    assert len(sizes) == len(set(sizes)) == 9
    for size in sizes:
        part = small.subnet(float(size.width), size.depth)
        found = count_parameters(small, size.width)[size.depth - 1]
        assert found == sum(parameter.numel() for parameter in part.parameters())


def test_flow_matching_is_counted_with_its_steps():
    sizes = {"width": 12, "depth": 3, "head_channels": 4, "context": 10}
    network = SEFlow(**sizes, flow_matching=True)
    for size in flow_sizes(network):
        part = network.subnet(float(size.width), size.depth)
        found = count_parameters(network, size.width)[size.depth - 1]
        assert found == sum(parameter.numel() for parameter in part.parameters())
    budget = FlowSize(Fraction(1, 3), 2).gmacs(network, 8000)
    network.num_steps = 3
    assert FlowSize(Fraction(1, 3), 2).gmacs(network, 8000) == pytest.approx(3 * budget)
    within = size_within(network, 3.001 * budget, 8000)
    network.num_steps = 1
    assert size_within(network, 1.001 * budget, 8000) == within


def test_a_sub_network_has_its_own_depth_only(small):
    part = small.subnet(width=2 / 3, depth=2)
    sizes = flow_sizes(part)
    assert sizes == [FlowSize(Fraction(1, 2), 2), FlowSize(Fraction(1), 2)]
    assert len(count_parameters(part, Fraction(1))) == 2


def test_the_table_of_the_full_network_is_reproduced(full):
    assert len(flow_sizes(full)) == 64
    assert count_parameters(full, Fraction(1, 2))[2] == 1_184_392
    assert count_parameters(full, Fraction(1))[7] == 11_058_956
    gmacs = [FlowSize(Fraction(1, 2), 3).gmacs(full, r) for r in (8000, 16000, 48000)]
    assert [round(value, 3) for value in gmacs] == [2.203, 2.995, 3.815]


@pytest.mark.parametrize("rate", [8000, 48000])
@pytest.mark.parametrize("num_tokens", [0, 4])
def test_the_best_size_is_within_the_budget_and_no_better_one_is(
    small, rate, num_tokens
):
    costs = sorted(size.gmacs(small, rate, num_tokens) for size in flow_sizes(small))
    for cost, larger in zip(costs, [*costs[1:], 99.0], strict=True):
        for budget in (cost, 0.5 * (cost + larger)):
            best = size_within(small, budget, rate, num_tokens)
            assert best.gmacs(small, rate, num_tokens) == cost


@pytest.mark.parametrize("rate", [8000, 48000])
@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_what_the_error_asks_for_is_enough(small, rate, bad):
    with pytest.raises(ValueError, match=r"budget_gmacs .* must be at least") as caught:
        size_within(small, bad, rate)
    assert f"width 1/3, depth 1) takes at {rate} Hz" in str(caught.value)
    needed = float(str(caught.value).split("at least ")[1].split(",")[0])
    assert size_within(small, needed, rate) == FlowSize(Fraction(1, 3), 1)
