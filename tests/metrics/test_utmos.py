import sys

import numpy as np
import pytest

from sesame.metrics import dnsmos, utmos
from sesame.metrics.utmos import _child

torch = pytest.importorskip("torch")

RATE = 16000
TONE = 0.5 * np.sin(np.arange(RATE) / 9)
# The form of tarepan/SpeechMOS: a package without __init__.py beside hubconf.py.
FILES = {
    "hubconf.py": """
dependencies = ["torch"]
from speechmos.utmos22.strong.model import Model

def utmos22_strong(progress=True, pretrained=True):
    if pretrained:
        raise OSError("this would download")
    return Model()
""",
    "speechmos/utmos22/parts.py": "import torch\nLayer = torch.nn.Linear\n",
    "speechmos/utmos22/strong/model.py": """
import torch
from ..parts import Layer

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer(1, 1)

    def forward(self, wave, sr):
        print("not an answer")
        if wave.shape[1] < 400:
            raise RuntimeError("too short\\nfor the kernel")
        return self.layer(wave.amax(1, keepdim=True)).squeeze(1) + sr / 16000
""",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(repository, weights) of a network that answers 2 * peak + 1.5."""
    repo = tmp_path_factory.mktemp("SpeechMOS")
    for name, text in FILES.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    state = {"layer.weight": torch.tensor([[2.0]]), "layer.bias": torch.tensor([0.5])}
    torch.save(state, repo / "weights.pt")
    return repo, repo / "weights.pt"


def test_the_network_scores_beside_the_other_package_of_its_name(model):
    pytest.importorskip("speechmos")
    dnsmos(TONE[:1], RATE)
    assert utmos(TONE, RATE, *model).value == pytest.approx(2.5, abs=1e-3)
    half = (TONE * 16384).astype(np.int16)
    assert utmos(half, RATE, *model).value == pytest.approx(2.0, abs=1e-3)
    assert not hasattr(sys.modules.get("speechmos"), "utmos22")


def test_an_error_of_the_network_is_a_reason_and_the_next_signal_is_scored(model):
    reason = utmos(TONE[:399], RATE, *model).reason
    assert reason == "UTMOS failed: RuntimeError: too short"
    assert utmos(TONE, RATE, *model).scored


def test_a_process_that_died_is_a_reason_and_the_next_signal_gets_another(model):
    utmos(TONE, RATE, *model)
    child = _child(*map(str, model))
    child.kill()
    child.wait()
    assert "its process died" in utmos(TONE, RATE, *model).reason
    assert utmos(TONE, RATE, *model).scored


def test_weights_of_another_network_are_a_reason(model, tmp_path):
    torch.save({"layer.weight": torch.zeros(1, 1)}, tmp_path / "a.pt")
    reason = utmos(TONE, RATE, model[0], tmp_path / "a.pt").reason
    assert reason.startswith("UTMOS failed: RuntimeError: Error(s) in loading")


def test_what_is_missing_is_a_reason_with_the_fix(tmp_path):
    assert utmos(TONE, RATE, None, None).reason.startswith("the code is missing: git ")
    assert "has no hubconf.py" in utmos(TONE, RATE, tmp_path, None).reason
    (tmp_path / "hubconf.py").touch()
    no_weights = utmos(TONE, RATE, tmp_path, None).reason
    assert no_weights.startswith("the weights are missing: download")
    absent = utmos(TONE, RATE, tmp_path, tmp_path / "absent.pt").reason
    assert "absent.pt" in absent and "--utmos-weights FILE" in absent


def test_signals_that_cannot_be_scored_start_no_process(tmp_path):
    (tmp_path / "hubconf.py").touch()
    paths = tmp_path, tmp_path / "hubconf.py"
    before = _child.cache_info().misses
    assert utmos(0 * TONE, RATE, *paths).reason == "estimate is silent"
    assert "must be 16000 Hz" in utmos(TONE, 48000, *paths).reason
    assert _child.cache_info().misses == before
