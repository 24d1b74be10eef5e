import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.data.enrollment import Voices
from sesame.data.vb_demandex.sources import Utterance, find_speech

RATE = 16_000


@pytest.fixture
def ramps(tmp_path):
    """Utterances whose samples tell where they are from: file number and place."""
    lengths = {"anna_1": 1000, "ben_1": 600, "ben_2": 300, "cleo_1": 40, "cleo_2": 900}
    for number, (name, length) in enumerate(lengths.items()):
        samples = number / 8 + np.arange(1, length + 1) / 2**14
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE, "FLOAT")
    return Voices(find_speech(tmp_path, RATE), RATE)


def origin(waveform):
    """File and first and last place of the samples of a waveform."""
    file = int(waveform[0] * 8)
    places = np.rint((waveform - file / 8) * 2**14).astype(int) - 1
    return file, places.min(), places.max()


@pytest.mark.parametrize("length", [200, 500, 700, 990, 1500, None])
def test_parts_of_the_only_utterance_of_a_speaker_do_not_overlap(ramps, length, rng):
    ends = set()
    for _ in range(30):
        segment, enrollment = ramps.segment_and_enrollment(0, length, 400, 300, rng)
        file, first, last = origin(segment)
        other, begin, end = origin(enrollment)
        assert file == other == 0
        assert last < begin or end < first
        ends.add(last < begin)
        assert len(enrollment) == end - begin + 1 >= 300
        assert len(segment) == (length or 1000 - len(enrollment))
    assert ends == {True, False}


def test_enrollment_is_as_long_as_wanted_where_there_is_room(ramps, rng):
    for wanted in (300, 555, 800):
        _, enrollment = ramps.segment_and_enrollment(0, 200, wanted, 300, rng)
        assert len(enrollment) == wanted


def test_enrollment_of_a_speaker_with_more_is_another_utterance(ramps, rng):
    lengths = [1000, 600, 300, 40, 900]
    for index, other in ((1, 2), (2, 1), (3, 4), (4, 3)):
        for _ in range(10):
            segment, enrollment = ramps.segment_and_enrollment(index, 30, 50, 20, rng)
            assert origin(segment)[0] == index
            assert origin(enrollment)[0] == other
            assert len(segment) == 30
            assert len(enrollment) == min(50, lengths[other])


def test_whole_utterances_stay_whole_where_there_is_another(ramps, rng):
    segment, _ = ramps.segment_and_enrollment(1, None, 50, 20, rng)
    assert origin(segment) == (1, 0, 599)


@settings(max_examples=60, deadline=None)
@given(total=st.integers(2, 400), length=st.integers(1, 500), seed=st.integers(0, 9))
def test_any_utterance_can_be_parted(tmp_path_factory, total, length, seed):
    path = str(tmp_path_factory.mktemp("one") / "a.wav")
    soundfile.write(path, np.arange(1, total + 1) / 2**14, RATE, "FLOAT")
    voices = Voices([Utterance("a", path, "anna", total)], RATE)
    segment, enrollment = voices.segment_and_enrollment(
        0, length, 200, 100, np.random.default_rng(seed)
    )
    assert len(segment) == length
    assert min(100, total // 2) <= len(enrollment) <= 200
    assert not set(segment) & set(enrollment)


def test_one_sample_cannot_be_parted(tmp_path, rng):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, [0.5], RATE)
    voices = Voices([Utterance("a", path, "anna", 1)], RATE)
    with pytest.raises(ValueError, match="too short"):
        voices.segment_and_enrollment(0, 4, 9, 3, rng)


def test_others_are_different_speakers_each_as_likely(ramps, rng):
    drawn = [ramps.draw_others(0, 2, rng) for _ in range(300)]
    speakers = [[ramps.utterances[i].speaker for i in pair] for pair in drawn]
    assert all(set(pair) == {"ben", "cleo"} for pair in speakers)
    alone = [ramps.utterances[ramps.draw_others(1, 1, rng)[0]] for _ in range(400)]
    part = np.mean([row.speaker == "anna" for row in alone])
    assert part == pytest.approx(0.5, abs=0.08)


def test_too_few_speakers_are_refused(ramps, rng):
    with pytest.raises(ValueError, match=r"number of others \(3\) must be at most 2"):
        ramps.draw_others(0, 3, rng)


def test_silent_segments_are_drawn_again(tmp_path, rng):
    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.repeat([0.0, 0.5], 500), RATE)
    voices = Voices([Utterance("a", path, "anna", 1000)], RATE)
    assert all(voices.segment(0, 100, rng).any() for _ in range(30))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
