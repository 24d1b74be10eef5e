"""``sesame export``: what it writes, prints and fails on."""

import json

import pytest

from sesame.inference.cli import export, main
from sesame.inference.onnx_export import Parity
from sesame.inference.onnx_network import load_onnx

pytest.importorskip("onnx", reason="pip install '.[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")


@pytest.fixture
def command(model_folder, tmp_path):
    path = tmp_path / "out" / "m.onnx"
    return ["export", "--model", str(model_folder), "--onnx", str(path)], path


@pytest.fixture
def short(monkeypatch):
    """Keeps the speech of the check short."""
    module = "sesame.inference.onnx_export"
    monkeypatch.setattr(f"{module}.check_onnx.__defaults__", (None, (0.1, 0.2, 0.3)))


def fake_checks(monkeypatch, *phases):
    checks = [Parity(100 * (i + 1), 1e-7, p, 1e-7) for i, p in enumerate(phases)]
    monkeypatch.setattr("sesame.inference.onnx_export.check_onnx", lambda *_: checks)


def test_a_file_is_written_and_named(command, capsys):
    arguments, path = command
    assert main(arguments) == 0
    assert str(path) in capsys.readouterr().out
    load_onnx(path)


def test_the_check_prints_the_errors_at_three_lengths(command, short, capsys):
    arguments, _ = command
    main([*arguments, "--check"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines[1:]] == ["101", "201", "301"]
    assert all("largest error of magnitude" in line for line in lines[1:])


def test_the_check_fails_above_the_tolerance_and_says_where(
    command, monkeypatch, capsys
):
    fake_checks(monkeypatch, 1e-6, 2e-4, float("nan"))
    assert main([*command[0], "--check"]) == 1
    failures = capsys.readouterr().err.splitlines()
    assert len(failures) == 2
    assert "200 frames" in failures[0] and "300 frames" in failures[1]
    assert all("by more than 0.0001" in failure for failure in failures)


def test_json_is_one_object_and_nothing_else(command, monkeypatch, capsys):
    fake_checks(monkeypatch, 1e-6, 2e-6, 3e-6)
    arguments, path = command
    assert main([*arguments, "--check", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["onnx"] == str(path)
    assert summary["bytes"] == path.stat().st_size
    assert summary["passed"] is True
    assert [check["num_frames"] for check in summary["checks"]] == [100, 200, 300]


def test_an_existing_file_stays_without_force(command, capsys):
    arguments, path = command
    path.parent.mkdir()
    path.write_text("precious")
    assert main(arguments) == 1
    assert path.read_text() == "precious"
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    load_onnx(path)


def test_a_missing_model_is_one_line(tmp_path, capsys):
    path = tmp_path / "m.onnx"
    assert main(["export", "--model", str(tmp_path / "no"), "--onnx", str(path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not path.exists()


@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_check_listens_to_speech_at_the_rate_of_the_network(
    command, monkeypatch, rate
):
    arguments, path = command
    assert main(arguments) == 0
    monkeypatch.setattr(
        "sesame.inference.onnx_network.load_onnx", lambda _: (None, None, rate)
    )
    speech = export._noisy_speech(path)
    assert speech is not None
    assert speech.ndim == 1 and 7 * rate < len(speech) < 60 * rate
