import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sesame.metrics import nisqa

torch = pytest.importorskip("torch")

RATE = 16000
TONE = 0.5 * np.sin(np.arange(RATE) / 9)
# The form of the published network; the values are its YAML file's.
ARGUMENTS = {
    "ms_hop_length": 0.01,
    "ms_win_length": 0.02,
    "ms_n_fft": 4096,
    "ms_n_mels": 48,
    "ms_fmax": 20000,
    "ms_seg_length": 15,
    "ms_seg_hop_length": 4,
    "ms_max_segments": 1300,
    "cnn_pool_1": [24, 7],
    "cnn_pool_2": [12, 5],
    "cnn_pool_3": [6, 3],
    "cnn_dropout": 0.2,
    "cnn_kernel_size": [3, 3],
    "cnn_c_out_1": 16,
    "cnn_c_out_2": 32,
    "cnn_c_out_3": 64,
    "td_sa_d_model": 64,
    "td_sa_nhead": 1,
    "td_sa_h": 64,
    "td_sa_num_layers": 2,
    "td_sa_dropout": 0.1,
    "pool_att_h": 128,
    "pool_att_dropout": 0.1,
}


class StandIn(torch.nn.Module):
    """Five scores: peak times gain, and the number of windows."""

    def __init__(self, arguments):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(arguments["size"]))

    def forward(self, windows, count):
        peak = windows.amax() * self.gain
        return torch.stack([peak[0], *count.float().expand(4)])[None]


@pytest.fixture
def torchmetrics(monkeypatch):
    """Stands for torchmetrics; records the rate its network hears."""
    rates = []

    def melspec(samples, rate, arguments):
        rates.append((samples.shape, samples.dtype, rate))
        return samples[:, None]

    module = SimpleNamespace(
        _NISQADIM=StandIn,
        _get_librosa_melspec=melspec,
        _segment_specs=lambda spectrum, arguments: (spectrum, torch.tensor(1)),
        rates=rates,
    )
    for name in ("torchmetrics", "torchmetrics.functional"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    audio = SimpleNamespace(nisqa=module)
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.audio", audio)
    return module


def save_weights(path, gain):
    state = {"gain": torch.tensor([gain])}
    torch.save({"args": {"size": 1}, "model_state_dict": state}, path)
    return path


def test_the_first_of_five_scores_counts_at_the_rate_of_the_signal(
    tmp_path, torchmetrics
):
    weights = save_weights(tmp_path / "nisqa.tar", 4.0)
    assert nisqa(TONE, 44100, weights).value == pytest.approx(2.0, abs=1e-3)
    assert torchmetrics.rates == [((1, RATE), np.float32, 44100)]


def test_weights_of_another_network_are_a_reason(tmp_path, torchmetrics):
    torch.save({"args": {"size": 2}, "model_state_dict": {}}, tmp_path / "a.tar")
    reason = nisqa(TONE, RATE, tmp_path / "a.tar").reason
    assert reason.startswith("NISQA failed: RuntimeError: ") and "\n" not in reason


def test_code_in_a_file_of_weights_does_not_run(tmp_path, torchmetrics):
    canary = tmp_path / "canary"

    class Code:
        def __reduce__(self):
            return Path.touch, (canary,)

    torch.save(Code(), tmp_path / "a.tar")
    assert nisqa(TONE, RATE, tmp_path / "a.tar").reason.startswith("NISQA failed")
    (tmp_path / "b.tar").write_bytes(pickle.dumps(Code()))
    assert nisqa(TONE, RATE, tmp_path / "b.tar").reason.startswith("NISQA failed")
    assert not canary.exists()


def test_what_is_missing_is_a_reason_with_the_fix(tmp_path, torchmetrics, monkeypatch):
    assert nisqa(TONE, RATE, None).reason.startswith("the weights are missing: ")
    absent = nisqa(TONE, RATE, tmp_path / "absent.tar").reason
    assert "absent.tar" in absent and "--nisqa-weights FILE" in absent
    weights = save_weights(tmp_path / "nisqa.tar", 1.0)
    del torchmetrics._NISQADIM
    assert "pip install '.[nisqa]'" in nisqa(TONE, RATE, weights).reason
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.audio", None)
    assert "pip install '.[nisqa]'" in nisqa(TONE, RATE, weights).reason


def test_signals_that_cannot_be_scored_never_reach_the_network(tmp_path, torchmetrics):
    weights = save_weights(tmp_path / "nisqa.tar", 1.0)
    assert nisqa(0 * TONE, RATE, weights).reason == "estimate is silent"
    assert nisqa(TONE, 0, weights).reason.startswith("sample rate is 0 Hz")
    assert torchmetrics.rates == []


def test_the_real_network_with_random_weights_scores_as_torchmetrics_does(
    tmp_path, monkeypatch
):
    theirs = pytest.importorskip("torchmetrics.functional.audio.nisqa")
    pytest.importorskip("librosa")
    torch.manual_seed(0)
    network = theirs._NISQADIM(ARGUMENTS).eval()
    content = {"args": ARGUMENTS, "model_state_dict": network.state_dict()}
    torch.save(content, tmp_path / "nisqa.tar")
    monkeypatch.setattr(theirs, "_load_nisqa_model", lambda: (network, ARGUMENTS))
    noise = torch.from_numpy(np.random.default_rng(0).uniform(-0.5, 0.5, 48000))
    for rate in (RATE, 48000):
        expected = theirs.non_intrusive_speech_quality_assessment(noise.float(), rate)
        score = nisqa(noise.numpy(), rate, tmp_path / "nisqa.tar")
        assert score.value == pytest.approx(expected[0].item(), abs=1e-5)
    short = nisqa(noise.numpy()[:100], RATE, tmp_path / "nisqa.tar")
    assert short.reason == "NISQA failed: RuntimeError: Input signal is too short."
