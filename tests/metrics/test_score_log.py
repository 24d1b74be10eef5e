import json
import math

import pytest

from sesame.metrics import ScoreLog, evaluation_settings
from sesame.metrics.score_log import stamp

SETTINGS = {"metrics": ["pesq"], "versions": {"pesq": None}}
FILES = [["/a.wav", 10, 20], None]
ROW = {"id": "\u00e4/1", "pesq": 0.1 + 0.2, "reasons": {}}


def test_rows_come_back_exactly(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    ScoreLog(path, SETTINGS).append("noisy", ROW, FILES)
    log = ScoreLog(path, SETTINGS)
    assert log.find("noisy", ROW["id"], FILES) == ROW
    assert log.find("enhanced", ROW["id"], FILES) is None
    assert log.find("noisy", "other", FILES) is None


def test_a_missing_score_is_null_in_the_file_and_nan_in_the_row(tmp_path):
    path = tmp_path / "log.jsonl"
    row = {"id": "a", "pesq": math.nan, "reasons": {"pesq": "target is silent"}}
    ScoreLog(path, SETTINGS).append("enhanced", row, FILES)
    assert json.loads(path.read_text())["scores"] == {"pesq": None}
    found = ScoreLog(path, SETTINGS).find("enhanced", "a", FILES)
    assert math.isnan(found.pop("pesq"))
    assert found == {"id": "a", "reasons": row["reasons"]}


def test_the_last_line_about_a_file_counts(tmp_path):
    path = tmp_path / "log.jsonl"
    log = ScoreLog(path, SETTINGS)
    log.append("enhanced", ROW, FILES)
    log.append("enhanced", ROW | {"pesq": 3.0}, FILES)
    log.append("enhanced", ROW | {"pesq": 2.0}, [["/a.wav", 11, 20], None])
    log = ScoreLog(path, SETTINGS)
    assert log.find("enhanced", ROW["id"], FILES) is None
    assert log.find("enhanced", ROW["id"], [["/a.wav", 11, 20], None])["pesq"] == 2.0


def test_lines_of_other_settings_stay_in_the_file(tmp_path):
    path = tmp_path / "log.jsonl"
    ScoreLog(path, SETTINGS).append("enhanced", ROW, FILES)
    other = ScoreLog(path, {"metrics": ["stoi"]})
    assert other.find("enhanced", ROW["id"], FILES) is None
    other.append("enhanced", {"id": "a", "stoi": 0.5, "reasons": {}}, FILES)
    assert ScoreLog(path, SETTINGS).find("enhanced", ROW["id"], FILES) == ROW


@pytest.mark.parametrize("length", [1, 5, 11, 40])
def test_what_a_kill_left_of_a_line_is_cut_off(tmp_path, length):
    path = tmp_path / "log.jsonl"
    ScoreLog(path, SETTINGS).append("enhanced", ROW, FILES)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:length])
    log = ScoreLog(path, SETTINGS)
    assert log.find("enhanced", ROW["id"], FILES) == ROW
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    ["id,pesq\na,1\n", "precious", '{"a": 1}\n', "[1]\n", "\n", '{"system": 1}\n'],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"line 1 of .*scores.csv is no line of a log"):
        ScoreLog(path, SETTINGS)
    assert path.read_text() == content


def test_settings_survive_json():
    settings = evaluation_settings(("pesq",), "cmgan", 100, True, {"x": __file__})
    assert json.loads(json.dumps(settings)) == settings
    assert settings["versions"].keys() >= {"sesame", "pesq", "onnxruntime", "soxr"}


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    first = stamp(path)
    path.write_text("12")
    assert stamp(path) != first
    assert stamp(None) is None and stamp(tmp_path / "absent") is None
