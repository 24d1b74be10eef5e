import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import sesame
from sesame.inference import Enhancer, long_audio
from sesame.inference.cli import common, many_files

ROOT = Path(sesame.__file__).parents[1]
RATE = 16000


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Three noisy files in a tree below the working directory."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("calls/a.wav", "calls/d\u00e9j\u00e0 vu/-b.flac", "calls/c/a.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(name, rng.uniform(-0.3, 0.3, 1600), RATE)
    return tmp_path / "calls"


@pytest.fixture
def model(model_folder):
    return ["--model", model_folder, "--device", "cpu"]


@pytest.fixture
def start(model_folder):
    """Starts the command as a process of its own."""

    def run(*arguments, **environment):
        command = [sys.executable, "-m", "sesame.inference.cli", "enhance", *arguments]
        return subprocess.Popen(
            [*command, "--model", str(model_folder), "--device", "cpu"],
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def results(folder="out"):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in files)


TREE = ["a.wav", "c/a.wav", "d\u00e9j\u00e0 vu/-b.flac"]


def test_enhancing_keeps_rate_channels_length_and_sample_format(
    noisy_file, model_folder, model, tmp_path, call
):
    out = tmp_path / "new" / "out.wav"
    assert call("enhance", noisy_file, "-o", out, *model) == 0
    for key in ("samplerate", "channels", "frames", "subtype", "format"):
        before, after = soundfile.info(noisy_file), soundfile.info(out)
        assert getattr(before, key) == getattr(after, key)
    noisy, rate = soundfile.read(noisy_file)
    expected = Enhancer.from_pretrained(model_folder)(noisy.T, rate).T
    np.testing.assert_allclose(soundfile.read(out)[0], expected, atol=2**-22)


def test_every_system_enhances_a_file(noisy_file, system, tmp_path, call):
    out = tmp_path / "out.wav"
    command = ["enhance", noisy_file, "-o", out, "--model", system.folder]
    assert call(*command, "--device", "cpu") == 0
    noisy, rate = soundfile.read(noisy_file)
    expected = Enhancer.from_pretrained(system.folder, "cpu")(noisy.T, rate).T
    np.testing.assert_allclose(soundfile.read(out)[0], expected, atol=2**-22)


def test_another_file_format_is_written_in_its_own_sample_format(
    noisy_file, model, tmp_path, call
):
    out = tmp_path / "out.ogg"
    assert call("enhance", noisy_file, "-o", out, *model) == 0
    assert soundfile.info(out).subtype == "VORBIS"


def test_an_existing_file_is_replaced_only_by_force(
    noisy_file, model, tmp_path, call, one_line
):
    out = tmp_path / "out.wav"
    out.write_text("precious")
    command = ["enhance", noisy_file, "-o", out, *model]
    assert call(*command) == 1
    assert "--force" in one_line()
    assert out.read_text() == "precious"
    assert call(*command, "--force") == 0
    assert soundfile.info(out).frames == 4001


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["absent.wav", "-o", "out.wav"], "absent.wav: there is no such file"),
        (["noisy.wav", "-o", "out.doc"], "suffix of out.doc"),
        (["noisy.wav", "-o", "noisy.wav"], "noisy.wav is a noisy file"),
        (["noisy.wav", "-o", "."], "noisy.wav is a noisy file"),
        (["noisy.wav", "--force", "-o", "./noisy.wav"], "noisy.wav is a noisy file"),
        (["noisy.wav", "-o", "model/config.json/x.wav"], "config.json"),
    ],
)
def test_a_failure_is_one_line_and_leaves_no_file(
    noisy_file, model, tmp_path, monkeypatch, call, one_line, arguments, reason
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert call("enhance", *arguments, *model) == 1
    assert reason in one_line()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_default_model_enhances_to_a_neighbour(
    noisy_file, model_folder, tmp_path, monkeypatch, call
):
    monkeypatch.setattr(common, "DEFAULT_MODEL", model_folder)
    assert call("enhance", noisy_file) == 0
    assert soundfile.info(tmp_path / "noisy_enhanced.wav").frames == 4001


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["calls"],
        ["nothing/*.wav", "-o", "out"],
        ["calls", "-o", "out", "--dry", "0.1", "--max-attenuation", "6"],
        ["calls", "-o", "out", "--dry", "nan"],
        ["calls", "-o", "out", "--max-attenuation", "-1"],
        ["calls", "-o", "out", "--chunks", "0"],
        ["calls", "-o", "out", "--backend", "tea"],
    ],
)
def test_wrong_arguments_are_2_and_touch_nothing(calls, call, arguments):
    before = sorted(calls.parent.rglob("*"))
    try:
        code = call("enhance", *arguments)
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert sorted(calls.parent.rglob("*")) == before


@pytest.mark.parametrize("strength", [["--dry", "1"], ["--max-attenuation", "0"]])
def test_full_share_of_the_noisy_signal_gives_it_back(calls, model, call, strength):
    assert call("enhance", calls / "a.wav", "-o", "out.wav", *strength, *model) == 0
    noisy, _ = soundfile.read(calls / "a.wav")
    np.testing.assert_allclose(soundfile.read("out.wav")[0], noisy, atol=2**-14)


@pytest.mark.parametrize(
    "inputs", [["calls"], ["calls/**/*.*"], ["@list.txt"], ["--list", "list.txt"]]
)
def test_many_files_keep_their_tree(calls, model, call, inputs):
    lines = "\n".join(f"calls/{name}" for name in TREE)
    Path("list.txt").write_text(f"{lines}\n", encoding="utf-8")
    assert call("enhance", *inputs, "-o", "out", *model) == 0
    inside = "out/calls" if "list.txt" in inputs[-1] else "out"
    assert results(inside) == TREE


def test_chunks_are_enhanced_one_by_one(calls, model_folder, model, call, capsys):
    command = ["enhance", calls / "a.wav", "-o", "out.wav", "--json", *model]
    assert call(*command, "--chunks", "0.06") == 0
    assert json.loads(capsys.readouterr().out)["chunk_seconds"] == 0.06
    noisy, _ = soundfile.read("calls/a.wav")
    enhancer = Enhancer.from_pretrained(model_folder, "cpu")
    pieces = [enhancer(noisy[part], RATE) for part in (slice(960), slice(960, None))]
    enhanced = soundfile.read("out.wav")[0]
    np.testing.assert_allclose(enhanced, np.concatenate(pieces), atol=2**-14)
    assert call(*command, "--force") == 0
    assert json.loads(capsys.readouterr().out)["chunk_seconds"] is None
    assert np.abs(soundfile.read("out.wav")[0] - enhanced).max() > 2**-10


def test_names_that_begin_with_a_hyphen_come_after_two(calls, model, call, monkeypatch):
    monkeypatch.chdir(calls / "d\u00e9j\u00e0 vu")
    assert call("enhance", "-o", "out", *model, "--", "-b.flac") == 0
    assert results() == ["-b.flac"]


def test_a_name_that_is_not_text_does_not_stop_the_others(calls, model, call, capsys):
    (calls / "c/a.wav").rename(calls / os.fsdecode(b"\xff.wav"))
    # Not every version of soundfile takes such a name.
    assert call("enhance", calls, "-o", "out", "--json", *model) in (0, 1)
    totals = json.loads(capsys.readouterr().out)
    assert len(totals["files"]) == 3 and totals["num_enhanced"] >= 2
    assert {TREE[0], TREE[2]} <= set(results())


def test_finished_files_are_skipped_without_a_model(calls, model, call, capsys):
    assert call("enhance", calls, "-o", "out", *model) == 0
    Path("out/a.wav").unlink()
    stamp = Path("out/c/a.wav").stat().st_mtime_ns
    capsys.readouterr()
    assert call("enhance", calls, "-o", "out", *model) == 0
    assert "1 enhanced, 2 skipped, 0 failed" in capsys.readouterr().out
    assert call("enhance", calls, "-o", "out", "--model", "no/such/model") == 0
    assert Path("out/c/a.wav").stat().st_mtime_ns == stamp
    assert call("enhance", calls, "-o", "out", *model, "--force") == 0
    assert Path("out/c/a.wav").stat().st_mtime_ns != stamp


def test_results_inside_the_inputs_are_not_enhanced_again(calls, model, call, capsys):
    for expected in ("3 enhanced, 0 skipped", "0 enhanced, 3 skipped"):
        assert call("enhance", calls, "-o", calls / "clean", *model) == 0
        assert expected in capsys.readouterr().out
    assert results(calls / "clean") == TREE


def test_one_bad_file_is_told_and_listed_until_it_is_mended(calls, model, call, capsys):
    (calls / "bad.wav").write_text("no audio")
    assert call("enhance", calls, "-o", "out", *model, "--quiet") == 1
    out, error = capsys.readouterr()
    assert out == "" and error.count("\n") == 1 and "calls/bad.wav" in error
    assert results() == [*TREE, "failed.txt"]
    assert error == f"sesame: {Path('out/failed.txt').read_text()}"
    (calls / "bad.wav").unlink()
    assert call("enhance", calls, "-o", "out", *model) == 0
    assert results() == TREE


def test_two_results_of_one_name_are_refused_before_anything_runs(
    calls, model, call, one_line
):
    inputs = [calls / "a.wav", calls / "c" / "a.wav"]
    assert call("enhance", *inputs, "-o", "out", *model) == 1
    line = one_line()
    assert str(inputs[0]) in line and str(inputs[1]) in line
    assert not Path("out").exists()


def test_json_is_all_there_is_on_the_standard_output(calls, model, call, capsys):
    (calls / "bad.wav").write_text("no audio")
    soundfile.write(calls / "loud.wav", np.array([0.1, np.nan] * 800), RATE, "FLOAT")
    command = ["enhance", calls, "-o", "out", "--json", "--repair-nonfinite", *model]
    assert call(*command) == 1
    totals = json.loads(capsys.readouterr().out)
    files = {Path(f["source"]).relative_to(calls): f for f in totals["files"]}
    assert [f["status"] for f in totals["files"]].count("enhanced") == 4
    assert "no audio" not in files[Path("bad.wav")]["error"]
    assert files[Path("loud.wav")]["num_repaired"] == totals["num_repaired"] == 800
    assert files[Path("a.wav")]["seconds"] == 0.1
    assert files[Path("a.wav")]["rtf"] > 0
    assert totals["audio_seconds"] == pytest.approx(0.4)
    assert totals["rtf"] == pytest.approx(
        totals["wall_seconds"] / totals["audio_seconds"]
    )
    assert totals["model"] == str(model[1])
    assert totals["version"] == sesame.__version__
    assert (totals["rank"], totals["world_size"]) == (0, 1)
    assert totals["interrupted"] is False


def test_a_line_per_file_is_told_where_nobody_watches(calls, model, call, capsys):
    assert call("enhance", calls, "-o", "out", *model) == 0
    out, error = capsys.readouterr()
    assert len(re.findall(r"^sesame: .* -> out/.*RTF \d", error, re.M)) == 3
    assert error.count("\n") == 3 and out.count("\n") == 1
    assert call("enhance", calls, "-o", "out", *model, "--force", "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_a_bar_moves_where_somebody_watches(calls, model, call, monkeypatch):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    (calls / "bad.wav").write_text("no audio")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert call("enhance", calls, "-o", "out", *model) == 1
    shown = sys.stderr.getvalue()
    assert "100%|" in shown and "RTF" in shown and " -> " not in shown
    assert shown.count("\nsesame: ") + shown.count("\rsesame: ") == 1


def test_the_bar_is_told_of_each_window_of_a_long_file(calls, model, call, monkeypatch):
    monkeypatch.setattr(long_audio, "WHOLE_SECONDS", 2.5)
    monkeypatch.setattr(long_audio, "WINDOW_SECONDS", 2.5)
    soundfile.write(calls / "long.wav", np.full(4 * RATE, 0.1), RATE)
    told = []
    monkeypatch.setattr(many_files._Progress, "advance", lambda _, x: told.append(x))
    assert call("enhance", calls / "long.wav", "-o", "out.wav", *model) == 0
    # The last call is the one after the file.
    assert told == [*sorted(told[:-1]), 0.0]
    assert 0 < told[0] < 1 and told[-2] == 1


def test_processes_share_the_files(calls, start):
    for number in range(4):
        soundfile.write(calls / f"{number}.wav", np.full(800, 0.1), RATE)
    (calls / "bad.wav").write_text("no audio")
    processes = [
        start("calls", "-o", "out", "--json", RANK=str(rank), WORLD_SIZE="2")
        for rank in range(2)
    ]
    answers = [process.communicate(timeout=100) for process in processes]
    shares = [json.loads(answer[0])["files"] for answer in answers]
    sources = [{file["source"] for file in share} for share in shares]
    assert not sources[0] & sources[1]
    assert len(sources[0]) == len(sources[1]) == 4
    bad = next(r for r in range(2) if "calls/bad.wav" in sources[r])
    assert [p.returncode for p in processes] == [int(r == bad) for r in range(2)]
    lists = [name for name in results() if name.startswith("failed")]
    assert lists == [f"failed.{bad}.txt"]
    assert len(results()) == 7 + 1


@pytest.mark.parametrize(
    ("rank", "world_size"), [("2", "2"), ("x", "2"), ("-1", "2"), ("0", "")]
)
def test_an_impossible_share_is_refused(
    calls, model, call, monkeypatch, one_line, rank, world_size
):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world_size)
    assert call("enhance", calls, "-o", "out", *model) == 1
    assert "RANK" in one_line()


def test_ctrl_c_keeps_whole_files_only_and_a_rerun_goes_on(calls, start, model, call):
    for number in range(60):
        soundfile.write(calls / f"{number:02}.wav", np.full(RATE // 2, 0.1), RATE)
    process = start("calls", "-o", "out", "--json")
    deadline = time.monotonic() + 60
    while not list(Path().glob("out/[!.]*.wav")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    totals = json.loads(out)
    assert totals["interrupted"] and 0 < totals["num_enhanced"] < 63
    assert len(results()) == totals["num_enhanced"]
    assert not [name for name in results() if Path(name).name.startswith(".")]
    for name in results():
        assert soundfile.info(f"out/{name}").frames > 0
    assert call("enhance", calls, "-o", "out", *model) == 0
    assert len(results()) == 63
