import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.metrics import align, resample

RATE = 16000


@pytest.mark.parametrize("delay", [37, -37, 0, 1, 16000, -16000])
def test_a_delay_is_found_to_the_sample_in_noise(speech_pair, delay):
    noisy, clean = (signal / 32768.0 for signal in speech_pair)
    if delay > 0:
        noisy = np.concatenate([np.zeros(delay), noisy])
    estimate, target, found = align(noisy[max(0, -delay) :], clean, RATE)
    assert found == delay
    length = clean.size - max(0, -delay)
    np.testing.assert_array_equal(target, clean[max(0, -delay) :])
    np.testing.assert_array_equal(estimate, speech_pair[0][-length:] / 32768.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(-200, 200), st.integers(0, 300), st.floats(0.01, 100))
def test_neither_level_nor_offset_nor_a_longer_end_moves_the_delay(delay, more, level):
    target = np.random.default_rng(0).standard_normal(1000)
    estimate = np.random.default_rng(1).standard_normal(1000 + delay + more)
    start = max(0, delay)
    shared = target[max(0, -delay) :]
    estimate[start : start + shared.size] = shared
    assert align(level * (estimate + 3), target, RATE)[2] == delay


def test_delays_beyond_the_limit_are_not_looked_for(speech_pair):
    clean = speech_pair[1] / 32768.0
    late = np.concatenate([np.zeros(1601), clean])
    assert align(late, clean, RATE, max_delay=0.1)[2] != 1601
    assert align(late, clean, RATE, max_delay=0.1001)[2] == 1601


@pytest.mark.parametrize("bad", [np.zeros(9), np.full(9, np.nan), np.ones((9, 2))])
def test_signals_that_cannot_be_scored_come_back_as_they_are(bad):
    tone = np.sin(np.arange(100.0))
    estimate, target, delay = align(bad, tone, RATE)
    assert estimate is bad and target is tone and delay == 0
    assert align(tone, bad, RATE)[1] is bad


@given(st.integers(1, 2000), st.sampled_from([8000, 11025, 44100, 44101, 48000]))
@settings(max_examples=50, deadline=None)
def test_the_length_after_resampling_is_a_rule(length, rate):
    assert resample(np.zeros(length), rate, RATE).size == -(-length * RATE // rate)


def test_a_tone_keeps_its_level_and_phase_at_another_rate():
    tone = [np.sin(2 * np.pi * 440 * np.arange(2 * r) / r) for r in (44100, RATE)]
    got = resample(tone[0], 44100, RATE)
    np.testing.assert_allclose(got[800:-800], tone[1][800:-800], atol=1e-5)


def test_the_same_rate_is_no_work():
    signal = np.ones(5)
    assert resample(signal, RATE, RATE) is signal
