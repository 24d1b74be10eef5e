import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from sesame.inference import live
from sesame.inference.flow_enhancer import FlowEnhancer
from sesame.inference.streaming_enhancer import StreamingEnhancer


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = (("in.wav", 8000, 4001, 0), ("v.wav", 16000, 16000, 1))
    files += (("short.wav", 16000, 4000, 2),)
    for name, rate, length, seed in files:
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, length)
        soundfile.write(name, noise, rate, subtype="FLOAT")
    return tmp_path


@pytest.fixture
def model(flow_folder):
    return ["--model", flow_folder]


def test_the_result_is_in_step_and_the_times_are_told(
    noisy, model, flow_folder, call, capsys
):
    assert call("stream", "in.wav", "-o", "out.wav", "--block-ms", 5, *model) == 0
    x, _ = soundfile.read("in.wav")
    expected = FlowEnhancer.from_pretrained(flow_folder, "cpu")(x, 8000)
    np.testing.assert_allclose(soundfile.read("out.wav")[0], expected, atol=1e-5)
    told = capsys.readouterr().out
    assert "latency 20.0 ms, beside filling a block of 5 ms" in told
    assert "101 blocks: median" in told and "real-time factor" in told


def test_size_and_priors_are_used(noisy, model, flow_folder, call):
    options = [
        "--width",
        "1/2",
        "--depth",
        1,
        "--enroll",
        "v.wav",
        "--far-end",
        "v.wav",
    ]
    assert call("stream", "in.wav", "-o", "out.wav", *options, *model) == 0
    x, _ = soundfile.read("in.wav")
    enhancer = FlowEnhancer.from_pretrained(flow_folder, "cpu", 0.5, 1)
    with pytest.warns(UserWarning, match="far end"):
        expected = enhancer(x, 8000, enrollment="v.wav", far_end="v.wav")
    np.testing.assert_allclose(soundfile.read("out.wav")[0], expected, atol=1e-5)


def test_a_short_far_end_is_told(noisy, model, call, one_line):
    command = ["stream", "in.wav", "-o", "out.wav", "--far-end", "short.wav"]
    assert call(*command, *model) == 0
    assert "silence follows" in one_line()


def test_a_short_voice_is_told(noisy, model, call, one_line):
    command = ["stream", "in.wav", "-o", "out.wav", "--enroll", "short.wav"]
    assert call(*command, *model) == 0
    assert "short.wav lasts 0.250 s: a voice is hardly known" in one_line()


def test_ctrl_c_leaves_no_file(noisy, model, call, capsys, monkeypatch):
    before, push = sorted(noisy.rglob("*")), StreamingEnhancer.push

    def interrupted(self, block, far_end=None):
        if self._num_taken > 1000:
            # There is something to clean up.
            assert sorted(noisy.rglob("*")) != before
            raise KeyboardInterrupt
        return push(self, block, far_end)

    monkeypatch.setattr(StreamingEnhancer, "push", interrupted)
    assert call("stream", "in.wav", "-o", "out.wav", *model) == 130
    assert sorted(noisy.rglob("*")) == before
    assert capsys.readouterr().out == ""


def test_json_is_all_there_is_on_the_standard_output(noisy, model, call, capsys):
    assert call("stream", "in.wav", "-o", "out.wav", "--json", *model) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["num_blocks"] == 26 and facts["latency_ms"] == 20
    assert 0 < facts["median_ms"] <= facts["percentile_95_ms"] <= facts["worst_ms"]
    soundfile.write("none.wav", np.zeros(0), 8000)
    assert call("stream", "none.wav", "-o", "out2.wav", "--json", *model) == 0
    assert json.loads(capsys.readouterr().out)["median_ms"] is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["in.wav"], "INPUT and -o OUT, or --live"),
        (["in.wav", "-o", "out.wav", "--live"], "INPUT and -o OUT, or --live"),
        (["--live", "--far-end", "v.wav"], "not to --live"),
        (["in.wav", "-o", "out.wav", "--rate", "8000"], "belong to --live"),
        (["in.wav", "-o", "out.wav", "--seconds", "1"], "belong to --live"),
        (["in.wav", "-o", "v.wav"], "v.wav exists; --force replaces it"),
        (["in.wav", "-o", "out.wav", "--threads", "0"], r"--threads (0) must be"),
        (["in.wav", "-o", "out.wav", "--block-ms", "0"], "length of a block (0.0 ms)"),
        (["in.wav", "-o", "out.wav", "--depth", "9"], "depth (9) must be in"),
        (["in.wav", "-o", "out.wav", "--enroll", "no.wav"], "cannot read no.wav"),
        (["no.wav", "-o", "out.wav"], "cannot read no.wav"),
        (["in.wav", "-o", "out.xyz"], "suffix of out.xyz"),
    ],
)
def test_a_failure_is_one_line_and_leaves_no_file(
    noisy, model, call, one_line, arguments, reason
):
    before = sorted(noisy.rglob("*"))
    assert call("stream", *arguments, *model) == 1
    assert reason in one_line()
    assert sorted(noisy.rglob("*")) == before


def test_threads_are_set_for_the_time_of_the_command_only(
    noisy, model, call, monkeypatch
):
    before, seen = torch.get_num_threads(), []
    set_threads = torch.set_num_threads
    monkeypatch.setattr(
        torch, "set_num_threads", lambda n: (seen.append(n), set_threads(n))
    )
    call("stream", "in.wav", "-o", "out.wav", "--threads", 2, *model)
    assert seen == [2, before] and torch.get_num_threads() == before


def test_live_without_the_package_is_one_line(model, call, one_line, monkeypatch):
    def import_module(name):
        raise ImportError(name)

    monkeypatch.setattr(live, "import_module", import_module)
    assert call("stream", "--live", *model) == 1
    assert "sounddevice is missing: pip install '.[live]'" in one_line()


def test_live_runs_at_the_rate_that_is_asked_for(
    noisy, model, call, capsys, monkeypatch
):
    seen = {}

    def run_live(enhancer, block_ms, seconds):
        seen.update(rate=enhancer.sample_rate, block_ms=block_ms, seconds=seconds)
        return [0.001, 0.003]

    monkeypatch.setattr(live, "import_sounddevice", SimpleNamespace)
    monkeypatch.setattr(live, "run_live", run_live)
    options = ["--rate", 24000, "--block-ms", 10, "--seconds", 1, "--enroll"]
    assert call("stream", "--live", *options, "short.wav", *model) == 0
    assert seen == {"rate": 24000, "block_ms": 10, "seconds": 1}
    told = capsys.readouterr()
    assert "2 blocks: median 2.00 ms" in told.out
    assert "short.wav lasts 0.250 s" in told.err and "listening" in told.err
    assert call("stream", "--live", *model) == 0
    assert seen == {"rate": 16000, "block_ms": 20, "seconds": None}


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (["--rate", 0], "sample_rate (0) must be a whole number"),
        (["--block-ms", 0], "length of a block (0.0 ms)"),
    ],
)
def test_live_at_no_rate_is_one_line(
    noisy, model, call, one_line, monkeypatch, option, reason
):
    monkeypatch.setattr(live, "import_sounddevice", SimpleNamespace)
    assert call("stream", "--live", "--enroll", "v.wav", *option, *model) == 1
    assert reason in one_line()
