"""Tables of tasks and sizes: what is scored, counted and written."""

import csv
import json

import numpy as np
import pytest

from sesame.brain.scoring import as_stored
from sesame.brain.task_scores import TaskScores
from sesame.brain.workers import WorkerPool
from sesame.metrics import score_restoration
from sesame.metrics.task_table import UNPROCESSED, read_task_scores

RATE = 16000
SIZES = {"16x2": {"parameters": 900}, "4x1": {"parameters": 80}}
METRICS = ("si_sdr", "si_sdri", "erle")


def _scores(with_input=True, metrics=METRICS):
    return TaskScores(WorkerPool(0), RATE, metrics, "loizou", SIZES, with_input)


def _signals(seed=0):
    target, noise = 0.1 * np.random.default_rng(seed).standard_normal((2, 8000))
    outputs = {"16x2": target + 0.1 * noise, "4x1": target + 0.5 * noise}
    return outputs, target, target + noise


def _filled(**options):
    scores = _scores(**options)
    for name in ("a", "b"):
        scores.add("denoise", name, *_signals(ord(name)))
    outputs, _, mixture = _signals()
    scores.add("cancel_echo", "a", outputs, np.zeros(8000), mixture)
    return scores


def test_the_summary_is_that_of_the_full_network_and_names_the_other_sizes():
    summary = _filled(with_input=False).gather()
    assert set(summary) == {*METRICS, *(f"{name} 4x1" for name in METRICS)}
    assert summary["si_sdri"]["mean"] == pytest.approx(20, abs=0.1)
    assert summary["si_sdri 4x1"]["mean"] == pytest.approx(6, abs=0.1)
    assert summary["si_sdri"]["n_scored"] == 2 and summary["si_sdri"]["n_total"] == 3
    assert summary["erle"]["n_scored"] == 1


def test_a_row_is_the_score_of_what_a_file_would_hold(tmp_path):
    scores = _filled()
    scores.gather()
    scores.write(tmp_path)
    outputs, target, mixture = _signals(ord("b"))
    stored = as_stored(outputs["16x2"], RATE)
    expected = score_restoration(stored, target, mixture, RATE, METRICS)
    with (tmp_path / "test_scores.csv").open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"denoise/a", "denoise/b", "cancel_echo/a"}
    assert float(rows["denoise/b"]["si_sdr"]) == pytest.approx(expected["si_sdr"])
    assert rows["cancel_echo/a"]["si_sdr"] == "" != rows["cancel_echo/a"]["erle"]


def test_the_table_has_a_line_for_each_task_and_size(tmp_path):
    scores = _filled()
    scores.gather()
    scores.write(tmp_path)
    with (tmp_path / "task_scores.csv").open(encoding="utf-8") as file:
        lines = {(row["task"], row["size"]): row for row in csv.DictReader(file)}
    sizes = ("unprocessed", "16x2", "4x1")
    assert set(lines) == {(t, s) for t in ("denoise", "cancel_echo") for s in sizes}
    assert float(lines["denoise", "unprocessed"]["si_sdri"]) == 0
    assert lines["denoise", "4x1"]["parameters"] == "80"
    assert lines["denoise", "4x1"]["n_si_sdr"] == lines["denoise", "4x1"]["n_total"]
    echo = lines["cancel_echo", "16x2"]
    assert echo["si_sdr"] == "" and echo["n_erle"] == "1"
    content = json.loads((tmp_path / "task_scores.json").read_text())
    assert content["sizes"] == SIZES
    entry = content["tasks"]["denoise"]["4x1"]["si_sdri"]
    assert entry["mean"] == float(lines["denoise", "4x1"]["si_sdri"])
    assert content["tasks"]["cancel_echo"]["4x1"]["si_sdr"]["mean"] is None
    noisy = json.loads((tmp_path / "noisy_scores.json").read_text())
    assert noisy["si_sdri"]["mean"] == 0


def test_the_table_is_one_that_is_read_again(tmp_path, monkeypatch):
    for number, facts in enumerate(SIZES.values()):
        monkeypatch.setitem(facts, "gmacs_per_second", 1.0 - 0.5 * number)
    scores = _filled()
    summary = scores.gather()
    scores.write(tmp_path)
    lines = read_task_scores(tmp_path / "task_scores.csv")
    assert [line.size for line in lines[:3]] == [UNPROCESSED, "16x2", "4x1"]
    assert [line.task for line in lines] == ["cancel_echo"] * 3 + ["denoise"] * 3
    full = lines[4]
    assert (full.parameters, full.gmacs, full.num_total) == (900, 1.0, 2)
    assert full.means["si_sdri"] == pytest.approx(summary["si_sdri"]["mean"], abs=1e-4)
    assert full.counts == {"si_sdr": 2, "si_sdri": 2, "erle": 0}


def test_the_input_is_scored_in_the_test_only(tmp_path):
    scores = _filled(with_input=False)
    scores.gather()
    scores.write(tmp_path)
    assert "unprocessed" not in (tmp_path / "task_scores.csv").read_text()
    assert not (tmp_path / "noisy_scores.csv").exists()


def test_a_worker_that_dies_costs_its_rows_only(monkeypatch):
    scores = _scores(with_input=False)
    scores.add("denoise", "a", *_signals())
    monkeypatch.setattr("sesame.brain.task_scores.score_restoration", lambda *_: 1 / 0)
    scores.add("denoise", "b", *_signals())
    summary = scores.gather()
    assert summary["si_sdr"]["n_scored"] == 1 and summary["si_sdr"]["n_total"] == 2


def test_no_size_is_refused():
    with pytest.raises(ValueError, match="must have at least one"):
        TaskScores(WorkerPool(0), RATE, METRICS, "loizou", {}, False)
