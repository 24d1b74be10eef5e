"""``sesame enhance`` with a SEFlow: sizes, voices, far ends, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference import FlowEnhancer
from sesame.inference.cli import enhance
from sesame.inference.flow_sizes import native_rate, size_within
from sesame.inference.size_report import report_size

RATE = 16000


def noise(length, seed=0):
    return 0.05 * np.random.default_rng(seed).standard_normal(length)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Recordings, a voice and a far end in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, length, seed, rate in (
        ("in/a.wav", 1600, 0, RATE),
        ("in/b.wav", 900, 1, 22050),
        ("voice.wav", 8000, 2, 8000),
        ("far.wav", 1600, 3, RATE),
        ("short.wav", 800, 4, RATE),
        ("empty.wav", 0, 0, RATE),
    ):
        soundfile.write(name, noise(length, seed), rate, "FLOAT")
    soundfile.write("silent.wav", np.zeros(1600), RATE)
    soundfile.write("nan.wav", np.array([0.1, np.nan]), RATE, "FLOAT")
    return tmp_path


@pytest.fixture
def model(flow_folder):
    return ["--model", flow_folder, "--device", "cpu"]


def written(path):
    return soundfile.read(path, always_2d=True)[0].T


def expected(network, source, priors=None, **size):
    samples, rate = soundfile.read(source, always_2d=True)
    return FlowEnhancer(network, "cpu", **size)(samples.T, rate, **(priors or {}))


@pytest.mark.parametrize(
    ("options", "priors", "size"),
    [
        ([], {}, {}),
        (["--width", "1/2", "--depth", "2"], {}, {"width": 0.5, "depth": 2}),
        (["--budget-gmacs", "0.01"], {}, {"budget_gmacs": 0.01}),
        (["--enroll", "voice.wav"], {"enrollment": "voice.wav"}, {}),
        (
            ["--far-end", "far.wav", "--enroll", "voice.wav"],
            {"far_end": "far.wav", "enrollment": "voice.wav"},
            {},
        ),
    ],
    ids=["plain", "size", "budget", "voice", "both"],
)
def test_a_file_gives_what_the_enhancer_gives(
    files, model, flow_network, call, options, priors, size
):
    assert call("enhance", "in/a.wav", "-o", "out.wav", *options, *model) == 0
    found = written("out.wav")
    np.testing.assert_allclose(
        found, expected(flow_network, "in/a.wav", priors, **size), atol=1e-6
    )
    if options:
        assert np.abs(found - expected(flow_network, "in/a.wav")).max() > 1e-4


def test_a_folder_of_any_rates_is_enhanced_with_one_voice(
    files, model, flow_network, call
):
    command = ["enhance", "in", "-o", "out", "--enroll", "voice.wav", "--dry", "0.5"]
    assert call(*command, *model) == 0
    for name in ("a.wav", "b.wav"):
        noisy = written(f"in/{name}")
        wet = expected(flow_network, f"in/{name}", {"enrollment": "voice.wav"})
        np.testing.assert_allclose(written(f"out/{name}"), (noisy + wet) / 2, atol=1e-6)


def test_what_is_to_be_said_of_the_voice_is_said_once(files, model, call, capsys):
    command = ["enhance", "in", "-o", "out", "--enroll", "short.wav", "--quiet"]
    assert call(*command, *model) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "short.wav lasts 0.050 s: a voice is hardly known" in line


def test_the_model_that_comes_with_the_library_is_the_one_that_is_told(
    files, flow_folder, call, capsys, monkeypatch
):
    monkeypatch.setattr(enhance, "DEFAULT_FLOW", flow_folder)
    command = ["enhance", "in/a.wav", "-o", "out.wav", "--device", "cpu", "--json"]
    assert call(*command, "--width", "1/2") == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(flow_folder)


def test_a_far_end_of_another_length_is_told(files, model, call, capsys):
    command = ["enhance", "in/a.wav", "-o", "out.wav", "--json", *model]
    assert call(*command, "--far-end", "short.wav") == 0
    said = capsys.readouterr()
    (warning,) = json.loads(said.out)["files"][0]["warnings"]
    assert "short.wav lasts 0.050 s, the signal 0.100 s: silence follows" in warning
    assert warning in said.err


def chosen(network, budget, rate, tokens=0):
    size = size_within(network, budget, native_rate(rate), tokens)
    share = float(size.width)
    return report_size(network, rate, share, size.depth, enrolled=bool(tokens))


@pytest.mark.parametrize("voice", [False, True])
def test_the_size_within_a_budget_is_told_once_for_each_rate(
    files, model, flow_network, call, capsys, voice
):
    soundfile.write("in/c.wav", noise(500), RATE, "FLOAT")
    priors = ["--enroll", "voice.wav"] if voice else []
    command = ["enhance", "in", "-o", "out", "--budget-gmacs", "0.02", *priors, *model]
    assert call(*command, "--json") == 0
    said = capsys.readouterr()
    tokens = flow_network.num_tokens if voice else 0
    reports = [chosen(flow_network, 0.02, rate, tokens) for rate in (RATE, 22050)]
    assert json.loads(said.out)["sizes"] == [report._asdict() for report in reports]
    lines = [line for line in said.err.splitlines() if "GMAC/s" in line]
    assert lines == [f"sesame: {report}, of at most 0.02" for report in reports]
    assert all(report.gmacs <= 0.02 for report in reports)


def test_only_a_budget_has_its_sizes_told(files, model, call, capsys):
    command = ["enhance", "in/a.wav", "-o", "out.wav", "--force", *model]
    assert call(*command, "--json") == 0
    said = capsys.readouterr()
    assert "sizes" not in json.loads(said.out) and "GMAC/s" not in said.err
    assert call(*command, "--quiet", "--budget-gmacs", "1") == 0
    assert capsys.readouterr() == ("", "")


def test_a_rate_that_the_budget_does_not_allow_is_not_among_the_sizes(
    files, model, flow_network, call, capsys
):
    least = flow_network.macs_per_second(RATE, 0.25, 1) / 1e9
    command = ["enhance", "in", "-o", "out", "--budget-gmacs", least * 1.0001, *model]
    assert call(*command, "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert [size["sample_rate"] for size in said["sizes"]] == [RATE]
    assert [file["status"] for file in said["files"]] == ["enhanced", "failed"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--width", "0.3"], "width (0.3) must be a multiple of 1/4 in (0, 1]"),
        (["--depth", "9"], "depth (9) must be in [1, 3]"),
        (["--budget-gmacs", "-1"], "budget_gmacs (-1.0) must be positive"),
        (["--budget-gmacs", "1", "--depth", "1"], "only one of budget_gmacs"),
        (["--budget-gmacs", "1e-6"], "what the smallest sub-network (width 1/4, depth"),
        (["--enroll", "absent.wav"], "absent.wav: there is no such file"),
        (["--enroll", "silent.wav"], "silent.wav (-inf dB) must hold a voice"),
        (["--enroll", "empty.wav"], "empty.wav has no sample"),
        (["--enroll", "nan.wav"], "nan.wav has 1 samples that are NaN"),
        (["--far-end", "absent.wav"], "absent.wav: there is no such file"),
        (["--far-end", "empty.wav"], "empty.wav has no sample"),
        (["--far-end", "nan.wav"], "nan.wav has 1 samples that are NaN"),
        (["--chunks", "1"], "--chunks is not for SEFlow"),
        (["--backend", "onnxruntime"], "--backend onnxruntime does not run SEFlow"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(
    files, model, call, one_line, options, reason
):
    before = sorted(files.rglob("*"))
    command = ["enhance", "in/a.wav", "-o", "out.wav", *model, *options]
    assert call(*command, "--quiet") == 1
    assert reason in one_line()
    assert sorted(files.rglob("*")) == before


@pytest.mark.parametrize(
    "inputs", [["in"], ["in/a.wav", "in/b.wav"], ["in/*.wav"], ["in/a.wav", "@l.txt"]]
)
def test_a_far_end_belongs_to_one_recording(files, model, call, one_line, inputs):
    Path("l.txt").write_text("in/b.wav\n")
    assert call("enhance", *inputs, "-o", "out", "--far-end", "far.wav", *model) == 1
    assert "--far-end (far.wav) belongs to one recording" in one_line()
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--width", "0.5"],
        ["--depth", "1"],
        ["--budget-gmacs", "1"],
        ["--enroll", "voice.wav"],
        ["--far-end", "far.wav"],
    ],
    ids=lambda options: options[0],
)
def test_other_models_have_none_of_it(files, model_folder, call, one_line, options):
    command = ["enhance", "in/a.wav", "-o", "out.wav", "--device", "cpu", *options]
    assert call(*command, "--model", model_folder) == 1
    line = one_line()
    assert f"{options[0]}: only SEFlow has that" in line and str(model_folder) in line
    assert not Path("out.wav").exists()


def test_nan_beside_the_recording_is_repaired_when_asked(files, model, call):
    command = ["enhance", "in/a.wav", "-o", "out.wav", "--repair-nonfinite", *model]
    assert call(*command, "--enroll", "nan.wav", "--far-end", "nan.wav") == 0
    assert np.isfinite(written("out.wav")).all()


def test_commands_for_spectra_say_what_runs_a_seflow(
    files, model, call, one_line, tmp_path
):
    for command in (
        ["separate", "in/a.wav", "-o", "out"],
        ["routing", "in/a.wav", "--figure", "out.png"],
    ):
        assert call(*command, *model) == 1
        assert "SEFlow enhances at any sampling rate" in one_line()
