import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sesame.data import degraded_speech
from sesame.data.both_voices import OTHER_VOICE_KEYS, with_other_voice
from sesame.data.degradations import TASKS, SceneSettings, simulate_rooms
from sesame.data.degraded_batch import degraded_batch
from sesame.data.degraded_speech import DEGRADED_KEYS, degraded_dataset

LENGTH = 6_000
SETTINGS = SceneSettings(
    enrollment_seconds=(0.3, 0.6), absent=0.0, third_talker=0.0, noisy_enrollment=0.0
)


@pytest.fixture(scope="module")
def speech(minibank):
    return minibank / "clean_trainset_28spk_wav"


@pytest.fixture(scope="module")
def rooms():
    pytest.importorskip("pyroomacoustics")
    return simulate_rooms(2, 16_000, (0.1, 0.4))


@pytest.fixture
def make(speech, rooms, audio_file, monkeypatch):
    """Factory of small data sets; their rooms are simulated once."""
    monkeypatch.setattr(degraded_speech, "simulate_rooms", lambda *_: rooms)
    noise = audio_file("noise/0.wav", 20_000).parent

    def build(task, both_voices=True, segment_length=LENGTH, **options):
        tasks = {task: 1.0} if isinstance(task, str) else task
        options = {"settings": SETTINGS, "both_voices": both_voices, **options}
        return degraded_dataset(speech, noise, tasks, segment_length, **options)

    return build


def item(number, extraction):
    """Numbers in the place of signals."""
    return {
        "id": str(number),
        "degraded_sig": number,
        "target_sig": ("talker", number),
        "enrollment_sig": ("talker", number),
        "has_enrollment": extraction,
        **dict.fromkeys(OTHER_VOICE_KEYS, ("other", number)),
    }


@given(st.lists(st.booleans(), max_size=8))
def test_an_extraction_is_followed_by_that_of_the_other_voice(extractions):
    given = [item(i, extraction) for i, extraction in enumerate(extractions)]
    made = with_other_voice(given)
    assert len(made) == len(given)
    i = 0
    while i < len(made):
        assert made[i] == {
            k: given[i][k] for k in given[i].keys() - {*OTHER_VOICE_KEYS}
        }
        if extractions[i] and i + 1 < len(made):
            twin = ("other", i)
            assert made[i + 1] == made[i] | {"target_sig": twin, "enrollment_sig": twin}
            i += 1
        i += 1


def test_items_without_another_voice_are_left_as_they_are():
    given = [
        dict.fromkeys(DEGRADED_KEYS, i) | {"has_enrollment": True} for i in range(3)
    ]
    assert with_other_voice(given) == given


def test_the_two_targets_sum_to_a_mixture_of_two(make):
    for one in make("extract", num_items=4):
        both = one["target_sig"] + one["other_target_sig"]
        torch.testing.assert_close(both, one["degraded_sig"], atol=1e-6, rtol=0)
        assert one["target_sig"].any() and one["other_target_sig"].any()


def test_each_enrollment_is_of_its_own_voice(make, speech, files_in):
    files = files_in(speech)
    for one in make("extract", num_items=6):
        heard, enrolled, other_heard, other_enrolled = (
            {path.stem[:4] for path in files.that_hold(one[key])}
            for key in ("target_sig", "enrollment_sig", *OTHER_VOICE_KEYS)
        )
        assert heard == enrolled and other_heard == other_enrolled
        assert len(heard) == len(other_heard) == 1 and heard != other_heard


def test_in_rooms_the_other_target_is_the_early_part_alone(make):
    dataset = make(
        "spoken", definitions={"spoken": TASKS["extract"]._replace(room=1.0)}
    )
    dataset.set_output_keys([*OTHER_VOICE_KEYS, "done"])
    for i in range(4):
        one = dataset[i]
        early, whole = one["other_target_sig"].numpy(), one["done"]["parts"]["others"]
        late = whole - early
        # It starts with the direct path, and what comes after is there, but weaker.
        first = np.flatnonzero(early)[0]
        np.testing.assert_allclose(
            early[first : first + 400], whole[first : first + 400], atol=1e-6
        )
        assert 0 < np.sum(late**2) < np.sum(early**2)


def test_the_other_voice_of_an_absent_talker_is_all_there_is(make):
    settings = SceneSettings(
        enrollment_seconds=(0.3, 0.6), absent=1.0, third_talker=0.0
    )
    for one in make("extract", num_items=3, settings=settings):
        assert not one["target_sig"].any()
        torch.testing.assert_close(one["other_target_sig"], one["degraded_sig"])


def test_tasks_without_extraction_are_what_they_are_without_it(make):
    for task in ("enhancement", "cancel_echo"):
        plain, both = (make(task, on, num_items=4) for on in (False, True))
        for one, same in zip(plain, both, strict=True):
            assert tuple(one) == DEGRADED_KEYS
            assert tuple(same) == (*DEGRADED_KEYS, *OTHER_VOICE_KEYS)
            for key in DEGRADED_KEYS[1:5]:
                assert torch.equal(one[key], same[key])
            assert not same["other_target_sig"].any()
            assert len(same["other_enrollment_sig"]) == 0


def test_whole_utterances_have_another_voice_of_their_length(make):
    for one in make("extract", segment_length=None, num_items=3):
        assert one["other_target_sig"].shape == one["target_sig"].shape


def test_a_batch_has_both_voices_of_a_mixture_side_by_side(make):
    items = list(make("extract", num_items=4))
    batch = degraded_batch(items)
    assert batch.id == [items[i]["id"] for i in (0, 0, 2, 2)]
    degraded, target = batch.degraded_sig.data, batch.target_sig.data
    for first in (0, 2):
        assert torch.equal(degraded[first], degraded[first + 1])
        assert not torch.equal(
            batch.enrollment_sig[first], batch.enrollment_sig[first + 1]
        )
        torch.testing.assert_close(
            target[first] + target[first + 1], degraded[first], atol=1e-6, rtol=0
        )
    assert not any(hasattr(batch, key) for key in OTHER_VOICE_KEYS)
