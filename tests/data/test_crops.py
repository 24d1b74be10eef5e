import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.data import crops
from sesame.data.crops import RandomCrop, current_epoch, keyed_rng, tile


def draw(*key):
    return keyed_rng(*key).integers(2**62)


def test_every_part_of_the_key_counts():
    keys = {(0, 1, "a"), (1, 1, "a"), (0, 2, "a"), (0, 1, "b"), (0, 1, ""), (0, 12, "")}
    assert len({draw(*key) for key in keys}) == 6
    assert draw(0, 1, "a") == draw(0, 1, "a")


def test_keys_do_not_run_into_each_other():
    assert draw(1, 11, "a") != draw(11, 1, "a")
    assert draw(1, 1, "1/a") != draw(1, 11, "/a")


def test_generator_is_the_same_in_another_process():
    # The file alone: the package would load torch, which takes seconds.
    code = (
        f"import runpy; module = runpy.run_path({crops.__file__!r}); "
        "print(module['keyed_rng'](3, 4, 'x').integers(10**9))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs == 2 * [f"{keyed_rng(3, 4, 'x').integers(10**9)}\n"]


@given(st.integers(1, 20), st.integers(1, 60))
def test_tiled_signal_is_periodic(period, length):
    wave = np.arange(period)
    np.testing.assert_array_equal(tile(wave, length), np.arange(length) % period)


def test_nothing_cannot_be_tiled():
    with pytest.raises(ValueError, match="empty"):
        tile(np.empty(0), 3)


@given(st.integers(1, 50), st.integers(1, 200), st.text(max_size=5))
def test_span_lies_inside_and_has_the_length(length, num_samples, item_id):
    start, stop = RandomCrop(length, seed=7).span(item_id, num_samples)
    assert 0 <= start < stop <= num_samples
    assert stop - start == min(length, num_samples)


def test_every_start_is_reached_equally_often():
    crop = RandomCrop(length=8, seed=0)
    starts = [crop.span(f"item{i}", 10)[0] for i in range(3000)]
    counts = np.bincount(starts, minlength=3)
    assert counts.shape == (3,)
    # Standard deviation of a count is 26.
    assert np.abs(counts - 1000).max() < 130


def test_crop_moves_with_the_epoch_and_comes_back_with_it():
    counter = SimpleNamespace(current=1)
    crop = RandomCrop(100, seed=0, epoch_counter=counter)
    first = crop.span("a", 100_000)
    counter.current = 2
    assert crop.span("a", 100_000) != first
    counter.current = 1
    assert crop.span("a", 100_000) == first


def test_without_counter_the_crop_stays():
    assert current_epoch(None) == 0
    crop = RandomCrop(100, seed=0)
    assert crop.span("a", 100_000) == crop.span("a", 100_000)


def test_length_below_one_is_refused():
    with pytest.raises(ValueError, match=r"length \(0\) must be at least 1"):
        RandomCrop(0, seed=0)
