import numpy as np
import pytest

from sesame.data.vb_demandex.mixture import Mixed, Mixture
from sesame.data.vb_demandex.records import (
    COLUMNS,
    append_record,
    measured_fields,
    noise_paths,
    planned_fields,
    read_records,
    write_records,
)

PLAN = Mixture(
    'a "b", {c}',
    "test",
    "/data/clean/a.wav",
    7,
    9,
    "public",
    ("/data/noise/{1}.wav", "/elsewhere/2.wav"),
    -10.0,
    -25.0,
    3,
)
ROOTS = {"clean": "/data/clean", "noise": "/data/noise"}


@pytest.fixture
def row():
    mixed = Mixed(np.ones(2), np.ones(2), 120, 1, -9.99996, -25.001)
    return planned_fields(PLAN, ROOTS) | measured_fields(mixed)


def test_a_row_says_all_that_went_in(row):
    assert list(row) == list(COLUMNS)
    assert row["clean_file"] == "{clean}/a.wav" and row["snr_asked_db"] == "-10.0"
    assert row["noise_offset"] == "120" and row["snr_measured_db"] == "-10.0000"
    without = Mixed(np.ones(2), np.ones(2), None, 0, 5.0, -20.0)
    assert measured_fields(without)["noise_offset"] == ""


def test_rows_come_back_as_they_were_written(tmp_path, row):
    path = tmp_path / "mixtures.csv"
    write_records(path, [row])
    append_record(path, row)
    assert read_records(path) == [row, row]
    assert read_records(tmp_path / "absent.csv") == []
    assert [file.name for file in tmp_path.iterdir()] == ["mixtures.csv"]


def test_every_interruption_of_the_last_row_is_survived(tmp_path, row):
    path = tmp_path / "mixtures.csv"
    write_records(path, [row])
    whole = path.stat().st_size
    append_record(path, row)
    content = path.read_bytes()
    for size in range(whole, len(content)):
        path.write_bytes(content[:size])
        assert read_records(path) == [row]


def test_files_of_the_noise_are_found_again_also_after_a_move(row):
    assert noise_paths(row, ROOTS) == list(PLAN.noise_files)
    moved = noise_paths(row, {"clean": "/c", "noise": "/n|x"})
    assert moved == ["/n|x/{1}.wav", "/elsewhere/2.wav"]


def test_a_path_with_the_separator_is_refused():
    with pytest.raises(ValueError, match=r"a\|b\.wav must not hold '\|'"):
        planned_fields(PLAN._replace(noise_files=("/x/a|b.wav",)), ROOTS)
