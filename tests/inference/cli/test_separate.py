import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference import Separator
from sesame.inference.cli import separate
from sesame.inference.cli.common import DEFAULT_SEPARATOR

RATE = 16000


@pytest.fixture
def mixtures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("in/mix.wav", "in/b/mix.flac"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(name, rng.uniform(-0.3, 0.3, (1600, 2)), 44100)
    return Path("in")


@pytest.fixture
def model(separator_folder):
    return ["--model", separator_folder().folder, "--device", "cpu"]


def results(folder="out"):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_a_mixture_becomes_a_file_per_speaker(mixtures, model, call, capsys):
    assert call("separate", "in/mix.wav", "-o", "out/", *model) == 0
    assert results() == ["mix_speaker1.wav", "mix_speaker2.wav"]
    mixture, rate = soundfile.read("in/mix.wav")
    expected = Separator.from_pretrained(model[1], "cpu")(mixture.T, rate)
    for name, samples in zip(results(), expected, strict=True):
        found, found_rate = soundfile.read(f"out/{name}")
        assert found_rate == rate and found.shape == (1600,)
        np.testing.assert_allclose(found, samples, atol=2**-15)
    assert capsys.readouterr().out.startswith("1 separated, 0 skipped, 0 failed")


def test_folders_keep_their_tree_and_what_is_there_is_skipped(
    mixtures, model, call, capsys
):
    tree = ["b/mix_speaker1.flac", "b/mix_speaker2.flac"]
    tree += ["mix_speaker1.wav", "mix_speaker2.wav"]
    for done in (("--quiet",), ("--json", "--quiet")):
        assert call("separate", "in", "-o", "out", *model, *done) == 0
        assert results() == tree
    totals = json.loads(capsys.readouterr().out)
    assert (totals["num_separated"], totals["num_skipped"]) == (0, 2)
    # The last file to be written is what says that a mixture is done.
    Path("out/mix_speaker1.wav").unlink()
    assert call("separate", "in", "-o", "out", *model, "--force", "--json") == 0
    totals = json.loads(capsys.readouterr().out)
    assert totals["num_separated"] == 2 and results() == tree
    assert totals["files"][0]["target"] == "out/b/mix_speaker1.flac"


def test_a_bad_file_is_one_line_and_others_go_on(mixtures, model, call, capsys):
    (mixtures / "bad.wav").write_text("no audio")
    assert call("separate", "in", "-o", "out", *model) == 1
    error = capsys.readouterr().err
    assert error.count("in/bad.wav") == 1
    assert "bad.wav" in Path("out/failed.txt").read_text()
    assert len(results()) == 5


def test_a_result_is_replaced_only_by_force(mixtures, model, call, one_line):
    Path("mix_speaker1.wav").write_text("precious")
    assert call("separate", "in/mix.wav", "-o", ".", *model) == 1
    assert "--force" in one_line()
    assert Path("mix_speaker1.wav").read_text() == "precious"
    assert call("separate", "in/mix.wav", "-o", ".", *model, "--force") == 0
    assert soundfile.info("mix_speaker1.wav").frames == 1600


def test_each_command_refuses_the_other_kind_of_model_in_one_line(
    mixtures, model, model_folder, call, one_line
):
    assert call("enhance", "in/mix.wav", "-o", "out.wav", *model) == 1
    line = one_line()
    assert "TFMoE separates" in line and "sesame separate" in line
    assert call("separate", "in/mix.wav", "-o", "out", "--model", model_folder) == 1
    line = one_line()
    assert "SESAME enhances" in line and "sesame enhance" in line
    assert not Path("out").exists() and not Path("out.wav").exists()


def test_info_tells_what_a_separator_is(model, call, capsys):
    assert call("info", model[1], "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["system"] == "TFMoE" and facts["speakers"] == 2
    assert facts["mixture-of-experts layers"] == 4
    assert facts["hop [ms]"] == 1


def test_without_an_input_there_is_nothing_to_do(model, call, one_line):
    assert call("separate", "-o", "out", *model) == 2
    assert "nothing to do" in one_line()


def test_without_a_model_it_is_the_one_that_comes_with_the_library(
    mixtures, model, call, monkeypatch, one_line
):
    monkeypatch.setattr(separate, "DEFAULT_SEPARATOR", Path(model[1]))
    assert call("separate", "in/mix.wav", "-o", "out", "--quiet") == 0
    assert results() == ["mix_speaker1.wav", "mix_speaker2.wav"]
    monkeypatch.setattr(separate, "DEFAULT_SEPARATOR", Path("absent"))
    assert call("separate", "in/mix.wav", "-o", "out") == 1
    assert "absent" in one_line()


def test_the_model_that_comes_with_the_library_separates():
    separator = Separator.from_pretrained(DEFAULT_SEPARATOR, "cpu")
    assert (separator.num_sources, separator.sample_rate) == (2, 16000)
