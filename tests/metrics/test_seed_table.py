import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.metrics import (
    SeedScore,
    format_seed_table,
    read_scores,
    seed_scores,
    write_scores,
)
from sesame.metrics.seed_table import check_alike


def run(total=9, scored=None, **means):
    scores = {
        name: {
            "mean": mean,
            "n_scored": (0 if mean is None else total) if scored is None else scored,
            "n_total": total,
        }
        for name, mean in means.items()
    }
    return scores | {"composite_variant": "loizou"}


PAPER = {"pesq": 3.0, "ssnr": 7.5, "estoi": 0.8, "si_sdr": 16.5}


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6))
def test_the_deviation_is_that_of_a_sample(means):
    score = seed_scores([run(pesq=mean) for mean in means])["pesq"]
    assert score.num_seeds == len(means)
    assert score.mean == pytest.approx(statistics.mean(means))
    squares = sum((mean - statistics.mean(means)) ** 2 for mean in means)
    assert score.deviation == pytest.approx(math.sqrt(squares / (len(means) - 1)))


def test_one_seed_has_no_deviation_and_none_has_no_mean():
    single = seed_scores([run(pesq=3.014)])["pesq"]
    assert single.text() == "3.01" and math.isnan(single.deviation)
    assert SeedScore(3.014, 0.0, 2).text() == "3.01 +- 0.00"
    assert seed_scores([]) == {}


def test_a_run_without_a_value_leaves_no_mean_of_the_others():
    scores = seed_scores([run(pesq=3.0, estoi=None), run(pesq=3.2, estoi=0.8)])
    assert scores["estoi"].text() == "n/a" and scores["estoi"].num_seeds == 1
    assert scores["pesq"].text() == "3.10 +- 0.14"


def test_what_is_written_by_an_evaluation_is_read(tmp_path):
    path = tmp_path / "test_scores.json"
    rows = [{"id": "a", "pesq": 2.5, "estoi": math.nan, "reasons": {"estoi": "x"}}]
    settings = {"metrics": ["pesq"], "versions": {"mean": 1, "n_scored": 1}}
    write_scores(rows, None, path, ("pesq", "estoi"), "cmgan", rows, settings)
    scores = read_scores(path)
    assert list(scores) == ["pesq", "estoi", "composite_variant"]
    assert scores["composite_variant"] == "cmgan"
    assert seed_scores([scores])["pesq"].mean == 2.5
    assert seed_scores([scores])["estoi"].text() == "n/a"


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"pesq": 3.0}', "\x00"])
def test_what_is_no_score_file_is_refused(tmp_path, text):
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"s\.json"):
        read_scores(path)


def test_runs_on_other_files_are_never_mixed():
    with pytest.raises(ValueError, match=r"n_total of the runs \(\[8, 9\]\)"):
        seed_scores([run(pesq=3.0), run(8, pesq=3.0)])
    systems = {"a": {"DNS": [run(pesq=3.0)]}, "b": {"DNS": [run(8, pesq=3.0)]}}
    with pytest.raises(ValueError, match="DNS: n_total"):
        format_seed_table(systems)
    # Two sets may differ.
    both = {"a": {"DNS": [run(pesq=3.0)], "EARS": [run(8, pesq=3.0)]}}
    assert "DNS, n = 9" in format_seed_table(both)


def test_scales_of_composites_are_mixed_only_where_none_is_measured():
    other = {"composite_variant": "cmgan"}
    check_alike([run(pesq=3.0), run(pesq=3.0) | other])
    with pytest.raises(ValueError, match="cmgan, loizou"):
        check_alike([run(csig=3.0), run(csig=3.0) | other])


def test_the_table_has_the_form_of_the_papers():
    seeds = [run(**PAPER), run(**(PAPER | {"pesq": 3.1, "si_sdr": None}))]
    systems = {
        "noisy": {"VB": [run(**PAPER)], "real": [run(4, dnsmos_sig=3.0)]},
        "ours": {"VB": seeds, "real": []},
    }
    head, rule, noisy, ours, *notes = format_seed_table(systems).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (head, ours)]
    assert cells[0] == [
        "system",
        "seeds",
        "VB, n = 9 (PESQ / SSNR / ESTOI / SI-SDR)",
        "real, n = 4 (SIG / BAK / OVRL)",
    ]
    assert cells[1] == [
        "ours",
        "2, 0",
        "3.05 +- 0.07 / 7.50 +- 0.00 / 0.80 +- 0.00 / n/a",
        "n/a / n/a / n/a",
    ]
    assert "3.00 / 7.50 / 0.80 / 16.50" in noisy and "3.00 / n/a / n/a" in noisy
    assert len({len(line) for line in (head, rule, noisy, ours)}) == 1
    assert notes == ["", "ours, VB: SI-SDR of 9, 0 of 9 files"]


def test_means_that_leave_out_files_are_told():
    runs = [run(scored=9, pesq=3.0), run(scored=7, pesq=3.0), run(estoi=0.8)]
    table = format_seed_table({"ours": {"DNS": runs}}, ["pesq"])
    assert table.splitlines()[-1] == (
        "ours, DNS: PESQ of 9, 7 of 9 files, in 2 of 3 runs"
    )


def test_metrics_can_be_chosen_and_names_cannot_break_the_table():
    table = format_seed_table({"a|b": {"x": [run(stoi=0.9)]}}, ["stoi", "llr"])
    assert "(STOI / llr)" in table and "a\\|b" in table and "0.90 / n/a" in table


def test_scores_are_not_changed():
    runs = [run(**PAPER)]
    before = json.dumps(runs)
    format_seed_table({"a": {"b": runs}})
    assert json.dumps(runs) == before
