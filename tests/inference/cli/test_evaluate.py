import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import sesame
from sesame.inference.cli import evaluate
from sesame.metrics import METRICS, VARIANTS

RATE = 16000
ROOT = Path(sesame.__file__).parents[1]
PROGRAM = """
import argparse, sys
from sesame.inference.cli import evaluate
parser = argparse.ArgumentParser()
evaluate.add_parser(parser.add_subparsers())
if __name__ == "__main__":
    arguments = parser.parse_args(sys.argv[1:])
    sys.exit(arguments.run(arguments))
"""


def call(*arguments):
    parser = argparse.ArgumentParser()
    evaluate.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["evaluate", *map(str, arguments)])
    return parsed.run(parsed)


def write_folders(root, names, seconds=1):
    """Clean, enhanced and noisy folders of files with these names."""
    rng = np.random.default_rng(0)
    clean, noise = rng.uniform(-0.25, 0.25, (2, len(names), seconds * RATE))
    for kind, gain in ("clean", 0.0), ("enhanced", 0.05), ("noisy", 0.5):
        (root / kind).mkdir()
        for name, samples in zip(names, clean + gain * noise, strict=True):
            soundfile.write(root / kind / f"{name}.wav", samples, RATE)
    return root


@pytest.fixture
def folders(tmp_path):
    return write_folders(tmp_path, "ab")


def pair(folders):
    return "--clean", folders / "clean", "--enhanced", folders / "enhanced"


def test_a_table_is_printed_and_all_files_are_written(folders, capsys):
    outputs = ["--csv", folders / "s.csv", "--jsonl", folders / "s.jsonl"]
    outputs += ["--json", folders / "new" / "s.json", "--composite-variant", "cmgan"]
    assert call(*pair(folders), "--noisy", folders / "noisy", *outputs) == 0
    told = capsys.readouterr()
    assert "noisy" in told.out and "csig (cmgan)" in told.out
    assert told.out.count("2 / 2") == 2 * len(METRICS)
    assert told.err == ""
    scores = json.loads((folders / "new" / "s.json").read_text())
    assert scores["composite_variant"] == "cmgan"
    assert scores["si_sdr"]["n_scored"] == scores["si_sdr"]["n_total"] == 2
    assert scores["si_sdr"]["mean"] > scores["noisy"]["si_sdr"]["mean"] + 10
    assert scores["settings"]["metrics"] == list(METRICS)
    assert scores["settings"]["versions"]["sesame"] == sesame.__version__
    assert len((folders / "s.csv").read_text().splitlines()) == 3
    lines = [json.loads(line) for line in (folders / "s.jsonl").open()]
    assert [(line["system"], line["id"]) for line in lines] == [
        (system, name) for system in ("noisy", "enhanced") for name in "ab"
    ]


def test_json_on_stdout_is_the_only_thing_there(folders, capsys):
    metrics = "--metrics", "si_sdr,stoi"
    assert call(*pair(folders), *metrics, "--json", "-") == 0
    told = capsys.readouterr()
    assert list(json.loads(told.out))[:2] == ["si_sdr", "stoi"]
    assert told.err.startswith("| metric")
    assert call(*pair(folders), *metrics, "--json", folders / "s.json") == 0
    assert (folders / "s.json").read_text() == told.out


def test_a_file_without_any_score_is_one_line_and_exit_code_1(folders, capsys):
    (folders / "enhanced" / "b.wav").unlink()
    soundfile.write(folders / "enhanced" / "c.wav", np.zeros(100), RATE)
    assert call(*pair(folders), "--metrics", "si_sdr,stoi") == 1
    told = capsys.readouterr()
    assert told.out.count("1 / 2") == 2
    assert told.err.splitlines() == [
        "sesame: 1 enhanced files have no clean file: not scored",
        "sesame: enhanced: b has no score: there is no estimate",
    ]


def test_files_that_all_fail_alike_are_one_line(folders, capsys):
    for path in (folders / "enhanced").iterdir():
        soundfile.write(path, np.zeros(RATE), RATE)
    assert call(*pair(folders), "--metrics", "si_sdr") == 1
    told = capsys.readouterr()
    expected = "none of 2 files has a score: estimate is silent"
    assert told.err == f"sesame: enhanced: {expected}\n"
    assert "si_sdr: n/a (estimate is silent)" in told.out


def test_what_some_files_lack_is_told_once(folders, capsys):
    samples, _ = soundfile.read(folders / "enhanced" / "a.wav")
    soundfile.write(folders / "enhanced" / "a.wav", samples[:-50], RATE)
    assert call(*pair(folders), "--metrics", "si_sdr,ssnr") == 0
    assert capsys.readouterr().err == (
        "sesame: enhanced: length: 1 of 2 files, such as a: "
        "estimate 15950, target 16000 samples: both cut\n"
    )


def test_a_metric_that_cannot_run_is_na_with_the_fix_and_no_failure(folders, capsys):
    assert call(*pair(folders), "--metrics", "si_sdr,utmos,scoreq,nisqa") == 0
    told = capsys.readouterr()
    assert told.out.count("0 / 2") == 3
    for name in ("utmos", "scoreq", "nisqa"):
        (line,) = (x for x in told.out.splitlines() if x.startswith(f"{name}: n/a ("))
        assert f"--{name}-" in line
    assert told.err == ""


def test_weights_that_are_given_add_their_metric(folders, capsys):
    weights = folders / "nisqa.tar"
    weights.write_text("no weights")
    assert call(*pair(folders), "--nisqa-weights", weights) == 0
    told = capsys.readouterr()
    assert "nisqa: n/a (" in told.out and "pesq" in told.out
    assert told.err.count("CC BY-NC-SA 4.0") == 1


def test_without_a_reference_only_metrics_that_need_none_are_scored(
    folders, capsys, monkeypatch
):
    for name in ("speechmos", "distillmos"):
        monkeypatch.setitem(sys.modules, name, None)
    sys.modules["sesame.metrics.distillmos"]._network.cache_clear()
    assert call("--enhanced", folders / "enhanced") == 1
    out = capsys.readouterr().out
    assert "dnsmos_sig, dnsmos_bak, dnsmos_ovrl, dnsmos_p808: n/a (package" in out
    assert "distillmos: n/a (package distillmos is missing: pip install" in out
    assert "pesq" not in out


def test_a_metric_that_needs_a_reference_is_a_wrong_usage_without(folders, capsys):
    assert call("--enhanced", folders / "enhanced", "--metrics", "pesq,dnsmos") == 2
    error = capsys.readouterr().err
    assert error == (
        "sesame: pesq: a clean reference is missing: give one with --clean\n"
    )


@pytest.mark.parametrize("names", ["pesq,mos", ",", "PESQ"])
def test_an_unknown_metric_is_a_wrong_usage_that_lists_the_known_ones(names, capsys):
    with pytest.raises(SystemExit) as stop:
        call("--enhanced", "x", "--metrics", names)
    assert stop.value.code == 2
    assert "distillmos, utmos, nisqa, scoreq and dnsmos" in capsys.readouterr().err


def test_dnsmos_is_short_for_its_four_scores():
    parser = argparse.ArgumentParser()
    evaluate.add_parser(parser.add_subparsers())
    words = ["evaluate", "--enhanced", "x", "--metrics", "stoi, dnsmos,stoi"]
    names = parser.parse_args(words).metrics
    assert names[0] == "stoi" and len(names) == 5
    assert all(name.startswith("dnsmos_") for name in names[1:])


def test_single_files_can_be_aligned(folders, capsys):
    clean, enhanced = (folders / k / "a.wav" for k in ("clean", "enhanced"))
    samples, _ = soundfile.read(enhanced)
    soundfile.write(folders / "late.wav", np.r_[np.zeros(37), samples], RATE)
    command = "--clean", clean, "--metrics", "si_sdr"
    assert call(*command, "--enhanced", enhanced) == 0
    table = capsys.readouterr().out
    assert call(*command, "--enhanced", folders / "late.wav", "--align") == 0
    told = capsys.readouterr()
    assert told.out == table
    assert (
        "align: 1 of 1 files, such as late: estimate 16037 samples, 37 late" in told.err
    )


def test_existing_files_are_replaced_only_by_force(folders):
    for option in ("--csv", "--json"):
        path = folders / f"s{option}"
        path.write_text("precious")
        command = *pair(folders), "--metrics", "si_sdr", option, path
        with pytest.raises(ValueError, match="--force"):
            call(*command)
        assert path.read_text() == "precious"
        assert call(*command, "--force") == 0
        assert "si_sdr" in path.read_text()


def test_variants_are_those_of_the_metrics():
    assert set(evaluate.VARIANTS) == set(VARIANTS)


def started(folders, *options):
    words = *pair(folders), "--metrics", "pesq,estoi", *options
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "evaluate", *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def assert_all_ended(process):
    """Neither the process nor a worker of it goes on for ten seconds."""
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def wait_for_lines(path, process, count=2):
    for _ in range(6000):
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        assert process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.005)
    pytest.fail("no file was scored")


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path):
    names = [f"{i:02}" for i in range(24)]
    folders = write_folders(tmp_path, names, seconds=2)
    log, metrics = folders / "s.jsonl", ("--metrics", "pesq,estoi")
    outputs = "--jsonl", log, "--csv", folders / "killed.csv"
    process = started(folders, *outputs, "--workers", 1)
    wait_for_lines(log, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_all_ended(process)
    done = log.read_bytes().count(b"\n")
    assert 2 <= done < 24 and not (folders / "killed.csv").exists()
    assert call(*pair(folders), *metrics, "--csv", folders / "whole.csv") == 0
    resume = "--jsonl", log, "--csv", folders / "resumed.csv"
    assert call(*pair(folders), *metrics, *resume) == 0
    assert len(log.read_bytes().splitlines()) == 24
    whole, resumed = (folders / f"{k}.csv" for k in ("whole", "resumed"))
    assert resumed.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("workers", "lines"), [(0, 2), (2, 2), (2, 0)])
def test_ctrl_c_keeps_whole_lines_and_ends_all_processes(tmp_path, workers, lines):
    folders = write_folders(tmp_path, [f"{i:02}" for i in range(48)], seconds=2)
    log = folders / "s.jsonl"
    process = started(folders, "--jsonl", log, "--workers", workers)
    wait_for_lines(log, process, lines)
    # As a terminal does, to all processes; impatient people do it twice.
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    _, error = process.communicate(timeout=30)
    assert process.returncode != 0
    assert_all_ended(process)
    done = log.read_bytes().splitlines(keepends=True)
    assert lines <= len(done) < 48
    if lines:
        # Workers that are still being started when the second Ctrl-C ends their parent
        # may each say that nobody talks to them; those that work end in silence.
        assert error.count(b"Traceback") <= 2 and b"spawn_main" not in error
        assert all(json.loads(line) and line.endswith(b"\n") for line in done)
