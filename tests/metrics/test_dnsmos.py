import sys
import types

import numpy as np
import pytest

from sesame.metrics import DNSMOS_METRICS, dnsmos

RATE = 16000
TONE = 0.5 * np.sin(np.arange(RATE) / 9)


class Recorder:
    """Stands for speechmos.dnsmos: records what reaches it."""

    def __init__(self, error=None):
        self.calls = []
        self.error = error

    def run(self, samples, sr):
        self.calls.append((samples, sr))
        if self.error:
            raise self.error
        return {"sig_mos": 3.0, "bak_mos": 2.0, "ovrl_mos": 2.5, "p808_mos": 4.0}


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    package = types.SimpleNamespace(dnsmos=recorder)
    monkeypatch.setitem(sys.modules, "speechmos", package)
    return recorder


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (TONE[:0], RATE, "estimate is empty"),
        (0 * TONE, RATE, "estimate is silent"),
        (TONE * np.nan, RATE, "estimate has NaN or Inf samples"),
        (2.5 * TONE, RATE, "estimate exceeds full scale 1: peak 1.25"),
        (TONE, 48000, "sample rate is 48000 Hz, must be 16000 Hz"),
        (TONE[None], RATE, "estimate must be mono (L,), got (1, 16000)"),
    ],
)
def test_input_the_package_hangs_or_fails_on_never_reaches_it(
    recorder, samples, rate, reason
):
    scores = dnsmos(samples, rate)
    assert tuple(scores) == DNSMOS_METRICS
    assert all(np.isnan(score.value) for score in scores.values())
    assert [score.reason[:50] for score in scores.values()] == [reason] * 4
    assert recorder.calls == []


def test_answers_keep_their_names_and_samples_their_level(recorder):
    scores = dnsmos((TONE * 32768).astype(np.int16), RATE)
    values = {name: score.value for name, score in scores.items()}
    assert values == {
        "dnsmos_sig": 3.0,
        "dnsmos_bak": 2.0,
        "dnsmos_ovrl": 2.5,
        "dnsmos_p808": 4.0,
    }
    np.testing.assert_allclose(recorder.calls[0][0], TONE, atol=1 / 32768)


def test_an_error_of_the_package_is_a_reason(recorder):
    recorder.error = RuntimeError("no model")
    score = dnsmos(TONE, RATE)["dnsmos_ovrl"]
    assert np.isnan(score.value)
    assert score.reason == "DNSMOS failed: RuntimeError: no model"


def test_a_missing_package_is_a_reason_with_the_fix(monkeypatch):
    monkeypatch.setitem(sys.modules, "speechmos", None)
    reason = dnsmos(TONE, RATE)["dnsmos_p808"].reason
    assert "pip install '.[eval]'" in reason


@pytest.mark.slow
def test_the_real_networks_hear_noise(speech_pair):
    pytest.importorskip("speechmos.dnsmos")
    noisy, clean = speech_pair
    scores = dnsmos(clean, RATE), dnsmos(noisy, RATE)
    for name in DNSMOS_METRICS:
        assert all(1 <= score[name].value <= 5 for score in scores), name
    assert scores[0]["dnsmos_bak"].value > scores[1]["dnsmos_bak"].value
