import importlib
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.metrics import distillmos

RATE = 16000
CORPUS = Path(__file__).parents[3] / "shared/data/voicebank-demand-test"
TONE = 0.5 * np.sin(np.arange(RATE) / 9)


@pytest.mark.parametrize(
    ("samples", "rate", "reason"),
    [
        (TONE[:0], RATE, "estimate is empty"),
        (0 * TONE, RATE, "estimate is silent"),
        (TONE * np.nan, RATE, "estimate has NaN or Inf samples"),
        (TONE, 48000, "sample rate is 48000 Hz, must be 16000 Hz"),
        (TONE[None], RATE, "estimate must be mono (L,), got (1, 16000)"),
    ],
)
def test_what_cannot_be_scored_is_a_reason(samples, rate, reason):
    score = distillmos(samples, rate)
    assert np.isnan(score.value) and score.reason == reason


def test_a_missing_package_is_a_reason_with_the_fix(monkeypatch):
    importlib.import_module("sesame.metrics.distillmos")._network.cache_clear()
    monkeypatch.setitem(sys.modules, "distillmos", None)
    score = distillmos(TONE, RATE)
    assert np.isnan(score.value)
    assert "distillmos is missing: pip install '.[eval]'" in score.reason


def test_a_score_needs_no_download_and_says_nothing(speech_pair, monkeypatch, capsys):
    pytest.importorskip("distillmos")

    def refuse(*arguments, **options):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "socket", refuse)
    assert 1 <= distillmos(speech_pair[0], RATE).value <= 5
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs {CORPUS.name} in ../shared")
def test_clean_recordings_beat_their_noisy_versions():
    pytest.importorskip("distillmos")
    for clean in sorted((CORPUS / "clean_testset_wav").iterdir())[:3]:
        noisy = CORPUS / "noisy_testset_wav" / clean.name
        scores = [distillmos(*soundfile.read(path)).value for path in (noisy, clean)]
        assert scores[0] < scores[1], clean.name
        assert scores[1] > 4


def test_the_level_does_not_matter(speech_pair):
    pytest.importorskip("distillmos")
    quiet = distillmos(speech_pair[0] / 32768.0 * 0.1, RATE).value
    assert quiet == pytest.approx(distillmos(speech_pair[0], RATE).value, abs=1e-3)


@pytest.mark.parametrize("seconds", [1.0, 7.68, 7.7, 10.3])
def test_segments_are_those_of_the_package(speech_pair, seconds, capsys):
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("distillmos")
    noisy = np.tile(speech_pair[0], 6)[: round(seconds * RATE)] / 32768.0
    network = package.ConvTransformerSQAModel().eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(noisy.astype(np.float32))[None]).item()
    assert distillmos(noisy, RATE).value == pytest.approx(expected, abs=1e-5)
