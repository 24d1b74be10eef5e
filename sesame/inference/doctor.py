"""Is everything here that the library needs? Nothing heavy is imported above."""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["CORE", "EXTRAS", "Check", "run_checks"]

# The packages of requirements.txt and of the extras in pyproject.toml; a test compares.
CORE = (
    "einops",
    "hyperpyyaml",
    "numpy",
    "safetensors",
    "scipy",
    "soundfile",
    "soxr",
    "speechbrain",
    "torch",
    "torchaudio",
    "tqdm",
)
EXTRAS = {
    "eval": (
        "distillmos",
        "librosa",
        "onnxruntime",
        "pandas",
        "pesq",
        "pystoi",
        "requests",
        "speechmos",
        "torchmetrics",
    ),
    "plot": ("matplotlib", "scikit-learn"),
    "demo": ("gradio", "matplotlib"),
    "onnx": ("onnx", "onnxruntime"),
    "live": ("sounddevice",),
    "rooms": ("pyroomacoustics",),
    "nisqa": ("librosa", "requests", "torchmetrics"),
}
# Packages whose module has another name.
MODULES = {"scikit-learn": "sklearn"}
OLDEST_PYTHON = (3, 11)
FORMATS = ("WAV", "FLAC", "OGG", "MP3", "RF64")


class Check(NamedTuple):
    """What was found out about one thing.

    Arguments
    ---------
    name : str
        The thing.
    status : str
        "ok", "missing" (something works without it) or "broken" (nothing does).
    detail : str
        What was found.
    fix : str
        Command that mends it; empty where there is none.

    Example
    -------
    >>> Check("gradio", "missing", "for the extra demo", "pip install gradio").status
    'missing'
    """

    name: str
    status: str
    detail: str
    fix: str = ""


def run_checks(model: str | Path | None) -> Iterator[Check]:
    """Looks at Python, packages, hardware, the model, and enhances a second of noise.

    Arguments
    ---------
    model : str | Path | None
        Model to try; ``None`` if there is none.

    Yields
    ------
    Check
        One after the other, as they are done. Later ones are left out where an earlier
        one makes them pointless.

    Example
    -------
    >>> next(run_checks(None)).name
    'python'
    """
    version = ".".join(map(str, sys.version_info[:3]))
    new_enough = sys.version_info >= OLDEST_PYTHON
    yield Check("python", "ok" if new_enough else "broken", f"{version}, 3.11 or later")
    core = [_core_package(name) for name in CORE]
    yield from core
    if all(check.status == "ok" for check in core):
        yield _guarded("torch and torchaudio", _pairing)
        yield _guarded("libsndfile", _libsndfile)
        yield _guarded("CUDA", _cuda)
        yield _guarded("threads", _threads)
        yield _guarded("model", lambda: _model(model))
    for name in dict.fromkeys(name for names in EXTRAS.values() for name in names):
        yield _optional_package(name)


def _core_package(name: str) -> Check:
    try:
        importlib.import_module(name)
        return Check(name, "ok", importlib.metadata.version(name))
    # A package with a damaged binary raises whatever it likes.
    except Exception as error:
        reason = " ".join(str(error).split())
        return Check(name, "broken", f"cannot be imported: {reason}", _pip(name))


def _guarded(name: str, look: Callable[[], tuple[str, ...]]) -> Check:
    try:
        return Check(name, *look())
    # What fails in a way nobody foresaw is a finding, too.
    except Exception as error:
        reason = " ".join(str(error).split())
        return Check(name, "broken", f"{type(error).__name__}: {reason}")


def _pairing() -> tuple[str, ...]:
    import torch
    import torchaudio

    ours, other = (m.__version__.split("+")[0] for m in (torch, torchaudio))
    release = ".".join(ours.split(".")[:2])
    if other.split(".")[:2] == ours.split(".")[:2]:
        return "ok", f"a pair, {ours} and {other}"
    return "broken", f"no pair, {ours} and {other}", _pip(f'"torchaudio=={release}.*"')


def _libsndfile() -> tuple[str, ...]:
    import soundfile

    known = soundfile.available_formats()
    lacking = [name for name in FORMATS if name not in known]
    detail = f"{soundfile.__libsndfile_version__}, {len(known)} formats"
    if lacking:
        return "missing", f"{detail}, not {', '.join(lacking)}", _pip("-U soundfile")
    return "ok", f"{detail}, among them {', '.join(FORMATS)}"


def _cuda() -> tuple[str, ...]:
    import torch

    if not torch.cuda.is_available():
        return "missing", "no device: the CPU is used"
    names = map(torch.cuda.get_device_name, range(torch.cuda.device_count()))
    return "ok", f"CUDA {torch.version.cuda}: {', '.join(names)}"


def _threads() -> tuple[str, ...]:
    import torch

    used = torch.get_num_threads()
    return "ok", f"{used} of {os.cpu_count()}; OMP_NUM_THREADS sets them"


def _model(model: str | Path | None) -> tuple[str, ...]:
    """Enhances noise, not silence, which would come out finite from any network."""
    import numpy as np

    from .enhancer import Enhancer

    if model is None:
        return "missing", "none came with the library: give one with --model FOLDER"
    enhancer = Enhancer.from_pretrained(model, "cpu")
    rate = enhancer.sample_rate
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, rate)
    start = time.perf_counter()
    enhanced = enhancer(noise, rate)
    seconds = time.perf_counter() - start
    if not np.isfinite(enhanced).all():
        return "broken", f"{model} makes what is not finite of a second of noise"
    return "ok", f"{model} enhances a second of noise in {seconds:.2f} s"


def _optional_package(name: str) -> Check:
    # Looked for, not loaded: some take seconds.
    extras = ", ".join(extra for extra, names in EXTRAS.items() if name in names)
    if importlib.util.find_spec(MODULES.get(name, name)) is None:
        return Check(name, "missing", f"for {extras}", _pip(name))
    return Check(name, "ok", f"{importlib.metadata.version(name)}, for {extras}")


def _pip(what: str) -> str:
    return f"pip install {what}"
