import csv
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


@pytest.fixture
def sets(tmp_path):
    """Options for two sets of two files each."""
    options = []
    for name in ("inside", "outside"):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(2):
            noise = np.random.default_rng(number).uniform(-0.3, 0.3, 2000)
            soundfile.write(folder / f"{number}.wav", noise, 16000)
        options += ["--set", f"{name}={folder}"]
    return options


@pytest.fixture
def small(sets, model_folder):
    """A command that takes seconds."""
    return ["tsne", *sets, "--model", model_folder, "--points", 24, "--perplexity", 5]


def test_a_map_is_made_and_drawn_again_from_its_table(
    small, model_folder, tmp_path, call, capsys, monkeypatch
):
    made, again = tmp_path / "made", tmp_path / "again"
    assert call(*small, "--model", f"twin={model_folder}", "-o", made) == 0
    assert sorted(path.name for path in made.iterdir()) == ["tsne.csv", "tsne.png"]
    with open(made / "tsne.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert {row["model"] for row in rows} == {"model", "twin"}
    assert [row["set"] for row in rows[:24]] == ["inside"] * 12 + ["outside"] * 12
    assert f"48 points: {made / 'tsne.csv'}" in capsys.readouterr().out
    # What is drawn from needs no t-SNE.
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert call("tsne", "--from-csv", made / "tsne.csv", "-o", again) == 0
    assert (again / "tsne.png").read_bytes() == (made / "tsne.png").read_bytes()
    assert not (again / "tsne.csv").exists()


def test_results_are_replaced_only_by_force(small, tmp_path, call, one_line):
    out = tmp_path / "out"
    out.mkdir()
    (out / "tsne.csv").write_text("precious")
    assert call(*small, "-o", out) == 1
    assert "--force" in one_line()
    assert (out / "tsne.csv").read_text() == "precious"
    assert call(*small, "-o", out, "--force") == 0
    assert (out / "tsne.csv").read_text().startswith("model,")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give a set with --set NAME=FOLDER"),
        (["--model", "{model}"], "give a set with --set NAME=FOLDER"),
        (["--set", "inside"], "--set (inside) must be NAME=FOLDER"),
        (["--set", "={inside}"], "must be NAME=FOLDER"),
        (["--set", "a={inside}", "--set", "a={outside}"], "have the name a"),
        (["--set", "a=no/such/folder"], "set a (no/such/folder) must be a folder"),
        (["--set", "a={empty}"], "empty: no audio file was found"),
        (["--set", "a={inside}", "--model", "no/such/model"], "no/such/model"),
        (
            ["--set", "a={inside}", "--model", "{model}", "--model", "{model}"],
            "two of --model have the name model",
        ),
        (["--set", "a={inside}", "--points", "30"], "perplexity (30) must be above 0"),
        (["--set", "a={inside}", "--perplexity", "nan"], "perplexity (nan)"),
        (["--set", "a={inside}", "--seed", "-1"], "seed (-1) must be in"),
        (["--set", "a={inside}", "--from-csv", "a.csv"], "takes no --set"),
        (["--from-csv", "no/such.csv"], "no/such.csv"),
        (
            ["--set", "a={inside}", "--model", "{model}", "--per", "file"],
            "model: perplexity (30) must be above 0 and below the number of points (2)",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    sets, model_folder, tmp_path, call, one_line, options, message
):
    (tmp_path / "empty").mkdir()
    names = {name: tmp_path / name for name in ("inside", "outside", "empty")}
    options = [option.format(model=model_folder, **names) for option in options]
    assert call("tsne", *options, "-o", tmp_path / "out") == 1
    assert message in one_line()
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_results_is_told(small, tmp_path, call, one_line):
    (tmp_path / "out").write_text("precious")
    assert call(*small, "-o", tmp_path / "out") == 1
    assert "out must be a folder" in one_line()


@pytest.mark.parametrize("package", ["sklearn", "matplotlib"])
def test_a_missing_package_is_told_before_the_work(
    small, tmp_path, call, one_line, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    assert call(*small, "-o", tmp_path / "out") == 1
    line = one_line()
    assert package in line and "pip install '.[plot]'" in line
