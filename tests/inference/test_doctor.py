import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

import sesame
from sesame.inference import Enhancer
from sesame.inference.doctor import CORE, EXTRAS, run_checks

ROOT = Path(sesame.__file__).parents[1]


def checks_of(model=None):
    return {check.name: check for check in run_checks(model)}


def broken(checks):
    return [name for name, check in checks.items() if check.status == "broken"]


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed."""
    find, load = importlib.util.find_spec, importlib.import_module

    def remove(*names):
        def find_others(name, *package):
            return None if name in names else find(name, *package)

        def load_others(name, *package):
            if name in names:
                raise ModuleNotFoundError(f"No module named {name!r}")
            return load(name, *package)

        monkeypatch.setattr(importlib.util, "find_spec", find_others)
        monkeypatch.setattr(importlib, "import_module", load_others)

    return remove


def test_a_sound_installation_with_its_model_is_sound(model_folder):
    checks = checks_of(model_folder)
    assert not broken(checks)
    assert checks["model"].status == "ok"
    assert checks["torch"].detail == torch.__version__.split("+")[0]


def test_packages_are_those_of_the_requirements():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.match(r"[\w.-]+", line) for line in lines]
    assert sorted(CORE) == sorted(match[0] for match in names if match)


def test_extras_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        extra: tuple(re.match(r"[\w.-]+", line)[0] for line in lines)
        for extra, lines in project["optional-dependencies"].items()
    }
    del declared["dev"]
    assert declared == EXTRAS


def test_a_missing_extra_comes_with_its_command_and_breaks_nothing(without):
    without("gradio", "pesq")
    checks = checks_of()
    for name in ("gradio", "pesq"):
        assert checks[name].status == "missing"
        assert checks[name].fix == f"pip install {name}"
    assert not broken(checks)


def test_a_missing_core_package_is_broken_and_told_with_its_command(without):
    without("soxr")
    checks = checks_of()
    assert broken(checks) == ["soxr"]
    assert checks["soxr"].fix == "pip install soxr"
    assert "model" not in checks and "gradio" in checks


def test_a_package_that_fails_while_it_is_loaded_is_broken(monkeypatch):
    load = importlib.import_module

    def fail(name, *package):
        if name == "soundfile":
            raise OSError("libsndfile.so:\n no such file")
        return load(name, *package)

    monkeypatch.setattr(importlib, "import_module", fail)
    assert "libsndfile.so: no such file" in checks_of()["soundfile"].detail


def test_torchaudio_of_another_release_is_broken(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.11.0+cpu")
    monkeypatch.setattr(torchaudio, "__version__", "2.10.1")
    check = checks_of()["torch and torchaudio"]
    assert check.status == "broken"
    assert check.fix == 'pip install "torchaudio==2.11.*"'
    monkeypatch.setattr(torchaudio, "__version__", "2.11.3")
    assert checks_of()["torch and torchaudio"].status == "ok"


def test_a_libsndfile_without_mp3_is_told(monkeypatch):
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "", "FLAC": ""})
    check = checks_of()["libsndfile"]
    assert check.status == "missing" and "MP3" in check.detail and check.fix


def test_an_old_python_is_broken(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    assert next(run_checks(None)).status == "broken"


def test_cuda_devices_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"card {index}")
    check = checks_of()["CUDA"]
    assert check.status == "ok" and "card 0, card 1" in check.detail


def test_without_a_model_one_is_asked_for_and_nothing_is_broken():
    checks = checks_of(None)
    assert checks["model"].status == "missing" and "--model" in checks["model"].detail
    assert not broken(checks)


def test_a_damaged_model_is_broken(model_folder):
    (model_folder / "model.safetensors").write_bytes(b"nothing")
    assert broken(checks_of(model_folder)) == ["model"]


def test_a_model_whose_result_is_not_finite_is_broken(model_folder, monkeypatch):
    monkeypatch.setattr(Enhancer, "__call__", lambda self, x, rate: x * np.nan)
    assert "not finite" in checks_of(model_folder)["model"].detail
    assert broken(checks_of(model_folder)) == ["model"]


def test_a_package_of_two_extras_is_told_once():
    names = [check.name for check in run_checks(None)]
    assert len(names) == len(set(names))


def test_nothing_heavy_is_loaded_before_it_is_looked_at():
    code = (
        "import sys\n"
        "from sesame.inference.doctor import run_checks\n"
        f"loaded = set({CORE}) & set(sys.modules)\n"
        "sys.exit(str(loaded) if loaded else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
