"""Which sub-networks learn: the rule, its mean, its chance."""

import numpy as np
import pytest

from sesame.brain.sandwich import (
    draw_exits,
    draw_sizes,
    draw_times,
    draw_widths,
)


def _rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("num_random", [0, 1, 2, 6, 9])
def test_the_full_and_the_smallest_width_always_learn(num_random):
    for seed in range(20):
        full, smallest, *between = draw_widths(8, num_random, _rng(seed))
        assert (full, smallest) == (8, 1)
        assert len(between) == min(num_random, 6) == len(set(between))
        assert set(between) <= set(range(2, 8))


def test_a_width_between_is_drawn_the_more_the_narrower_it_is():
    drawn = [w for seed in range(3000) for w in draw_widths(8, 1, _rng(seed))[2:]]
    channels = np.bincount(drawn, minlength=9)[2:8] * np.arange(2, 8)
    assert np.abs(channels / channels.sum() - 1 / 6).max() < 0.03


@pytest.mark.parametrize(("num_widths", "expected"), [(1, [1]), (2, [2, 1])])
def test_a_network_of_few_widths_has_no_width_twice(num_widths, expected):
    assert draw_widths(num_widths, 2, _rng()) == expected


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_all_exits_weigh_in_proportion_to_their_depth(depth):
    weights = draw_exits(depth, None, _rng())
    total = sum(range(1, depth + 1))
    assert weights == {e: e / total for e in range(1, depth + 1)}


@pytest.mark.parametrize("num_random", [1, 2])
def test_drawn_exits_give_the_loss_of_all_exits_on_average(num_random):
    sums = np.zeros(7)
    for seed in range(4000):
        weights = draw_exits(6, num_random, _rng(seed))
        assert sum(weights.values()) == pytest.approx(1)
        assert list(weights) == sorted(weights) and 6 in weights
        assert 2 <= len(weights) <= num_random + 1
        for exit, weight in weights.items():
            sums[exit] += weight / 4000
    expected = list(draw_exits(6, None, _rng()).values())
    assert np.abs(sums[1:] - expected).max() < 0.02


def test_one_exit_is_the_last():
    assert draw_exits(1, 1, _rng()) == {1: 1.0}


def test_impossible_numbers_are_refused():
    for function, arguments, message in (
        (draw_widths, (0, 1), r"num_widths \(0\) must be at least 1"),
        (draw_widths, (4, -1), r"num_random \(-1\) must be at least 0"),
        (draw_exits, (0, 1), r"depth \(0\) must be at least 1"),
        (draw_exits, (4, 0), r"num_random \(0\) must be at least 1 or None"),
    ):
        with pytest.raises(ValueError, match=message):
            function(*arguments, _rng())


def test_half_of_the_times_are_the_start_and_the_others_are_uniform():
    times = np.array(draw_times(4000, _rng()))
    others = np.sort(times[times > 0])
    assert abs(len(others) / len(times) - 0.5) < 0.03
    assert 0 <= others[0] and others[-1] < 1
    uniform = np.linspace(0, 1, len(others))
    assert np.abs(others - uniform).max() < 0.04


def test_a_time_is_a_start_whatever_the_others_are():
    times = np.array([draw_times(2, _rng(seed)) for seed in range(2000)])
    both = (times == 0).all(1).mean()
    assert abs(both - 0.25) < 0.04


def test_the_sizes_of_a_step_are_widths_with_exits():
    drawn = draw_sizes(8, 6, 2, 1, _rng(3))
    widths = draw_widths(8, 2, _rng(3))
    assert [width for width, _ in drawn] == widths
    assert all(6 in exits and len(exits) == 2 for _, exits in drawn)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_full_width_learns_in_every_step_and_others_in_a_share(share):
    drawn = [draw_sizes(8, 6, 1, 1, _rng(seed), share=share) for seed in range(1000)]
    assert all(sizes[0][0] == 8 and 6 in sizes[0][1] for sizes in drawn)
    assert {len(sizes) for sizes in drawn} <= {1, 3}
    assert abs(np.mean([len(sizes) == 3 for sizes in drawn]) - share) < 0.05


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=rf"share \({share}\) must be in \[0, 1\]"):
        draw_sizes(8, 6, 1, 1, _rng(), share=share)
