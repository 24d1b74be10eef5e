"""``sesame export``: what it writes, prints and fails on."""

import json

import pytest

from sesame.inference import load_seflow_folder
from sesame.inference.cli import export, main
from sesame.inference.onnx_export import Parity
from sesame.inference.onnx_network import load_onnx
from sesame.inference.onnx_stream import OnnxStream
from sesame.inference.onnx_stream_check import StreamParity
from sesame.inference.size_report import report_size

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


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_check_listens_to_speech_at_the_rate_of_the_network(rate):
    speech = export._noisy_speech(rate)
    assert speech is not None
    assert speech.ndim == 1 and 7 * rate < len(speech) < 60 * rate


def test_a_sub_network_becomes_a_model_folder(flow_folder, tmp_path, capsys):
    target = tmp_path / "small"
    size = ["--width", "0.5", "--depth", "2"]
    assert main(["export", str(flow_folder), str(target), *size, "--check"]) == 0
    network = load_seflow_folder(target)
    assert (network.width, network.depth) == (8, 2)
    count = sum(parameter.numel() for parameter in network.parameters())
    heading, *checks = capsys.readouterr().out.splitlines()
    assert heading == f"{target}: width 0.5, depth 2, {count} parameters"
    assert checks == [
        f"{rate} Hz: largest difference 0.0e+00" for rate in (8000, 16000, 48000)
    ]


def test_a_sub_network_as_json(flow_folder, tmp_path, capsys):
    command = ["export", str(flow_folder), str(tmp_path / "small"), "--depth", "1"]
    assert main([*command, "--json", "--check"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["width"], summary["depth"], summary["passed"]) == (1.0, 1, True)
    assert main(command) == 1
    assert "holds a model already" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def test_the_check_of_a_sub_network_fails_at_any_difference(
    flow_folder, tmp_path, monkeypatch, capsys
):
    errors = {8000: 0.0, 16000: 1e-9, 48000: float("nan")}
    module = "sesame.inference.flow_export"
    monkeypatch.setattr(f"{module}.check_subnet", lambda *_: errors)
    command = ["export", str(flow_folder), str(tmp_path / "small"), "--check"]
    assert main(command) == 1
    failures = capsys.readouterr().err.splitlines()
    assert len(failures) == 2
    assert "16000 Hz" in failures[0] and "48000 Hz" in failures[1]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["model"],
        ["model", "out", "--onnx", "m.onnx"],
        ["model", "out", "--model", "other"],
        ["--model", "model", "--depth", "1"],
        ["--rate", "16000"],
        ["model", "out", "--rate", "16000"],
        ["model", "out", "--with-voice"],
        ["model", "out", "--with-far-end"],
    ],
)
def test_arguments_that_do_not_say_what_to_write_are_refused(arguments, capsys):
    assert main(["export", *arguments]) == 2
    assert "either --onnx FILE, with --model, or MODEL and OUT" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("size", "reason"),
    [(["--width", "0.3"], "width (0.3) must be"), (["--depth", "9"], "depth (9) must")],
)
def test_a_sub_network_that_there_is_not_is_one_line(
    flow_folder, tmp_path, capsys, size, reason
):
    assert main(["export", str(flow_folder), str(tmp_path / "small"), *size]) == 1
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "small").exists()


# ------------------------------------------------------------------- step of a stream


@pytest.fixture
def step(flow_folder, tmp_path):
    path = tmp_path / "out" / "step.onnx"
    return ["export", "--model", str(flow_folder), "--onnx", str(path)], path


def test_of_a_seflow_the_step_of_a_stream_is_written(step, flow_network, capsys):
    arguments, path = step
    size = ["--width", "1/2", "--depth", "2", "--rate", "8000"]
    assert main([*arguments, *size, "--with-voice", "--with-far-end", "--check"]) == 0
    settings = OnnxStream(path).settings
    assert settings == {
        "sample_rate": 8000,
        "channels": flow_network.width // 2,
        "depth": 2,
        "num_slots": flow_network.num_tokens,
        "far_end": True,
    }
    heading, *checks = capsys.readouterr().out.splitlines()
    report = report_size(flow_network, 8000, 0.5, 2, enrolled=True)
    assert heading == f"{path}: {path.stat().st_size / 1e6:.1f} MB; {report}"
    assert [line.split(": ")[0] for line in checks] == [
        "150 hops",
        "150 hops with a voice",
    ]


def test_a_step_is_of_the_whole_network_at_16_khz_unless_told(step, flow_network):
    arguments, path = step
    assert main(arguments) == 0
    settings = OnnxStream(path).settings
    assert (settings["sample_rate"], settings["far_end"]) == (16000, False)
    assert (settings["channels"], settings["depth"]) == (
        flow_network.width,
        flow_network.depth,
    )
    assert settings["num_slots"] == 0


def test_a_step_as_json(step, flow_network, capsys):
    arguments, path = step
    size = ["--width", "0.25", "--depth", "1", "--rate", "8000"]
    assert main([*arguments, *size, "--with-far-end", "--check", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    (check,) = summary.pop("checks")
    assert (check["voice"], check["num_hops"]) == (False, 150)
    assert 0 <= check["difference"] < 1e-5
    assert summary == {
        "onnx": str(path),
        "bytes": path.stat().st_size,
        **report_size(flow_network, 8000, 0.25, 1)._asdict(),
        "far_end": True,
        "voice": False,
        "tolerance": 1e-4,
        "passed": True,
    }


def test_the_check_of_a_step_fails_above_the_tolerance(step, monkeypatch, capsys):
    errors = [StreamParity(False, 150, 2e-4), StreamParity(True, 150, float("nan"))]
    module = "sesame.inference.onnx_stream_check"
    monkeypatch.setattr(f"{module}.check_stream_onnx", lambda *_: errors)
    assert main([*step[0], "--depth", "1", "--check"]) == 1
    failures = capsys.readouterr().err.splitlines()
    assert len(failures) == 2
    assert "150 hops: " in failures[0] and "with a voice: " in failures[1]
    assert all("by more than 0.0001" in failure for failure in failures)


def test_an_existing_step_stays_without_force(step, one_line):
    arguments, path = step
    path.parent.mkdir()
    path.write_text("precious")
    assert main([*arguments, "--depth", "1"]) == 1
    assert "--force replaces it" in one_line()
    assert path.read_text() == "precious"
    assert main([*arguments, "--depth", "1", "--force"]) == 0
    OnnxStream(path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--width", "0.3"], "width (0.3) must be a multiple of 1/4"),
        (["--depth", "9"], "depth (9) must be in [1, 3]"),
        (["--rate", "44150"], "sample_rate (44150) must be a multiple of 100"),
        (["--rate", "0"], "sample_rate (0) must be a whole number of Hz in"),
    ],
)
def test_a_step_that_there_is_not_is_one_line(step, one_line, options, reason):
    arguments, path = step
    assert main([*arguments, *options]) == 1
    assert reason in one_line()
    assert not path.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--width", "0.5"],
        ["--depth", "1"],
        ["--rate", "8000"],
        ["--with-voice"],
        ["--with-far-end"],
    ],
    ids=lambda options: options[0],
)
def test_other_models_have_no_step(command, model_folder, one_line, options):
    arguments, path = command
    assert main([*arguments, *options]) == 1
    assert f"{options[0]}: only SEFlow has that, not {model_folder}" in one_line()
    assert not path.exists()
