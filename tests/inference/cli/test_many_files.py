import argparse
import io
import sys

import pytest
import torch

from sesame.inference.cli import many_files
from sesame.inference.file_enhancement import FileReport


def test_the_bar_moves_within_a_file(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with many_files._Progress(2, quiet=False, rank=0) as progress:
        places = []
        for fraction in (0.25, 1.0):
            progress.advance(fraction)
            places.append(progress.bar.n)
    assert places == [0.25, 1.0]


def test_each_process_takes_its_own_device(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "5")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert many_files._own_device("auto") == "cuda:1"
    assert many_files._own_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert many_files._own_device("auto") == "auto"


@pytest.fixture
def options():
    """Reads the options of a command that works on files."""

    def read(*words):
        parser = argparse.ArgumentParser()
        many_files.add_input_options(parser, "folder of the results")
        many_files.add_output_options(parser)
        arguments = parser.parse_args([str(word) for word in words])
        arguments.model, arguments.device = "model", "cpu"
        return arguments

    return read


def test_what_is_done_names_the_counts(tmp_path, options, capsys):
    (tmp_path / "a.wav").touch()

    def copy(source, target):
        target.parent.mkdir(exist_ok=True)
        target.touch()
        return FileReport(source, target, 2.0, 16000, 1, 0, 0, ())

    def load(arguments, advance):
        return copy

    arguments = options(tmp_path / "a.wav", "-o", tmp_path / "out")
    assert many_files.run_files(arguments, load, "copied", label="_copy") == 0
    assert (tmp_path / "out" / "a_copy.wav").is_file()
    out, error = capsys.readouterr()
    assert out.startswith("1 copied, 0 skipped, 0 failed; 2.0 s of audio")
    assert "a.wav -> " in error


def test_without_work_no_model_is_loaded(tmp_path, options):
    for name in ("in/a.wav", "out/a.wav"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    arguments = options(tmp_path / "in", "-o", tmp_path / "out")
    assert many_files.run_files(arguments, None, "copied") == 0
