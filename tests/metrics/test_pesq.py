import sys

import numpy as np
import pytest

from sesame.metrics import pesq_wb

package = pytest.importorskip("pesq")
MODULE = sys.modules["sesame.metrics.pesq"]
RATE = 16000


def test_equal_signals_score_the_top_of_the_scale(speech_pair):
    _, clean = speech_pair
    top = 0.999 + 4 / (1 + np.exp(-1.3669 * 4.5 + 3.8224))
    assert pesq_wb(clean, clean, RATE).value == pytest.approx(top, abs=1e-4)


def test_the_target_is_the_reference_of_the_package(speech_pair):
    noisy, clean = (signal / 32768 for signal in speech_pair)
    expected = package.pesq(RATE, clean, noisy, "wb")
    assert pesq_wb(noisy, clean, RATE).value == expected
    assert package.pesq(RATE, noisy, clean, "wb") != pytest.approx(expected, abs=1e-3)


def test_more_noise_scores_less(speech_pair):
    noisy, clean = (signal / 32768 for signal in speech_pair)
    noise = noisy - clean
    scores = [pesq_wb(clean + gain * noise, clean, RATE).value for gain in (0.1, 1, 5)]
    assert scores[0] > scores[1] > scores[2]


def test_common_gain_does_not_matter(speech_pair):
    noisy, clean = (signal / 32768 for signal in speech_pair)
    expected = pesq_wb(noisy, clean, RATE).value
    assert pesq_wb(8 * noisy, 8 * clean, RATE).value == pytest.approx(expected)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_only_16_khz_is_scored(rate, speech_pair):
    score = pesq_wb(*speech_pair, rate)
    assert np.isnan(score.value)
    assert score.reason == f"sample rate is {rate} Hz, must be 16000 Hz"


def test_less_than_a_quarter_second_has_no_value(speech_pair):
    noisy, clean = (signal[2000:5999] for signal in speech_pair)
    assert "too short" in pesq_wb(noisy, clean, RATE).reason


@pytest.mark.parametrize("longest_in_process", [19.0, 0.1])
def test_a_target_the_package_cannot_align_has_no_value(
    monkeypatch, longest_in_process
):
    monkeypatch.setattr(MODULE, "LONGEST_IN_PROCESS", longest_in_process)
    target = np.zeros(8000)
    target[-1] = 0.5
    score = pesq_wb(np.sin(np.arange(8000) / 9), target, RATE)
    assert np.isnan(score.value)
    assert score.reason.startswith("PESQ failed: ")


def test_errors_of_the_package_become_reasons(monkeypatch, speech_pair):
    def fail(*arguments):
        raise package.NoUtterancesError("No utterances detected")

    monkeypatch.setattr(package, "pesq", fail)
    assert pesq_wb(*speech_pair, RATE).reason == "PESQ failed: NoUtterancesError"


def test_long_files_score_the_same_in_a_process_of_their_own(monkeypatch, speech_pair):
    expected = pesq_wb(*speech_pair, RATE)
    monkeypatch.setattr(MODULE, "LONGEST_IN_PROCESS", 1.0)
    assert pesq_wb(*speech_pair, RATE) == expected


def test_a_crash_of_the_package_is_a_reason(monkeypatch, speech_pair):
    monkeypatch.setattr(MODULE, "LONGEST_IN_PROCESS", 1.0)
    monkeypatch.setattr(MODULE, "_CHILD", "import os; os.abort()")
    score = pesq_wb(*speech_pair, RATE)
    assert np.isnan(score.value)
    assert "50 utterances" in score.reason


def test_a_file_of_more_utterances_than_the_package_holds_is_survived():
    rng = np.random.default_rng(0)
    burst = np.concatenate([0.1 * rng.standard_normal(4000), np.zeros(4000)])
    target = np.tile(burst, 80)
    estimate = target + 0.01 * rng.standard_normal(target.size)
    score = pesq_wb(estimate, target, RATE)
    assert np.isnan(score.value) == bool(score.reason)


def test_a_missing_package_is_a_reason_with_the_fix(monkeypatch, speech_pair):
    monkeypatch.setitem(sys.modules, "pesq", None)
    score = pesq_wb(*speech_pair, RATE)
    assert np.isnan(score.value)
    assert "pip install '.[eval]'" in score.reason
