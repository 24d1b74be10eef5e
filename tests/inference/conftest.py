"""A tiny network, its model folder and a training run as train.py leaves it."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

import sesame.models
from sesame.features import CompressedSTFT
from sesame.inference import Enhancer, save_model_folder
from sesame.models import SESAME
from sesame.models.bsrnn import BSRNN
from sesame.models.seflow import SEFlow
from sesame.models.tf_moe import TFConformer, TFMoE

ARGUMENTS = {
    "num_bins": 33,
    "channels": 4,
    "num_blocks": 2,
    "num_heads": 2,
    "dense_depth": 1,
    "moe_blocks": [1],
    "num_experts": 3,
    "top_k": 2,
    "expert_hidden_dim": None,
    "noise_context_dim": 2,
}
TRANSFORM = {"n_fft": 64, "hop_length": 16, "win_length": 64, "exponent": 0.3}
CODEC = {name: ARGUMENTS[name] for name in ("num_bins", "channels", "num_blocks")}
CODEC["dense_depth"] = 1
HEADS, STATES, WIDTH = {"num_heads": 2}, {"state_size": 3}, {"hidden_channels": 6}
SPARSE = {"moe_blocks": [1], "num_experts": 3, "top_k": 2, "noise_context_dim": 2}
# Every system, and the sparse forms of those that are dense by default.
SYSTEMS = {
    "LSTMAttention": HEADS | WIDTH,
    "LSTMSENet": WIDTH,
    "MPSENet": HEADS,
    "MambAttention": HEADS | STATES,
    "MambAttention sparse": HEADS | STATES | SPARSE,
    "SEMamba": STATES,
    "SESAME sparse": HEADS | SPARSE,
    "TransformerMamba": HEADS | STATES,
    "TransformerMamba sparse": HEADS | STATES | SPARSE,
    "XLSTMAttention": HEADS,
    "XLSTMSENet": {},
}
SEPARATOR = {"n_fft": 64, "hop_length": 16, "channels": 4, "num_blocks": 1}
SEPARATOR |= {"num_bands": 6, "num_heads": 2, "head_channels": 4, "kernel_size": 3}
FLOW = {"width": 16, "depth": 3, "head_channels": 4, "context": 10, "num_tokens": 4}
HYPERPARAMS = """\
# Generated 2026-01-01 from:
# /somewhere/hparams/tiny.yaml
# yamllint disable
__set_seed: !apply:os.system ["touch {canary}"]
sample_rate: 16000 # Hz
transform: !new:sesame.features.CompressedSTFT
  n_fft: 64
  win_length: 64
  hop_length: 16
  exponent: 0.3
blocks: &blocks [1]
generator: &id001 !new:sesame.models.SESAME
  num_bins: 33
  channels: 4
  num_blocks: 2
  num_heads: 2
  dense_depth: 1
  moe_blocks: *blocks
  num_experts: 3
  top_k: 2
  expert_hidden_dim:        # null
  noise_context_dim: 2
modules:
  generator: *id001
selection_metric: pesq
"""


def tiny_network(seed=0):
    torch.manual_seed(seed)
    return SESAME(**ARGUMENTS).eval()


@pytest.fixture
def tiny():
    """Network, constructor arguments, transform and its arguments."""
    return SimpleNamespace(
        network=tiny_network(),
        arguments=dict(ARGUMENTS),
        transform=CompressedSTFT(**TRANSFORM),
        transform_arguments=dict(TRANSFORM),
    )


@pytest.fixture
def enhancer(tiny):
    return Enhancer(tiny.network, tiny.transform, 16000, "cpu")


@pytest.fixture
def model_folder(tiny, tmp_path):
    save_model_folder(
        tmp_path / "model",
        "SESAME",
        tiny.arguments,
        tiny.transform_arguments,
        16000,
        tiny.network.state_dict(),
    )
    return tmp_path / "model"


@pytest.fixture
def system_names():
    """Keys of the parameters of the fixture ``system``."""
    return list(SYSTEMS)


@pytest.fixture(params=SYSTEMS)
def system(request, tmp_path):
    """A tiny network of each system, and its model folder."""
    torch.manual_seed(0)
    name, arguments = request.param.split()[0], CODEC | SYSTEMS[request.param]
    network = getattr(sesame.models, name)(**arguments).eval()
    folder, weights = tmp_path / name, network.state_dict()
    save_model_folder(folder, name, arguments, TRANSFORM, 16000, weights)
    return SimpleNamespace(key=request.param, network=network, folder=folder)


@pytest.fixture
def separators(monkeypatch):
    """The separators are systems with a name."""
    systems = {system.__name__: system for system in (BSRNN, TFConformer, TFMoE)}
    for name, system in systems.items():
        monkeypatch.setattr(sesame.models, name, system, raising=False)
    names = sorted({*sesame.models.__all__, *systems})
    monkeypatch.setattr(sesame.models, "__all__", names)


@pytest.fixture
def separator_folder(separators, tmp_path):
    """Makes a tiny TFMoE and its model folder; takes arguments that are different."""

    def make(**changed):
        torch.manual_seed(0)
        arguments = SEPARATOR | {"num_experts": 3} | changed
        network, folder = TFMoE(**arguments).eval(), tmp_path / "separator"
        weights, rate = network.state_dict(), network.sample_rate
        save_model_folder(folder, "TFMoE", arguments, None, rate, weights)
        return SimpleNamespace(network=network, folder=folder)

    return make


@pytest.fixture
def flow_network():
    """A tiny SEFlow; parameters that start at zero are drawn, so that each counts."""
    torch.manual_seed(0)
    network = SEFlow(**FLOW).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return network


@pytest.fixture
def flow_folder(flow_network, tmp_path):
    folder, weights = tmp_path / "flow", flow_network.state_dict()
    save_model_folder(folder, "SEFlow", FLOW, None, None, weights)
    return folder


@pytest.fixture
def add_checkpoint():
    """Writes a checkpoint; the raw weights differ from the averaged ones."""

    def add(run, name, seed, with_average=True, **meta):
        folder = run / "save" / f"CKPT+{name}"
        folder.mkdir(parents=True)
        lines = [f"{key}: {value}" for key, value in meta.items()]
        (folder / "CKPT.yaml").write_text("\n".join(lines))
        network = tiny_network(seed)
        torch.save(tiny_network(seed + 100).state_dict(), folder / "generator.ckpt")
        if with_average:
            average = torch.optim.swa_utils.AveragedModel(network)
            average.update_parameters(network)
            torch.save(average.state_dict(), folder / "ema.ckpt")
        return network

    return add


@pytest.fixture
def run(tmp_path, add_checkpoint):
    """A results folder with one checkpoint; its YAML file would leave a canary."""
    folder = tmp_path / "run"
    folder.mkdir()
    canary = tmp_path / "canary"
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS.format(canary=canary))
    network = add_checkpoint(folder, "a", seed=1, unixtime=1.0, epoch=3, pesq=2.5)
    return SimpleNamespace(folder=folder, canary=canary, network=network)


@pytest.fixture
def noisy_file(tmp_path):
    """A stereo file at 44100 Hz with 24 bits."""
    path = tmp_path / "noisy.wav"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (4001, 2))
    soundfile.write(path, noise, 44100, subtype="PCM_24")
    return path
