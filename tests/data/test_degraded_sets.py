"""Batches of one rate, and the same utterances for one task after the other."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from sesame.data.degraded_batch import degraded_batch
from sesame.data.degraded_sets import (
    RateBatchSampler,
    multi_rate_dataset,
    task_datasets,
)

TASKS = {"declip": 1.0}


@pytest.fixture
def speech(tmp_path):
    """Four files of two speakers, one of them at 8 kHz."""
    rng = np.random.default_rng(0)
    for name, rate in (("a_1", 8000), ("a_2", 16000), ("b_1", 16000), ("b_2", 48000)):
        path = tmp_path / "speech" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(rate), rate)
    return tmp_path / "speech"


def _sampler(sizes=(6, 4), weights=(1.0, 3.0), epoch=1, seed=0, num_batches=400):
    counter = SimpleNamespace(current=epoch)
    return RateBatchSampler(sizes, weights, 2, num_batches, seed, counter)


def test_batches_are_of_one_group_and_groups_are_as_frequent_as_they_weigh():
    groups = []
    for batch in _sampler():
        assert len(batch) == 2
        (group,) = {int(index >= 6) for index in batch}
        groups.append(group)
    assert len(groups) == len(_sampler()) == 400
    assert np.mean(groups) == pytest.approx(0.75, abs=0.06)


def test_every_item_comes_before_one_comes_again():
    seen = [i for batch in _sampler(num_batches=400) for i in batch if i < 6]
    for start in range(0, len(seen) - 6, 6):
        assert sorted(seen[start : start + 6]) == list(range(6))


def test_an_epoch_is_always_the_same_and_unlike_others():
    first = list(_sampler())
    assert first == list(_sampler())
    assert first != list(_sampler(epoch=2)) and first != list(_sampler(seed=1))


def test_a_group_of_weight_zero_is_never_drawn():
    assert all(i < 6 for batch in _sampler(weights=(1.0, 0.0)) for i in batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (0, 4)}, r"sizes \(\[0, 4\]\) must be at least 1"),
        ({"weights": (0.0, 0.0)}, "must be 0 or more, not all 0"),
        ({"weights": (1.0, math.inf)}, "must be 0 or more, not all 0"),
        ({"weights": (1.0,)}, r"weights \(1\) must be that of sizes \(2\)"),
        ({"num_batches": 0}, r"num_batches \(0\) must be at least 1"),
    ],
)
def test_impossible_numbers_are_refused_by_the_sampler(options, message):
    with pytest.raises(ValueError, match=message):
        _sampler(**options)


def test_items_have_their_rate_its_length_and_speech_of_at_least_this_rate(speech):
    rates = {8000: 1.0, 16000: 1.0, 24000: 1.0, 48000: 0.0}
    dataset = multi_rate_dataset(speech, rates, 0.1, 2, 3, tasks=TASKS)
    found = Counter()
    for item in dataset:
        assert len(item["degraded_sig"]) == 0.1 * item["sample_rate"]
        found[item["sample_rate"]] += 1
    assert found == {8000: 4, 16000: 3, 24000: 1}


def test_batches_collate_with_their_rate(speech):
    rates = {8000: 1.0, 16000: 1.0}
    dataset = multi_rate_dataset(speech, rates, 0.1, 2, 8, tasks=TASKS)
    seen = set()
    for indices in dataset.batches:
        batch = degraded_batch([dataset[i] for i in indices])
        (rate,) = {int(rate) for rate in batch.sample_rate}
        assert batch.degraded_sig.data.shape == (2, 0.1 * rate)
        seen.add(rate)
    assert seen == {8000, 16000}


def test_speakers_are_taken_and_left_out(speech):
    only = {"tasks": TASKS}
    for options, names in (
        ({"speakers": ["a"]}, {"a_1", "a_2"}),
        ({"exclude_speakers": ["a"]}, {"b_1", "b_2"}),
    ):
        dataset = multi_rate_dataset(speech, {8000: 1.0}, 0.1, 1, 1, **only, **options)
        assert {item["id"] for item in dataset} == names


def test_a_rate_without_speech_is_named(tmp_path, speech):
    (speech / "b_2.wav").unlink()
    with pytest.raises(ValueError, match=r"min_native_rate \(48000 Hz\)"):
        multi_rate_dataset(speech, {48000: 1.0}, 0.1, 1, 1, tasks=TASKS)


@pytest.mark.parametrize("rates", [{}, {48000: 0.0}, {8000: 1.0, 16000: -1.0}])
def test_weights_of_rates_that_mean_nothing_are_refused(speech, rates):
    with pytest.raises(ValueError, match="must be 0 or more, and not all 0"):
        multi_rate_dataset(speech, rates, 0.1, 1, 1, tasks=TASKS)


def test_tasks_come_one_after_the_other_with_the_same_utterances(speech):
    options = {"segment_length": 800, "num_items": 2}
    dataset = task_datasets(speech, ["declip", "conceal"], **options)
    assert [item["task"] for item in dataset] == ["declip"] * 2 + ["conceal"] * 2
    ids = [item["id"] for item in dataset]
    assert ids[:2] == ids[2:]
    again = task_datasets(speech, ["declip", "conceal"], **options)
    for one, other in zip(dataset, again, strict=True):
        assert one["degraded_sig"].equal(other["degraded_sig"])
    with pytest.raises(ValueError, match="at least one name"):
        task_datasets(speech, [])
