import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.inference.stitching import SpeakerOrder, matching_order


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_of_all_orders_it_is_the_one_with_the_smallest_difference(num_sources, seed):
    rng = np.random.default_rng(seed)
    reference, estimates = rng.standard_normal((2, num_sources, 20))

    def difference(order):
        return np.square(reference - estimates[list(order)]).sum()

    best = min(itertools.permutations(range(num_sources)), key=difference)
    found = matching_order(reference, estimates)
    assert difference(found) == pytest.approx(difference(best))


@given(st.permutations(range(4)), st.floats(1e-6, 1e6))
def test_signals_are_found_in_any_order_at_any_level(order, gain):
    voices = np.random.default_rng(0).standard_normal((4, 50))
    found = matching_order(gain * voices, gain * voices[order])
    np.testing.assert_array_equal(voices[order][found], voices)


def test_one_who_speaks_decides_over_what_is_left_of_one_who_does_not():
    rng = np.random.default_rng(0)
    speech, leak = rng.standard_normal(400), 1e-3 * rng.standard_normal((2, 400))
    # The remainder of the silent speaker resembles the other one: normalised, both
    # orders would look alike.
    before = np.stack([speech, leak[0] + 0.01 * speech])
    after = np.stack([leak[1] - 0.01 * speech, speech])
    assert matching_order(before, after) == [1, 0]


def test_in_silence_the_order_is_kept():
    silence = np.zeros((3, 10))
    assert matching_order(silence, silence) == [0, 1, 2]
    assert matching_order(silence[:, :0], silence[:, :0]) == [0, 1, 2]


@given(st.lists(st.permutations(range(3)), min_size=1, max_size=8))
def test_windows_in_any_order_come_out_in_that_of_the_first(orders):
    voices = np.random.default_rng(0).standard_normal((3, 1000))
    tracker = SpeakerOrder()
    for number, order in enumerate(orders):
        begin = 100 * number
        window = voices[:, begin : begin + 200]
        np.testing.assert_array_equal(
            tracker(window[list(order)], begin), window[list(orders[0])]
        )
