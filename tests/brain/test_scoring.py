"""Scores of validation and test sets."""

import csv
import json
import math
from concurrent.futures import Future

import numpy as np
import pytest
import soundfile
import torch

from sesame.brain.scoring import (
    EvaluationScores,
    as_stored,
    shard_loader_options,
    write_wav,
)
from sesame.brain.workers import WorkerPool
from sesame.metrics import score_pair, score_separation

SAMPLE_RATE = 16_000
METRICS = ("pesq", "si_sdr")


def _scores(pool=None, with_noisy=True):
    pool = pool or WorkerPool(0)
    return EvaluationScores(pool, SAMPLE_RATE, METRICS, "loizou", with_noisy)


@pytest.fixture
def signals(tiny):
    """Id -> enhanced, clean, noisy (L,); the enhanced ones are half as noisy."""
    names = ("p303_003", "p301_001", "p302_002")
    batch = tiny.batch(*names)
    clean, noisy = batch.clean_sig.data.numpy(), batch.noisy_sig.data.numpy()
    enhanced = (clean + noisy) / 2
    return dict(zip(names, zip(enhanced, clean, noisy, strict=True), strict=True))


def _ids(path):
    with path.open(encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("world", [2, 3, 7])
def test_ranks_share_a_set_out_completely_and_without_overlap(monkeypatch, world):
    seen = []
    for rank in range(world):
        monkeypatch.setattr(
            "sesame.brain.scoring.rank_and_world", lambda rank=rank: (rank, world)
        )
        options = shard_loader_options(range(5), {"batch_size": 1, "shuffle": True})
        loader = torch.utils.data.DataLoader(range(5), **options)
        seen += [int(item) for item in loader]
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_one_process_keeps_its_options_and_the_dictionary_is_not_changed(monkeypatch):
    options = {"batch_size": 1}
    assert shard_loader_options(range(5), options) is options
    monkeypatch.setattr("sesame.brain.scoring.rank_and_world", lambda: (0, 2))
    shard_loader_options(range(5), options)
    assert options == {"batch_size": 1}


def test_each_utterance_has_the_scores_of_its_own_signals(signals, tmp_path):
    scores = _scores()
    for name, triple in signals.items():
        scores.add(name, *triple)
    summary = scores.gather()
    expected = {
        name: score_pair(as_stored(enhanced, SAMPLE_RATE), clean, SAMPLE_RATE, METRICS)
        for name, (enhanced, clean, _) in signals.items()
    }
    for metric in METRICS:
        mean = np.mean([row[metric] for row in expected.values()])
        assert summary[metric]["mean"] == pytest.approx(mean)
        assert summary[metric]["n_scored"] == summary[metric]["n_total"] == 3
    scores.write(tmp_path)
    with (tmp_path / "test_scores.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for metric in METRICS:
                assert float(row[metric]) == expected[row["id"]][metric]


def test_files_are_sorted_and_the_noisy_input_has_files_of_its_own(signals, tmp_path):
    scores = _scores()
    for name, triple in signals.items():
        scores.add(name, *triple)
    summary = scores.gather()
    scores.write(tmp_path)
    for name in ("test_scores.csv", "noisy_scores.csv"):
        assert _ids(tmp_path / name) == sorted(signals)
    enhanced, noisy = (
        json.loads((tmp_path / f"{kind}_scores.json").read_text())
        for kind in ("test", "noisy")
    )
    assert enhanced["si_sdr"] == summary["si_sdr"]
    # Half the noise amplitude: 20 log10(2) dB more.
    gain = enhanced["si_sdr"]["mean"] - noisy["si_sdr"]["mean"]
    assert gain == pytest.approx(20 * math.log10(2), abs=0.1)
    assert enhanced["composite_variant"] == "loizou"


def test_validation_does_not_score_the_noisy_input(signals, tmp_path):
    scores = _scores(with_noisy=False)
    scores.add("p301_001", *signals["p301_001"])
    scores.gather()
    scores.write(tmp_path)
    assert not (tmp_path / "noisy_scores.csv").exists()


def test_a_failed_score_is_counted_and_not_averaged(signals, tmp_path):
    scores = _scores()
    _, clean, noisy = signals["p301_001"]
    scores.add("good", noisy, clean, noisy)
    scores.add("silent", 0 * noisy, clean, noisy)
    summary = scores.gather()
    expected = score_pair(noisy, clean, SAMPLE_RATE, METRICS)["pesq"]
    assert summary["pesq"] == {"mean": expected, "n_scored": 1, "n_total": 2}
    scores.write(tmp_path)
    text = (tmp_path / "test_scores.csv").read_text()
    assert "silent" in text and "nan" not in text.lower()


def test_workers_that_die_cost_their_scores_and_say_why(signals, tmp_path):
    class DyingPool(WorkerPool):
        def submit(self, function, *arguments):
            if len(arguments[0]) % 2:
                future = Future()
                future.set_exception(RuntimeError("killed by the system"))
                return future
            return super().submit(function, *arguments)

    scores = _scores(DyingPool(0), with_noisy=False)
    _, clean, noisy = signals["p301_001"]
    scores.add("even", noisy, clean, noisy)
    scores.add("odd", noisy[1:], clean[1:], noisy[1:])
    summary = scores.gather()
    assert summary["si_sdr"]["n_scored"] == 1 and summary["si_sdr"]["n_total"] == 2
    scores.write(tmp_path)
    assert "killed by the system" in (tmp_path / "test_scores.csv").read_text()


def test_mixtures_have_the_scores_of_their_sources(signals, tmp_path):
    metrics = ("si_sdri", "stoi")
    scores = EvaluationScores(WorkerPool(0), SAMPLE_RATE, metrics, "loizou", True)
    targets = np.stack([clean for _, clean, _ in signals.values()])
    mixture = targets.sum(0)
    estimates = targets[[2, 0, 1]] + 0.1 * mixture
    scores.add_separated("a", estimates, targets, mixture)
    summary = scores.gather()
    scores.write(tmp_path)
    for estimate, name in (
        (as_stored(estimates, SAMPLE_RATE), "test"),
        (None, "noisy"),
    ):
        given = np.stack([mixture] * 3) if estimate is None else estimate
        row = score_separation(given, targets, mixture, SAMPLE_RATE, metrics)
        written = json.loads((tmp_path / f"{name}_scores.json").read_text())
        for metric in metrics:
            assert written[metric]["mean"] == pytest.approx(row[metric])
    assert summary["si_sdri"]["mean"] > 5


def test_nothing_to_score_is_nan(tmp_path):
    scores = _scores()
    assert math.isnan(scores.gather()["pesq"]["mean"])
    scores.write(tmp_path)
    assert _ids(tmp_path / "test_scores.csv") == []


def test_wav_files_are_16_bit_and_saturate_instead_of_wrapping(tmp_path):
    path = tmp_path / "new" / "a.wav"
    write_wav(path, np.array([0.0, 0.5, 1.5, -1.5], dtype=np.float32), SAMPLE_RATE)
    waveform, sample_rate = soundfile.read(path, dtype="float32")
    assert sample_rate == SAMPLE_RATE
    assert soundfile.info(path).subtype == "PCM_16"
    np.testing.assert_allclose(waveform, [0.0, 0.5, 1.0, -1.0], atol=2**-15)


def test_channels_are_rounded_as_files_of_their_own():
    waveforms = np.random.default_rng(0).uniform(-1.2, 1.2, (3, 500))
    stored = as_stored(waveforms, SAMPLE_RATE)
    for waveform, channel in zip(waveforms, stored, strict=True):
        np.testing.assert_array_equal(as_stored(waveform, SAMPLE_RATE), channel)


def test_what_is_scored_is_what_the_file_holds(tmp_path):
    waveform = np.random.default_rng(0).uniform(-1.2, 1.2, 5000).astype(np.float32)
    stored = as_stored(waveform, SAMPLE_RATE)
    assert np.abs(stored - waveform.clip(-1, 1)).max() <= 2**-15
    for name, signal in (("a", waveform), ("b", stored)):
        write_wav(tmp_path / f"{name}.wav", signal, SAMPLE_RATE)
        written, _ = soundfile.read(tmp_path / f"{name}.wav", dtype="float32")
        np.testing.assert_array_equal(written, stored)
