"""The commands of the README, as printed: bash blocks in order, python blocks after."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split(" # ")[0].strip()
    for language, block in BLOCKS
    if language == "bash"
    for line in block.splitlines()
]
ENVIRONMENT = os.environ | {
    # What is installed beside this interpreter is what a user would run.
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: noisy files, clean ones, a recording."""
    if shutil.which("sesame", path=ENVIRONMENT["PATH"]) is None:
        pytest.skip("the package is not installed here: there is no command sesame")
    folder = tmp_path_factory.mktemp("user")
    (folder / "pretrained").symlink_to(ROOT / "pretrained")
    bank = ROOT / "data" / "minibank"
    for kind, name in (("noisy", "calls"), ("clean", "clean")):
        (folder / name / "monday").mkdir(parents=True)
        for number in (1, 2):
            path = bank / f"{kind}_testset_wav" / f"p311_00{number}.flac"
            samples, rate = soundfile.read(path)
            soundfile.write(folder / name / "monday" / f"{number}.wav", samples, rate)
    shutil.copy(folder / "calls/monday/1.wav", folder / "noisy.wav")
    shutil.copy(folder / "clean/monday/1.wav", folder / "reference.wav")
    shutil.copy(folder / "clean/monday/1.wav", folder / "voice.wav")
    shutil.copy(folder / "clean/monday/2.wav", folder / "far.wav")
    talkers = [soundfile.read(folder / f"clean/monday/{n}.wav")[0] for n in (1, 2)]
    length = min(map(len, talkers))
    soundfile.write(folder / "mix.wav", sum(t[:length] for t in talkers) / 2, 16000)
    return folder


@pytest.mark.slow
def test_every_command_runs_as_printed(folder):
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        if command.startswith("pip install"):
            continue  # the environment of the tests was made by it
        if command == "sesame demo":
            _open_demo(folder)
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, command
    made = {
        "noisy_enhanced.wav",
        "out/mix_speaker1.wav",
        "out/mix_speaker2.wav",
        "streamed.wav",
        "fast.wav",
        "talker.wav",
        "call.wav",
        "one_percent/model.safetensors",
        "step.onnx",
        "mix_experts.png",
        "usage.csv",
        "enhanced/monday/1.wav",
        "enhanced/monday/2.wav",
        "gentle.wav",
        "again/monday/1.wav",
        "shared_out/monday/2.wav",
        "scores.csv",
        "means.json",
        "compare.png",
        "experts.png",
        "model.onnx",
        "by_onnx.wav",
        "map/tsne.csv",
        "map/tsne.png",
    }
    assert not [name for name in made if not (folder / name).is_file()]
    first, second = (
        soundfile.read(folder / name)[0]
        for name in ("noisy_enhanced.wav", "by_onnx.wav")
    )
    assert np.abs(first - second).max() < 1e-3


def _open_demo(folder):
    """Starts the demo, waits for its page, stops it as Ctrl-C does."""
    process = subprocess.Popen(
        ["sesame", "demo"], cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE
    )
    try:
        for _ in range(120):
            assert process.poll() is None, process.stderr.read()[-2000:]
            try:
                with urllib.request.urlopen("http://127.0.0.1:7860", timeout=2) as page:
                    assert b"SESAME" in page.read()
                    return
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.5)
        pytest.fail("the demo did not answer within a minute")
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_the_python_lines_run_as_printed(folder, monkeypatch):
    monkeypatch.chdir(folder)
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 4410))
    names = {"noisy": noise, "mixture": noise}
    for code in (block for language, block in BLOCKS if language == "python"):
        exec(code, names)
    assert names["enhanced"].shape == names["speakers"].shape == (2, 4410)
    assert names["talker"].shape == (2, 4410)
    assert names["ready"].shape[1] + names["rest"].shape[1] == 1000
    assert (folder / "enhanced.wav").is_file()


def test_every_file_that_is_linked_to_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_training_file_that_is_named_exists():
    named = set(re.findall(r"hparams/\w+\.yaml", README))
    assert named
    assert not [name for name in named if not (ROOT / name).is_file()]
