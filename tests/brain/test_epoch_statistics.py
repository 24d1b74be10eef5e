"""Means of an epoch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sesame.brain.epoch_statistics import EpochStatistics

losses = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20)


def _add(statistics, values, name="loss"):
    for value in values:
        statistics.add({name: torch.tensor(value)})


@given(losses)
def test_the_mean_is_that_of_all_values(values):
    statistics = EpochStatistics()
    _add(statistics, values)
    expected = math.fsum(values) / len(values)
    assert statistics.means()["loss"] == pytest.approx(expected, rel=1e-5, abs=1e-4)


@given(losses, st.sampled_from([math.nan, math.inf, -math.inf]))
def test_values_that_are_not_finite_do_not_count(values, bad):
    one, other = EpochStatistics(), EpochStatistics()
    _add(one, values)
    _add(other, [bad, *values, bad])
    assert one.means() == other.means()


def test_a_mean_of_nothing_finite_is_nan():
    statistics = EpochStatistics()
    _add(statistics, [math.nan])
    assert math.isnan(statistics.means()["loss"])


def test_terms_have_counts_of_their_own():
    statistics = EpochStatistics()
    _add(statistics, [1.0, 2.0])
    _add(statistics, [5.0], name="pesq")
    assert statistics.means() == {"loss": 1.5, "pesq": 5.0}


def test_no_graph_is_kept():
    statistics = EpochStatistics()
    statistics.add({"loss": torch.ones((), requires_grad=True) * 2})
    assert not any(entry.requires_grad for entry in statistics._sums.values())


@given(losses, losses)
def test_a_saved_state_goes_on_bit_by_bit(tmp_path_factory, before, after):
    path = tmp_path_factory.mktemp("statistics") / "state.ckpt"
    one, other = EpochStatistics(), EpochStatistics()
    _add(one, before)
    one.skipped_steps, one.consecutive_skips = 3, 2
    one.save(path)
    _add(other, [7.0], name="forgotten")
    other.load(path, end_of_epoch=False)
    for statistics in (one, other):
        _add(statistics, after)
    assert one.means() == other.means()
    assert (other.skipped_steps, other.consecutive_skips) == (3, 2)


def test_clearing_forgets_everything():
    statistics = EpochStatistics()
    _add(statistics, [1.0])
    statistics.skipped_steps = statistics.consecutive_skips = 1
    statistics.clear()
    assert statistics.means() == {}
    assert statistics.skipped_steps == statistics.consecutive_skips == 0
