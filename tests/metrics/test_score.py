import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.metrics import (
    METRICS,
    Score,
    check_estimate,
    check_pair,
    check_signal,
    composite,
    estoi,
    pesq_wb,
    score_pair,
    si_sdr,
    stoi,
)

RATE = 16000
TONE = np.sin(np.arange(RATE) / 9) * np.sin(np.arange(RATE) / 2000)
BAD_PAIRS = {
    "target is silent": (TONE, 0 * TONE, RATE),
    "estimate is silent": (0 * TONE, TONE, RATE),
    "target is silent; estimate is silent": (0 * TONE, 0 * TONE, RATE),
    "target is empty": (TONE, TONE[:0], RATE),
    "estimate is empty": (TONE[:0], TONE, RATE),
    "estimate has NaN or Inf samples": (TONE * np.nan, TONE, RATE),
    "target has NaN or Inf samples": (TONE, TONE + np.inf, RATE),
    "estimate must be mono (L,), got (2, 16000)": (np.stack([TONE] * 2), TONE, RATE),
    "target must be mono (L,), got ()": (TONE, np.float64(1), RATE),
    "estimate must be floating or int16, got int64": (TONE.astype(int), TONE, RATE),
    "sample rate is 0 Hz, must be above 0": (TONE, TONE, 0),
    "lengths differ by more than 100 samples: estimate 15899, target 16000": (
        TONE[:15899],
        TONE,
        RATE,
    ),
}
REFERENCE_METRICS = {
    "stoi": stoi,
    "estoi": estoi,
    "si_sdr": si_sdr,
    "ssnr": lambda *pair: composite(*pair, pesq=Score(2.0))["ssnr"],
    "csig": lambda *pair: composite(*pair, pesq=Score(2.0))["csig"],
}


@pytest.mark.parametrize("reason", BAD_PAIRS)
@pytest.mark.parametrize("name", REFERENCE_METRICS)
def test_every_metric_answers_bad_input_with_nan_and_the_reason(name, reason):
    score = REFERENCE_METRICS[name](*BAD_PAIRS[reason])
    assert np.isnan(score.value)
    assert score.reason == reason


@pytest.mark.parametrize("reason", BAD_PAIRS)
def test_pesq_answers_bad_input_with_nan_and_a_reason(reason):
    score = pesq_wb(*BAD_PAIRS[reason])
    assert np.isnan(score.value)
    if BAD_PAIRS[reason][2] == RATE:
        assert score.reason == reason


@pytest.mark.parametrize("length", [0, 1, 2, 99, 479, 480, 600, 3999, 4000, 6399, 6500])
def test_no_length_raises_and_every_nan_has_a_reason(length, speech_pair):
    noisy, clean = (signal[2000 : 2000 + length] for signal in speech_pair)
    row = score_pair(noisy, clean, RATE)
    for name in METRICS:
        assert np.isnan(row[name]) == (name in row["reasons"])


@given(
    st.lists(st.floats(width=32), max_size=20),
    st.lists(st.floats(width=32), max_size=20),
)
def test_no_samples_raise_and_a_score_is_finite_or_has_a_reason(estimate, target):
    signals = np.array(estimate, dtype="f4"), np.array(target, dtype="f4")
    for metric in (*REFERENCE_METRICS.values(), pesq_wb):
        score = metric(*signals, RATE)
        assert np.isfinite(score.value) != bool(score.reason)


def test_int16_and_float_samples_mean_the_same():
    samples = np.array([-32768, 0, 16384], dtype=np.int16)
    from_int, _ = check_signal(samples, "target")
    from_float, _ = check_signal(samples.astype("f4") / 32768, "target")
    np.testing.assert_array_equal(from_int, from_float)


def test_a_caller_s_array_is_left_as_it_was():
    estimate, target = TONE.copy(), TONE.copy()
    score_pair(estimate, target, RATE, ["si_sdr", "ssnr", "stoi"])
    np.testing.assert_array_equal(estimate, TONE)
    np.testing.assert_array_equal(target, TONE)


def test_lengths_are_cut_up_to_the_allowed_difference():
    assert check_pair(TONE[:-100], TONE, RATE).target.size == TONE.size - 100
    assert check_pair(TONE[:-101], TONE, RATE).reason
    assert check_pair(TONE[:-1], TONE, RATE, max_length_difference=0).reason


def test_denormal_samples_are_silence():
    assert check_signal(TONE * 1e-310, "target")[1] == "target is silent"


def test_a_value_that_is_not_finite_is_not_a_score():
    for value in (np.nan, np.inf, -np.inf):
        score = Score.measured(value, "X")
        assert np.isnan(score.value)
        assert score.reason.startswith("X is")
        assert not score.scored
    assert Score.measured(np.float32(0.5), "X") == Score(0.5)


def test_a_signal_that_is_silent_but_for_what_is_cut_off_is_silent():
    target = np.zeros(RATE + 50)
    target[-10:] = 1
    assert check_pair(TONE, target, RATE).reason == "target is silent"


def test_a_failure_is_its_first_line():
    score = Score.failed("X", ValueError("\n one \n two"))
    assert math.isnan(score.value) and score.reason == "X failed: ValueError: one"
    assert Score.failed("X", OSError()).reason == "X failed: OSError: "


def test_an_estimate_alone_is_checked_as_in_a_pair():
    tone = np.ones(9)
    assert check_estimate(tone, 8000)[1] == ""
    assert check_estimate(tone, 0)[1] == "sample rate is 0 Hz, must be above 0"
    for signal, rate in ((0 * tone, 16000), (tone[:0], 16000), (tone, 8000)):
        pair = check_pair(signal, tone, rate, required_rate=16000)
        assert check_estimate(signal, rate, 16000)[1] == pair.reason != ""
