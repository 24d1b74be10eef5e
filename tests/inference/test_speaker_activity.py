import numpy as np
import pytest
from scipy.signal import lfilter

from sesame.inference.speaker_activity import frame_conditions

RATE = 8000


def voice(seconds, pitch):
    """A buzz as the vocal folds make it, through a resonance."""
    pulses = np.zeros(int(seconds * RATE))
    pulses[:: round(RATE / pitch)] = 1
    return lfilter([1], [1, -1.6, 0.9], pulses)


def hiss(seconds):
    return np.random.default_rng(0).standard_normal(int(seconds * RATE))


def test_each_frame_is_silent_voiced_or_not():
    signals = np.stack([voice(1, 120), hiss(1)])
    for num_frames in (1, 7, 200):
        masks = frame_conditions(signals, RATE, num_frames)
        kinds = [masks[name] for name in ("silence", "unvoiced", "voiced")]
        np.testing.assert_array_equal(np.sum(kinds, axis=0), np.ones(num_frames))
        who = [masks[f"speaker {n} only"] for n in (1, 2)]
        who += [masks["several speakers"], masks["silence"]]
        np.testing.assert_array_equal(np.sum(who, axis=0), np.ones(num_frames))


@pytest.mark.parametrize("pitch", [70, 120, 250, 390])
@pytest.mark.parametrize("gain", [1e-6, 1, 1e6])
def test_a_voice_is_voiced_and_a_hiss_is_not(pitch, gain):
    buzz = gain * voice(1, pitch)
    masks = frame_conditions(np.stack([buzz, 0 * buzz]), RATE, 101)
    assert masks["voiced"][2:-2].all()
    noise = gain * hiss(1)
    masks = frame_conditions(np.stack([noise, 0 * noise]), RATE, 101)
    assert masks["unvoiced"][2:-2].mean() > 0.95


def test_passages_are_found_where_they_are():
    first, second = np.zeros(4 * RATE), np.zeros(4 * RATE)
    first[: 2 * RATE] = hiss(2)
    second[RATE : 3 * RATE] = hiss(2)[::-1]
    masks = frame_conditions(np.stack([first, second]), RATE, 401)
    names = ["speaker 1 only", "several speakers", "speaker 2 only", "silence"]
    for second_number, name in enumerate(names):
        inside = slice(100 * second_number + 3, 100 * second_number + 97)
        assert masks[name][inside].all(), name


def test_what_is_left_of_the_other_speaker_does_not_speak():
    buzz = voice(1, 120)
    masks = frame_conditions(np.stack([buzz, 0.01 * buzz]), RATE, 50)
    assert masks["speaker 1 only"][1:].all() and not masks["several speakers"].any()


def test_rumble_is_no_speech():
    times = np.arange(2 * RATE) / RATE
    rumble = 0.02 * np.sin(2 * np.pi * 20 * times)
    buzz = 0.1 * voice(2, 120) / voice(2, 120).std()
    buzz[: RATE // 2] = 0
    masks = frame_conditions(np.stack([buzz + rumble, 0 * buzz]), RATE, 201)
    assert masks["silence"][:45].all() and masks["voiced"][55:195].all()


def test_silence_is_silence_at_any_length():
    for length in (1, 100, 5000):
        masks = frame_conditions(np.zeros((3, length)), RATE, 4)
        assert masks["silence"].all()
        assert not any(mask.any() for k, mask in masks.items() if k != "silence")
