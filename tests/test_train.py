"""The documented commands, as a user types them."""

import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sesame.data.mini_librimix import make_mini_librimix

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "VoicebankDEMAND" / "sesame"
TINY = {
    "n_fft": 128,
    "hop_length": 64,
    "segment_length": 8000,
    "batch_size": 2,
    "num_workers": 0,
    "pesq_workers": 0,
    "generator": '{"channels": 4, "num_blocks": 1, "num_heads": 1, "dense_depth": 1, '
    '"moe_blocks": [0], "num_experts": 2, "noise_context_dim": 2}',
    "discriminator": '{"channels": 2}',
}
PUBLISHED = [
    path
    for path in sorted((ROOT / "hparams").glob("*.yaml"))
    if not path.stem.endswith(("_mini", "_small", "_demandex"))
]
SEPARATORS = [p.stem for p in PUBLISHED if "SeparationBrain" in p.read_text()]
FLOWS = [p.stem for p in PUBLISHED if "SlimmableBrain" in p.read_text()]
SYSTEMS = [p.stem for p in PUBLISHED if p.stem not in SEPARATORS + FLOWS]
TESTSET = ("clean_testset_wav", "noisy_testset_wav")
FLOW_TASKS = "cancel_echo conceal declip denoise dereverberate extract".split()
ONE_STEP = ("--debug", "--debug_persistently", "--debug_batches=1", "--debug_epochs=1")


def _train(*flags, folder=ROOT, file="hparams/sesame.yaml", **values):
    command = [sys.executable, "train.py", file, "--device=cpu", "--noprogressbar"]
    for name, value in values.items():
        command += [f"--{name}", str(value)]
    return subprocess.run(
        [*command, *flags],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def _ids(folder):
    with (folder / "test_scores.csv").open(encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.parametrize("folder", [ROOT, RECIPE], ids=["root", "recipe"])
def test_one_command_trains_tests_and_keeps_what_it_ran(folder, minibank, tmp_path):
    output = tmp_path / "out"
    run = _train(
        *ONE_STEP, folder=folder, data_folder=minibank, output_folder=output, **TINY
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "Traceback" not in run.stdout + run.stderr
    scores = json.loads((output / "test_scores.json").read_text())
    metrics = ["pesq", "stoi", "estoi", "si_sdr", "ssnr", "csig", "cbak", "covl"]
    for name in metrics:
        assert set(scores[name]) == {"mean", "n_scored", "n_total"}
        assert scores[name]["n_total"] == 1
    assert len(_ids(output)) == 1
    assert "epoch loaded: 1" in (output / "train_log.txt").read_text()
    copy = (output / "train.py").read_text()
    assert copy == (ROOT / "train.py").read_text()
    saved = (output / "hyperparams.yaml").read_text()
    assert f"data_folder: {minibank}" in saved and "n_fft: 128" in saved
    assert list((output / "save").glob("CKPT+*"))

    if folder == ROOT:
        _test_only(minibank, output)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_learns_at_reduced_width(system, minibank, tmp_path):
    text = (ROOT / "hparams" / f"{system}.yaml").read_text(encoding="utf-8")
    generator = {"channels": 8, "num_blocks": 1, "dense_depth": 1}
    if "hidden_channels:" in text:
        generator["hidden_channels"] = 8
    if "moe_blocks:" in text:
        generator |= {"moe_blocks": [0], "num_experts": 4}
    run = _train(
        file=f"hparams/{system}.yaml",
        data_folder=minibank,
        output_folder=tmp_path,
        number_of_epochs=2,
        lr_schedule="{warmup_steps: 5}",
        test_metrics="[si_sdr]",
        valid_metrics="[pesq]",
        **TINY | {"generator": json.dumps(generator)},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    log = (tmp_path / "train_log.txt").read_text()
    losses = [float(value) for value in re.findall(r"train loss: ([-+.\de]+)", log)]
    assert len(losses) == 2 and losses[1] < losses[0], log
    assert "skipped" not in log
    scores = json.loads((tmp_path / "test_scores.json").read_text())
    assert math.isfinite(scores["si_sdr"]["mean"])
    assert scores["si_sdr"]["n_scored"] == scores["si_sdr"]["n_total"] == 10
    if "moe_blocks:" in text:
        assert "train load_balance" in log


@pytest.mark.slow
@pytest.mark.parametrize("system", SEPARATORS)
def test_every_separator_learns_at_reduced_width(system, minibank, tmp_path):
    run = _train(
        file=f"hparams/{system}.yaml",
        data_folder=make_mini_librimix(minibank, tmp_path),
        output_folder=tmp_path / "out",
        number_of_epochs=2,
        steps_per_epoch=20,
        segment_length=8000,
        batch_size=2,
        num_workers=0,
        pesq_workers=0,
        lr_schedule="{warmup_steps: 5}",
        test_metrics="[si_sdr, si_sdri]",
        generator='{"channels": 8, "num_blocks": 1}',
    )
    assert run.returncode == 0, run.stderr[-3000:]
    log = (tmp_path / "out" / "train_log.txt").read_text()
    losses = [float(value) for value in re.findall(r"train loss: ([-+.\de]+)", log)]
    assert len(losses) == 2 and losses[1] < losses[0], log
    assert "skipped" not in log and "valid si_sdri" in log
    assert ("train balance" in log) == (system == "tf_moe")
    scores = json.loads((tmp_path / "out" / "test_scores.json").read_text())
    assert scores["si_sdri"]["n_scored"] == scores["si_sdri"]["n_total"] == 10
    for source in ("s1", "s2"):
        written = (tmp_path / "out" / "separated_wavs" / source).iterdir()
        assert sorted(path.stem for path in written) == _ids(tmp_path / "out")


@pytest.mark.slow
def test_separation_needs_no_corpus_on_the_disk(tmp_path):
    run = _train(
        *ONE_STEP,
        folder=ROOT / "recipes" / "LibriMix" / "sesame",
        file="hparams/tf_moe_mini.yaml",
        data_folder=ROOT / "data" / "minibank",
        output_folder=tmp_path,
        pesq_workers=0,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    scores = json.loads((tmp_path / "test_scores.json").read_text())
    for name in ("si_sdr", "si_sdri", "sdr", "sdri", "pesq", "stoi"):
        assert scores[name]["n_scored"] == scores[name]["n_total"] == 1


@pytest.mark.slow
def test_seflow_needs_no_corpus_on_the_disk(tmp_path):
    run = _train(
        *ONE_STEP,
        folder=ROOT / "recipes" / "DNS" / "sesame",
        file="hparams/seflow_mini.yaml",
        data_folder=ROOT / "data" / "minibank",
        output_folder=tmp_path,
        pesq_workers=0,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert _ids(tmp_path) == ["denoise/p311_001"]
    with (tmp_path / "task_scores.csv").open(encoding="utf-8") as file:
        sizes = [row["size"] for row in csv.DictReader(file)]
    assert sizes == ["unprocessed", "32x2", "16x2", "8x1"]


@pytest.mark.slow
@pytest.mark.parametrize("system", ["seflow", "seflow_small"])
def test_seflow_is_trained_on_folders_of_speech_and_noise(system, minibank, tmp_path):
    pytest.importorskip("pyroomacoustics")
    for name, source in (
        ("speech/train", "clean_trainset_28spk_wav"),
        ("speech/valid", "clean_trainset_28spk_wav"),
        ("noise/train", "noisy_trainset_28spk_wav"),
        ("noise/valid", "noisy_trainset_28spk_wav"),
        ("speech/babble" if system == "seflow_small" else "speech/test", TESTSET[0]),
        ("noise/test", TESTSET[1]),
    ):
        link = tmp_path / "data" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(minibank / source)
    few = '{"num_items": 1, "num_rooms": 1}'
    run = _train(
        file=f"hparams/{system}.yaml",
        data_folder=tmp_path / "data",
        output_folder=tmp_path / "out",
        number_of_epochs=1,
        steps_per_epoch=3,
        # The corpus has no speech of these rates.
        sample_rates="{24000: 0, 48000: 0}",
        segment_seconds=0.5,
        batch_size=2,
        num_workers=0,
        pesq_workers=0,
        train_set='{"num_rooms": 1}',
        valid_set=few,
        test_set=few,
        lr_schedule="{warmup_steps: 1}",
        generator='{"width": 16, "depth": 2, "head_channels": 4, "context": 10}',
        stages="[[1, 0.5, 1, 0.5]]",
        valid_sizes="[[1.0, 2]]",
        test_sizes="[[1.0, 2], [0.25, 1]]",
        test_metrics="[si_sdr, erle]",
    )
    assert run.returncode == 0, run.stderr[-3000:]
    log = (tmp_path / "out" / "train_log.txt").read_text()
    assert "train loss" in log and "skipped" not in log and "valid si_sdri" in log
    with (tmp_path / "out" / "task_scores.csv").open(encoding="utf-8") as file:
        rows = [(row["task"], row["size"]) for row in csv.DictReader(file)]
    assert rows == [
        (task, size) for task in FLOW_TASKS for size in ("unprocessed", "16x2", "4x1")
    ]


@pytest.mark.slow
def test_a_built_vb_demandex_is_trained_on(minibank, tmp_path):
    for split in ("train", "valid", "test"):
        command = [
            *(sys.executable, "-m", "sesame.data.vb_demandex", tmp_path / "set"),
            *("--clean", minibank, "--noise", minibank / "noisy_testset_wav"),
            *("--valid-speakers", "p226", "p287", "--test-speakers", "p311", "p312"),
            *("--splits", split),
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    run = _train(
        *ONE_STEP,
        file="hparams/mambattention_demandex.yaml",
        data_folder=tmp_path / "set",
        output_folder=tmp_path / "out",
        test_metrics="[si_sdr]",
        **TINY | {"generator": '{"channels": 8, "num_blocks": 1, "dense_depth": 1}'},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    (name,) = _ids(tmp_path / "out")
    assert (tmp_path / "set" / "test" / "noisy" / f"{name}.wav").is_file()


def _test_only(minibank, output):
    """Tests a finished run again: no step is taken, all utterances are scored."""
    shutil.copy(output / "train_log.txt", output / "before.txt")
    checkpoints = {p: p.stat().st_mtime_ns for p in output.glob("save/CKPT+*/*")}
    run = _train(
        "--test_only",
        data_folder=minibank,
        output_folder=output,
        test_metrics="[si_sdr]",
        **TINY,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    new = (output / "train_log.txt").read_text()
    new = new.removeprefix((output / "before.txt").read_text())
    assert "epoch loaded: 1" in new and "train loss" not in new
    assert len(_ids(output)) == 10
    after = {p: p.stat().st_mtime_ns for p in output.glob("save/CKPT+*/*")}
    assert after == checkpoints


def test_a_missing_corpus_ends_with_three_ways_to_go_on(tmp_path):
    absent = tmp_path / "absent"
    run = _train(data_folder=absent, output_folder=tmp_path / "out", **TINY)
    assert run.returncode != 0
    message = run.stdout.strip().splitlines()[-1]
    assert f"{absent} does not exist" in message
    for way in (
        "(1) download",
        f"python -m sesame.data.download {absent}",
        "(2) point to",
        "--data_folder",
        "(3) train on the small corpus",
        "hparams/sesame_mini.yaml",
    ):
        assert way in message, way
    assert not list((tmp_path / "out").glob("**/*.json")), "half a manifest"


def test_every_option_in_the_usage_text_exists():
    """What train.py promises in its first lines, SpeechBrain must still have."""
    from speechbrain.utils.run_opts import RunOptions

    text = (ROOT / "train.py").read_text().split('"""')[1]
    options = {word.strip("`,.)(") for word in text.split() if "--" in word}
    options = {word.removeprefix("--").partition("=")[0] for word in options}
    known = set(RunOptions().as_dict()) | {"standalone", "nproc_per_node"}
    yaml_text = (ROOT / "hparams" / "sesame.yaml").read_text(encoding="utf-8")
    known |= {key.value for key, _ in yaml.compose(yaml_text).value}
    assert options and options <= known, options - known
