import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.data.task_weights import shares, wanted_tasks

WEIGHTS = st.lists(st.floats(0.01, 100), min_size=1, max_size=6)


@given(WEIGHTS, st.floats(0.01, 100))
def test_shares_sum_to_one_whatever_the_scale(weights, scale):
    made = shares(weights)
    assert made.sum() == pytest.approx(1)
    np.testing.assert_allclose(made * sum(weights), weights)
    np.testing.assert_allclose(shares(scale * w for w in weights), made)


def test_tasks_of_weight_zero_are_left_out_in_order():
    weights = {"c": 2, "a": 0, "b": 1}
    assert list(wanted_tasks("tasks", weights, "abc").items()) == [("c", 2), ("b", 1)]


@pytest.mark.parametrize(
    "weights", [{}, {"a": 0.0}, {"a": 2.0, "b": -1.0}, {"a": math.inf}, {"a": math.nan}]
)
def test_weights_that_say_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights of stages"):
        wanted_tasks("stages", weights, "ab")


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match=r"stages \(sing\) must be among a, b"):
        wanted_tasks("stages", {"sing": 1.0, "a": 1.0}, ["a", "b"])
