import numpy as np
import pytest

from sesame.data.audio import list_audio, read_audio
from sesame.data.babble import babble, choose_talkers, remove_silence, talking

RATE = 16_000


def voice(seed, length=RATE):
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32)


def test_pauses_are_removed_and_speech_is_not_touched():
    speech = voice(0, 3200)
    pause = 0.02 * voice(1, 1600)  # 34 dB down
    paused = np.concatenate([pause, speech[:1600], pause, speech[1600:], pause[:77]])
    np.testing.assert_array_equal(remove_silence(paused, RATE), speech)
    np.testing.assert_array_equal(remove_silence(1e-4 * paused, RATE), 1e-4 * speech)


def test_soft_speech_is_not_silence():
    speech = np.concatenate([voice(0, 3200), 0.05 * voice(1, 3200)])  # 26 dB down
    assert len(remove_silence(speech, RATE)) == len(speech)


def test_nothing_remains_of_silence():
    assert len(remove_silence(np.zeros(500), RATE)) == 0
    assert len(remove_silence(np.zeros(0), RATE)) == 0
    with pytest.raises(ValueError, match="must not be silent"):
        talking(np.zeros(500), RATE)


@pytest.mark.parametrize("gain", [1e-6, 1, 30])
def test_talkers_are_equally_loud(gain):
    speech = np.concatenate([gain * voice(0), np.zeros(RATE)])
    assert np.sqrt(np.mean(talking(speech, RATE) ** 2)) == pytest.approx(1, rel=1e-5)


def test_babble_is_the_mean_of_its_talkers():
    # Constant talkers are the same wherever they start.
    talkers = [np.full(length, value) for length, value in ((5, 1.0), (9, 4.0))]
    np.testing.assert_array_equal(babble(talkers, 7, np.random.default_rng(0)), 2.5)


def test_each_talker_starts_somewhere_and_goes_round():
    talker = np.arange(10.0)
    starts = set()
    for seed in range(60):
        mixed = babble([talker], 25, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.diff(mixed) % 10, 1)
        starts.add(mixed[0])
    assert len(starts) == 10


def test_babble_of_many_is_nearly_gaussian():
    """One talker with pauses is peaky; six together are less so."""
    rng = np.random.default_rng(0)
    talkers = [voice(i) * np.repeat(rng.uniform(0, 1, 50) ** 3, 320) for i in range(6)]

    def kurtosis(wave):
        return np.mean(wave**4) / np.mean(wave**2) ** 2

    assert kurtosis(babble(talkers[:1], RATE, rng)) > 6
    assert kurtosis(babble(talkers, RATE, rng)) < 4.5


def test_speakers_differ_while_there_are_enough_and_the_heard_one_is_silent():
    speech = {f"s{i}": [f"s{i}/{j}" for j in range(3)] for i in range(8)}
    seen = set()
    for seed in range(50):
        drawn = choose_talkers(speech, "s3", np.random.default_rng(seed))
        speakers = [name.split("/")[0] for name in drawn]
        assert len(set(speakers)) == 6 and "s3" not in speakers
        seen |= set(drawn)
    assert len(seen) == 21


def test_few_speakers_speak_again_with_other_utterances():
    speech = {"a": ["a0"], "b": ["b0", "b1", "b2"], "c": ["c0", "c1", "c2"]}
    for seed in range(20):
        drawn = choose_talkers(speech, "a", np.random.default_rng(seed))
        assert sorted(drawn) == ["b0", "b1", "b2", "c0", "c1", "c2"]
    assert choose_talkers(speech, "c", np.random.default_rng(0), 5).count("a0") >= 2


def test_a_lone_speaker_has_no_babble():
    with pytest.raises(ValueError, match="a speaker other than a"):
        choose_talkers({"a": ["a0"]}, "a", np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one talker"):
        babble([], 10, np.random.default_rng(0))


def test_the_detector_removes_the_pauses_of_real_speech(minibank, shared_audio):
    for folder in (minibank / "clean_testset_wav", shared_audio / "speech" / "babble"):
        speech = [read_audio(path, RATE) for path in list_audio(folder)[::9]]
        kept = sum(len(remove_silence(wave, RATE)) for wave in speech)
        assert 0.5 < kept / sum(map(len, speech)) < 0.95
