import sys

import numpy as np
import pytest

from sesame.metrics import estoi, stoi

pystoi = pytest.importorskip("pystoi")
RATE = 16000


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_equal_signals_score_one(metric, speech_pair):
    _, clean = speech_pair
    assert metric(clean, clean, RATE).value == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_more_noise_scores_less(metric, speech_pair):
    noisy, clean = (signal / 32768 for signal in speech_pair)
    noise = noisy - clean
    scores = [metric(clean + gain * noise, clean, RATE).value for gain in (0.3, 1, 3)]
    assert scores[0] > scores[1] > scores[2]


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_level_does_not_matter(metric, speech_pair):
    noisy, clean = (signal / 32768 for signal in speech_pair)
    expected = metric(noisy, clean, RATE).value
    assert metric(0.1 * noisy, clean, RATE).value == pytest.approx(expected, abs=1e-6)


def test_value_is_pystoi_s(speech_pair):
    noisy, clean = (signal / 32768 for signal in speech_pair)
    assert stoi(noisy, clean, RATE).value == pystoi.stoi(clean, noisy, RATE)


@pytest.mark.parametrize("metric", [stoi, estoi])
@pytest.mark.parametrize("length", [100, 4000, 6399, 6450])
def test_short_signals_have_no_value(metric, length, speech_pair):
    noisy, clean = (signal[1000 : 1000 + length] for signal in speech_pair)
    score = metric(noisy, clean, RATE)
    assert np.isnan(score.value)
    assert "short" in score.reason or "less than" in score.reason


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_a_target_with_too_little_speech_has_no_value(metric, speech_pair):
    noisy, clean = (signal.copy() for signal in speech_pair)
    clean[4000:] = 0
    score = metric(noisy, clean, RATE)
    assert np.isnan(score.value)
    assert "speech" in score.reason


def test_rates_below_the_bands_have_no_value(speech_pair):
    score = stoi(*speech_pair, 4000)
    assert score.reason == "sample rate is 4000 Hz, min 8000 Hz"


def test_the_value_of_estoi_ignores_and_keeps_the_global_random_state(speech_pair):
    np.random.seed(7)
    expected = np.random.standard_normal(3)
    scores = []
    for seed in (1, 2):
        np.random.seed(seed)
        scores.append(estoi(*speech_pair, RATE).value)
    assert scores[0] == scores[1]
    np.random.seed(7)
    estoi(*speech_pair, RATE)
    np.testing.assert_array_equal(np.random.standard_normal(3), expected)


def test_a_missing_package_is_a_reason_with_the_fix(monkeypatch, speech_pair):
    monkeypatch.setitem(sys.modules, "pystoi", None)
    score = stoi(*speech_pair, RATE)
    assert np.isnan(score.value)
    assert "pip install '.[eval]'" in score.reason
