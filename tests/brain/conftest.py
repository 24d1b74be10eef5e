"""A tiny system on the bundled corpus, in this process and in processes of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.batch import PaddedBatch

from sesame.brain import EnhancementBrain
from sesame.data.audio import read_audio

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "data_folder": str(ROOT / "data" / "minibank"),
    "n_fft": 128,
    "hop_length": 64,
    "segment_length": 8000,  # PESQ needs a quarter of a second
    "batch_size": 4,
    "pesq_workers": 0,
    "generator": {
        "channels": 4,
        "num_blocks": 1,
        "num_heads": 1,
        "dense_depth": 1,
        "moe_blocks": [0],
        "num_experts": 4,
        "noise_context_dim": 2,
    },
    "discriminator": {"channels": 2},
    "valid_metrics": ["pesq"],
    "test_metrics": ["pesq", "si_sdr"],
}


def _load(name):
    """A file beside this one, by its path: pytest imports without sys.path."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recording_brain = _load("recording_brain")
slimmable_system = _load("slimmable_system")


class TinySystem:
    """Makes Brains, batches and whole runs of ``hparams/sesame_mini.yaml``, smaller."""

    def __init__(self, folder: Path):
        self.folder = folder

    state_of = staticmethod(recording_brain.state_of)

    def hparams(self, folder="run", **overrides) -> dict:
        overrides = TINY | {"output_folder": str(self.folder / folder)} | overrides
        (self.folder / folder).mkdir(exist_ok=True)
        path = ROOT / "hparams" / "sesame_mini.yaml"
        with path.open(encoding="utf-8") as file:
            return load_hyperpyyaml(file, overrides)

    def brain(self, run_opts=None, replaced=None, **overrides):
        """A Brain that has done everything but its first step."""
        hparams = self.hparams(**overrides) | (replaced or {})
        brain = hparams["brain"](
            modules=hparams["modules"],
            hparams=hparams,
            run_opts={"device": "cpu", "noprogressbar": True} | (run_opts or {}),
            checkpointer=hparams["checkpointer"],
        )
        brain.on_fit_start()
        brain.on_stage_start(sb.Stage.TRAIN, 1)
        brain.modules.train()
        return brain

    @staticmethod
    def batch(*names, scale=1.0) -> PaddedBatch:
        """Half a second out of the middle of utterances of the training set."""
        items = []
        for name in names or ("p301_001", "p302_002"):
            pair = {"id": name}
            for kind in ("noisy", "clean"):
                folder = f"{kind}_trainset_28spk_wav"
                path = ROOT / "data" / "minibank" / folder / f"{name}.flac"
                segment = torch.from_numpy(read_audio(str(path), None, 12000, 8000))
                pair[f"{kind}_sig"] = scale * segment
            items.append(pair)
        return PaddedBatch(items)

    @staticmethod
    def steps(brain, *batches) -> list[float]:
        """Trains on the batches; returns the losses of the generator."""
        losses = []
        for batch in batches:
            brain.step += 1
            losses.append(float(brain.fit_batch(batch)))
        return losses

    def run(self, *flags, folder="run", ranks=1, env=None, **overrides):
        """Runs train.py with a Brain that writes down its steps."""
        command = [sys.executable, "train.py"]
        if ranks > 1:
            torchrun = f"-m torch.distributed.run --standalone --nproc_per_node={ranks}"
            command[1:1] = torchrun.split()
            flags = (*flags, "--distributed_backend", "gloo")
        command += ["hparams/sesame_mini.yaml", "--device", "cpu", "--noprogressbar"]
        values = TINY | {
            "output_folder": self.folder / folder,
            "brain": "!name:recording_brain.RecordingBrain",
        }
        for name, value in (values | overrides).items():
            text = json.dumps(value) if isinstance(value, dict | list) else str(value)
            command += [f"--{name}", text]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)} | (env or {})
        return subprocess.run(
            [*command, *flags],
            cwd=ROOT,
            env=env | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def tiny(tmp_path) -> TinySystem:
    """The tiny system, writing to a folder of this test."""
    return TinySystem(tmp_path)


@pytest.fixture(scope="module")
def tiny_for_module(tmp_path_factory) -> TinySystem:
    """The tiny system, writing to a folder of this test file."""
    return TinySystem(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def slimmable(tmp_path) -> slimmable_system.SlimmableSystem:
    """A tiny network of several sizes, writing to a folder of this test."""
    return slimmable_system.SlimmableSystem(tmp_path)


@pytest.fixture
def same():
    """Compares nested states bit by bit; NaN equals NaN."""
    return _same


def _same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        equal = one.shape == other.shape and one.dtype == other.dtype
        return equal and torch.equal(one.nan_to_num(7.7), other.nan_to_num(7.7))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


@pytest.fixture
def forwards(monkeypatch):
    """What the generator made, step by step."""
    seen, original = [], EnhancementBrain.compute_forward

    def spy(self, batch, stage):
        seen.append(original(self, batch, stage))
        return seen[-1]

    monkeypatch.setattr(EnhancementBrain, "compute_forward", spy)
    return seen
