import csv
import math
import re

import pytest

from sesame.metrics.task_table import (
    UNPROCESSED,
    format_task_table,
    metric_label,
    read_task_scores,
)

HEADER = (
    "task,size,width,depth,parameters,gmacs_per_second,si_sdr,si_sdri,pesq,stoi,erle"
)
HEADER += ",n_si_sdr,n_si_sdri,n_pesq,n_stoi,n_erle,n_total\n"
LINES = """\
denoise,unprocessed,,,,,5.0012,0.0,1.4647,0.8636,,4,4,4,4,0,4
denoise,32x2,1.0,2,78964,0.1644416,9.1249,4.1237,1.9012,0.9012,,4,4,3,4,0,4
denoise,8x1,0.25,1,10033,0.0106544,7.4444,2.4432,1.7001,0.8888,,4,4,4,4,0,4
cancel_echo,unprocessed,,,,,-1.5,0.0,1.2,0.7,0.0,3,3,3,3,2,5
cancel_echo,32x2,1.0,2,78964,0.1644416,6.25,7.75,1.6,0.75,21.5,3,3,3,3,2,5
"""
PLAIN = "task,size,gmacs_per_second,pesq,n_pesq,n_total\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "task_scores.csv"
    path.write_text(HEADER + LINES)
    return path


def test_every_number_of_the_table_is_that_of_the_file(path):
    table = format_task_table(read_task_scores(path)).splitlines()
    names = re.findall(r"[^|]+", table[0])
    assert [name.strip() for name in names[4:]] == [
        "SI-SDR [dB] (n)",
        "SI-SDRi [dB] (n)",
        "PESQ (n)",
        "STOI (n)",
        "ERLE [dB] (n)",
    ]
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(table) == 2 + len(rows) and len(set(map(len, table))) == 1
    for line, row in zip(table[2:], rows, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:2] == [row["task"], row["size"]]
        assert cells[2].replace(",", "") == row["parameters"]
        assert cells[3] == (row["gmacs_per_second"] and f"{float(cells[3]):.3f}")
        if cells[3]:
            assert abs(float(cells[3]) - float(row["gmacs_per_second"])) <= 5e-4
        digits = {"si_sdr": 2, "si_sdri": 2, "pesq": 3, "stoi": 3, "erle": 2}
        for cell, (metric, count) in zip(cells[4:], digits.items(), strict=True):
            value, scored = re.fullmatch(r"(\S+) \((\d+)\)", cell).groups()
            assert scored == row[f"n_{metric}"]
            assert value == (f"{float(row[metric]):.{count}f}" if row[metric] else "-")


def test_the_input_has_no_cost_and_what_has_no_value_is_not_a_number(path):
    scores = {(entry.task, entry.size): entry for entry in read_task_scores(path)}
    noisy = scores["denoise", UNPROCESSED]
    assert math.isnan(noisy.gmacs) and noisy.parameters is None
    assert math.isnan(noisy.means["erle"]) and noisy.counts["erle"] == 0
    echo = scores["cancel_echo", "32x2"]
    assert (echo.parameters, echo.gmacs, echo.num_total) == (78964, 0.1644416, 5)
    assert echo.means["erle"] == 21.5 and echo.counts["erle"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a line for each task and size"),
        (PLAIN, "must have a line for each task and size"),
        ("task,size,pesq,n_pesq,n_total\na,b,1.0,1,1\n", "gmacs_per_second"),
        ("task,size,gmacs_per_second,pesq,n_total\na,b,0.1,1.0,1\n", "n_ of it"),
        (PLAIN + "a,b,0.1,1.0,1,1\na,b,0.1,1.0,1,1\n", "line 3: a has b twice"),
        (PLAIN + "a,b,0.1,1.0,2,1\n", r"line 2.*n_pesq \(2\) must be in \[0, 1\]"),
        (PLAIN + "a,b,0.1,,1,1\n", "must have a mean if and only if n_pesq > 0"),
        (PLAIN + "a,b,0.1,1.0,0,1\n", "must have a mean if and only if n_pesq > 0"),
        (PLAIN + "a,b,,1.0,1,1\n", "gmacs_per_second .* must be positive"),
        (PLAIN + "a,b,0.1,good,1,1\n", "line 2, is no score: .*good"),
        (PLAIN + "a,b,0.1,1.0,1\n", "as many cells"),
        (PLAIN + "a,b,0.1,1.0,1,1,1\n", "as many cells"),
        ("x" * 200_000, "must be a CSV file"),
    ],
)
def test_a_file_that_holds_no_scores_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "task_scores.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"task_scores.csv.*{message}"):
        read_task_scores(path)


def test_a_table_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one line"):
        format_task_table([])


def test_an_unknown_metric_keeps_its_name():
    assert metric_label("plcmos") == "plcmos"
    assert metric_label("erle") == "ERLE [dB]"
