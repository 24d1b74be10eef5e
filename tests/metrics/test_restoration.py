"""Scores of restored speech and of echo that is left."""

import math

import numpy as np
import pytest

from sesame.metrics import erle, score_pair, score_restoration

RATE = 16000


@pytest.fixture
def signals():
    target, noise = np.random.default_rng(0).standard_normal((2, RATE))
    return target + 0.1 * noise, target, target + noise


@pytest.mark.parametrize("decibels", [-6.0, 0.0, 3.0, 60.0])
def test_erle_is_the_gain_between_input_and_output(decibels):
    echo = np.random.default_rng(1).standard_normal(1000)
    output = 10 ** (-decibels / 20) * np.roll(echo, 7)
    assert erle(output, echo, RATE).value == pytest.approx(decibels)


def test_erle_of_silence_is_bounded_and_of_no_echo_has_no_value():
    echo = np.random.default_rng(1).standard_normal(1000)
    assert erle(0 * echo, echo, RATE).value == pytest.approx(120)
    silent = erle(echo, 0 * echo, RATE)
    assert math.isnan(silent.value) and silent.reason
    assert erle(echo[1:], echo, RATE).reason.startswith("output must be finite")
    assert math.isnan(erle(np.full(1000, np.nan), echo, RATE).value)


def test_values_are_those_of_the_pair(signals):
    output, target, mixture = signals
    names = ["si_sdr", "stoi"]
    row = score_restoration(output, target, mixture, RATE, names)
    assert row == score_pair(output, target, RATE, names)


def test_the_gain_is_a_difference_to_the_input(signals):
    output, target, mixture = signals
    row = score_restoration(output, target, mixture, RATE, ["si_sdri"])
    before = score_pair(mixture, target, RATE, ["si_sdr"])["si_sdr"]
    after = score_pair(output, target, RATE, ["si_sdr"])["si_sdr"]
    assert row == {"si_sdri": after - before, "reasons": {}}


def test_echo_alone_has_erle_and_nothing_else(signals):
    _, _, echo = signals
    names = ["si_sdr", "si_sdri", "erle"]
    row = score_restoration(0.1 * echo, 0 * echo, echo, RATE, names)
    assert row["erle"] == pytest.approx(20)
    assert math.isnan(row["si_sdr"]) and math.isnan(row["si_sdri"])
    assert set(row["reasons"]) == {"si_sdr", "si_sdri"}


def test_speech_has_no_erle(signals):
    row = score_restoration(*signals, RATE, ["erle"])
    assert math.isnan(row["erle"]) and row["reasons"] == {
        "erle": "target is not silent"
    }


def test_an_unknown_metric_is_a_mistake(signals):
    with pytest.raises(ValueError, match="erl"):
        score_restoration(*signals, RATE, ["erl"])
