import csv
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.metrics import (
    format_absent,
    format_summaries,
    format_table,
    json_summary,
    summarize,
    unscored_metrics,
    unscored_rows,
    write_scores,
)

NAN = math.nan
ROWS = [
    {"id": "a", "pesq": 2.5, "csig": 3.25, "reasons": {}},
    {"id": 'b,"1"', "pesq": NAN, "csig": NAN, "reasons": {"pesq": "x", "csig": "x"}},
    {"id": "c", "pesq": 3.0, "csig": NAN, "reasons": {"csig": "y"}},
]
NOISY = [{"id": "a", "pesq": 1.5, "csig": 2.0, "reasons": {}}] * 3


@given(st.lists(st.one_of(st.just(NAN), st.floats(-50, 50)), max_size=20))
def test_mean_is_over_the_scored_rows_alone(values):
    rows = [{"id": str(i), "m": v, "reasons": {}} for i, v in enumerate(values)]
    summary = summarize(rows, ["m"])["m"]
    scored = [v for v in values if math.isfinite(v)]
    assert summary["n_scored"] == len(scored)
    assert summary["n_total"] == len(values)
    assert math.isnan(summary["mean"]) == (not scored)
    if scored:
        assert summary["mean"] == pytest.approx(sum(scored) / len(scored))


def test_infinities_are_not_averaged():
    summary = summarize([{"m": math.inf}, {"m": 1.0}, {"other": 2.0}])
    assert summary["m"] == {"mean": 1.0, "n_scored": 1, "n_total": 3}


def test_metrics_can_be_chosen_and_are_reported_even_if_absent():
    assert list(summarize(ROWS, ["csig"])) == ["csig"]
    assert summarize(ROWS, ["stoi"])["stoi"]["n_scored"] == 0
    assert summarize([]) == {}


def test_json_holds_means_counts_and_the_variant(tmp_path):
    path = tmp_path / "new" / "test_scores.json"
    write_scores(ROWS, None, path, variant="cmgan", noisy_rows=NOISY)
    content = json.loads(path.read_text())
    assert content["pesq"] == {"mean": 2.75, "n_scored": 2, "n_total": 3}
    assert content["composite_variant"] == "cmgan"
    assert content["noisy"]["csig"]["mean"] == 2.0


def test_no_file_contains_nan(tmp_path):
    paths = tmp_path / "test_scores.csv", tmp_path / "test_scores.json"
    write_scores(ROWS[1:2], *paths)
    assert json.loads(paths[1].read_text())["pesq"]["mean"] is None
    assert all("nan" not in path.read_text().lower() for path in paths)


def test_csv_has_one_row_per_utterance_with_reasons(tmp_path):
    path = tmp_path / "test_scores.csv"
    write_scores(ROWS, path, None)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS]
    assert [row["pesq"] for row in rows] == ["2.5", "", "3.0"]
    assert [row["reasons"] for row in rows] == ["", "pesq, csig: x", "csig: y"]


def test_values_survive_the_csv_exactly(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores([{"id": "a", "pesq": 0.1 + 0.2, "reasons": {}}], path, None)
    with path.open(newline="") as file:
        assert float(next(csv.DictReader(file))["pesq"]) == 0.1 + 0.2


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "scores.json"
    write_scores(ROWS, None, path)
    before = path.read_text()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_scores(NOISY, None, path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_table_sets_noisy_beside_enhanced_with_counts_and_the_variant():
    lines = format_table({"noisy": NOISY, "enhanced": ROWS}, "cmgan").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    counts = "n scored / n total"
    assert cells[0] == ["metric", "noisy", counts, "enhanced", counts]
    assert cells[2] == ["pesq", "1.5000", "3 / 3", "2.7500", "2 / 3"]
    assert cells[3] == ["csig (cmgan)", "2.0000", "3 / 3", "3.2500", "1 / 3"]
    assert len({len(line) for line in lines}) == 1


def test_table_says_na_where_nothing_was_scored_or_asked_for():
    table = format_table({"noisy": [{"stoi": 0.9}], "enhanced": ROWS[1:2]})
    assert "n/a" in table and "0 / 1" in table and "not asked for" in table
    assert "nan" not in table


def test_json_says_what_it_was_made_with():
    content = json.loads(json_summary(ROWS, settings={"align_first": True}))
    assert content["settings"] == {"align_first": True}
    assert "settings" not in json.loads(json_summary(ROWS))


def test_a_table_of_summaries_is_the_table_of_their_rows():
    summaries = {"noisy": summarize(NOISY), "enhanced": summarize(ROWS)}
    table = format_table({"noisy": NOISY, "enhanced": ROWS}, "cmgan")
    assert format_summaries(summaries, "cmgan") == table
    null = {"pesq": {"mean": None, "n_scored": 0, "n_total": 3}}
    assert "n/a |" in format_summaries({"enhanced": null})


def test_a_metric_without_any_value_has_its_most_frequent_reason():
    rows = [{"id": c, "m": NAN, "n": 1.0, "reasons": {"m": c}} for c in "aba"]
    assert unscored_metrics(rows) == {"m": "a"}
    assert unscored_metrics(ROWS) == {}


def test_absent_metrics_share_a_line_per_reason():
    row = {"a": NAN, "b": NAN, "c": NAN, "reasons": {"a": "x", "b": "x", "c": "y"}}
    text = format_absent({"noisy": [row | {"c": 1.0}], "enhanced": [row]})
    assert text == "a, b: n/a (x)\nc of enhanced: n/a (y)\n"
    assert format_absent({"noisy": NOISY}) == ""


def test_rows_without_a_value_are_named_with_each_reason_once():
    assert unscored_rows(ROWS) == {'b,"1"': "x"}
    row = {"id": "a", "m": NAN, "n": NAN, "reasons": {"m": "x", "n": "y", "align": "z"}}
    assert unscored_rows([row]) == {"a": "x; y"}
