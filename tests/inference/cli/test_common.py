import argparse
import io
import sys

import pytest

from sesame.inference import enhancer
from sesame.inference.cli import common


def options(*arguments):
    parser = argparse.ArgumentParser()
    common.add_model_options(parser)
    return parser.parse_args(arguments)


def test_results_and_notes_go_to_streams_of_their_own(capsys):
    common.say("one\ntwo")
    common.note("three\n  four")
    assert capsys.readouterr() == ("one\ntwo\n", "sesame: three four\n")


@pytest.mark.parametrize("write", [common.say, common.note])
def test_names_that_the_stream_cannot_write_are_told_all_the_same(monkeypatch, write):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    write("d\u00e9j\u00e0 \udcff.wav")
    assert b"d\\xe9j\\xe0 \\udcff.wav\n" in stream.buffer.getvalue()


def test_a_model_is_loaded_with_the_options(monkeypatch):
    calls = []
    monkeypatch.setattr(
        enhancer.Enhancer, "from_pretrained", lambda *arguments: calls.append(arguments)
    )
    common.load_model(options("--model", "m", "--device", "d", "--backend", "torch"))
    common.load_model(options("--model", "hf://a/b", "--backend", "onnxruntime"))
    assert calls == [("m", "d", "torch"), ("hf://a/b", "auto", "onnxruntime")]


def test_backends_are_those_of_the_enhancer():
    assert common.BACKENDS == enhancer.BACKENDS


def test_the_default_model_is_used_where_there_is_one(monkeypatch, model_folder):
    monkeypatch.setattr(common, "DEFAULT_MODEL", model_folder)
    assert common.load_model(options()).sample_rate == 16000


def test_the_library_comes_with_its_default_model():
    assert (common.DEFAULT_MODEL / "model.safetensors").is_file()


def test_without_any_model_the_message_says_how_to_give_one(monkeypatch, tmp_path):
    monkeypatch.setattr(common, "DEFAULT_MODEL", tmp_path / "absent")
    with pytest.raises(ValueError, match="--model FOLDER"):
        common.load_model(options())


def test_only_force_replaces_a_file_and_nothing_a_folder(tmp_path):
    path = tmp_path / "a.png"
    common.refuse_to_replace(path, overwrite=False)
    path.touch()
    common.refuse_to_replace(path, overwrite=True)
    with pytest.raises(ValueError, match="--force"):
        common.refuse_to_replace(path, overwrite=False)
    with pytest.raises(ValueError, match="is a folder"):
        common.refuse_to_replace(tmp_path, overwrite=True)
