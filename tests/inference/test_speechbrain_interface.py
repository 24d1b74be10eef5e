import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sesame.inference import Enhancer
from sesame.inference.resampling import resample
from sesame.inference.speechbrain_interface import SesameEnhancement

ROOT = Path(__file__).resolve().parents[2]
CPU = {"device": "cpu"}
NOTHING = {"source.wav", "model"}


@pytest.fixture
def model(model_folder):
    return SesameEnhancement.from_hparams(model_folder, run_opts=CPU)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_batch_is_that_of_the_enhancer_to_the_bit(model, model_folder):
    noisy, lengths = noise(3, 900), torch.tensor([1.0, 0.5, 0.9])
    enhancer = Enhancer.from_pretrained(model_folder, device="cpu")
    expected = enhancer.enhance_batch(noisy, lengths)
    assert expected.abs().amax() > 0
    assert torch.equal(model.enhance_batch(noisy, lengths), expected)
    assert torch.equal(model(noisy, lengths=lengths), expected)
    whole = torch.stack([enhancer(item, 16000) for item in noisy])
    assert torch.equal(model.enhance_batch(noisy), whole)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    ends=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    gain=st.sampled_from([1e-3, 1.0, 100.0]),
    padding=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_an_item_depends_on_nothing_but_itself(model, ends, gain, padding):
    """Neither on its padding, whatever is in it, nor on its batch mates."""
    longest = max(ends)
    items = [noise(end, seed=end) * gain ** (k % 2) for k, end in enumerate(ends)]
    batch = torch.full((len(ends), longest), padding)
    for row, item in zip(batch, items, strict=True):
        row[: len(item)] = item
    enhanced = model.enhance_batch(batch, torch.tensor(ends) / longest)
    for row, item in zip(enhanced, items, strict=True):
        alone = model.enhance_batch(item[None])[0]
        bound = 1e-4 * float(item.abs().amax())
        assert (row[: len(item)] - alone).abs().amax() <= bound
        assert not row[len(item) :].any()


def test_nothing_is_recorded_for_gradients(model):
    noisy = noise(1, 300).requires_grad_()
    assert not model.enhance_batch(noisy).requires_grad
    assert not any(p.requires_grad for p in model.parameters())
    assert not model.mods.generator.training


def test_bfloat16_is_close_and_not_the_same(model_folder, model):
    options = CPU | {"precision": "bf16"}
    coarse = SesameEnhancement.from_hparams(model_folder, run_opts=options)
    noisy = noise(1, 2000)
    exact, rounded = model.enhance_batch(noisy), coarse.enhance_batch(noisy)
    error = float((rounded - exact).norm() / exact.norm())
    assert 1e-5 < error < 0.1


def test_all_moves_to_another_device(model, tmp_path):
    moved = model.to("meta")
    assert moved is model and model.device == "meta"
    enhancer = model.enhancer
    assert enhancer.device.type == "meta"
    assert next(enhancer.network.parameters()).device.type == "meta"
    soundfile.write(tmp_path / "a.wav", np.zeros(9), 16000)
    assert model.load_audio(tmp_path / "a.wav").device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives(model):
    noisy = noise(2, 2000)
    expected = model.enhance_batch(noisy)
    enhanced = model.to("cuda").enhance_batch(noisy)
    torch.testing.assert_close(enhanced.cpu(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w.pop("noise_context.norm.bias"), "missing: noise_context.norm"),
        (lambda w: w.pop(next(k for k in w if "expert_bias" in k)), "expert_bias"),
        (lambda w: w.update(extra=torch.zeros(1)), "unknown: extra"),
        (lambda w: w.update({"noise_context.norm.bias": torch.zeros(9)}), "misshapen"),
    ],
)
def test_weights_of_another_network_are_refused(model_folder, change, reason):
    path = model_folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    with pytest.raises(ValueError, match=reason) as caught:
        SesameEnhancement.from_hparams(model_folder, run_opts=CPU)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (None, r"absent must hold .*: there is no such folder"),
        (["model.safetensors"], r"absent must hold .*: hyperparams\.yaml is missing"),
        (["hyperparams.yaml"], r"absent must hold .*: model\.safetensors is missing"),
    ],
)
def test_a_folder_that_is_none_is_one_plain_error(tmp_path, no_network, files, reason):
    for name in files or []:
        (tmp_path / "absent").mkdir(exist_ok=True)
        (tmp_path / "absent" / name).write_text("x: 1")
    with pytest.raises(ValueError, match=reason) as caught:
        SesameEnhancement.from_hparams(str(tmp_path / "absent"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", ["modules:", "sample_rate:"])
def test_an_entry_that_is_missing_is_named(model_folder, entry):
    path = model_folder / "hyperparams.yaml"
    path.write_text(path.read_text().replace(entry, "other:"))
    with pytest.raises(ValueError, match=r"generator|sample_rate"):
        SesameEnhancement.from_hparams(model_folder, run_opts=CPU)


def test_hyperparams_can_be_overridden(model_folder):
    changed = SesameEnhancement.from_hparams(
        model_folder, overrides={"sample_rate": 8000}, run_opts=CPU
    )
    assert changed.enhancer.sample_rate == 8000


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", ["model", "./model", "absolute"])
@pytest.mark.parametrize("savedir", [None, "saved"])
def test_a_folder_is_read_in_place(
    model_folder, tmp_path, monkeypatch, no_network, name, savedir
):
    soundfile.write(tmp_path / "source.wav", noise(500).numpy(), 16000)
    monkeypatch.chdir(tmp_path)
    before = sorted(model_folder.iterdir())
    source = model_folder if name == "absolute" else name
    model = SesameEnhancement.from_hparams(source, savedir=savedir, run_opts=CPU)
    model.enhance_file("source.wav")
    assert {path.name for path in tmp_path.iterdir()} == NOTHING
    assert sorted(model_folder.iterdir()) == before


def test_two_files_of_one_name_are_two_files(model, tmp_path):
    """SpeechBrain's own load_audio with a savedir gives the first one twice."""
    for name, value in (("a", 0.1), ("b", 0.2)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", np.full(9, value), 16000, "FLOAT")
    loaded = [model.load_audio(tmp_path / name / "x.wav")[0] for name in "ab"]
    assert loaded == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 44101, 96000])
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_is_loaded_at_the_rate_of_the_network(model, tmp_path, rate, channels):
    times = np.arange(rate // 2) / rate
    tones = np.stack([np.sin(2 * np.pi * f * times) for f in (440, 1000)[:channels]])
    path = tmp_path / "tone.wav"
    soundfile.write(path, tones.T, rate, subtype="DOUBLE")
    loaded = model.load_audio(path)
    assert loaded.dtype == torch.float32
    assert loaded.shape == ((8000,) if channels == 1 else (channels, 8000))
    expected = resample(tones, rate, 16000).reshape(loaded.shape)
    assert np.array_equal(loaded.numpy(), expected.astype(np.float32))
    seconds = torch.arange(8000) / 16000
    for row, tone in zip(loaded.reshape(-1, 8000), (440, 1000), strict=False):
        ideal = torch.sin(2 * torch.pi * tone * seconds)
        assert (row - ideal)[1000:-1000].abs().amax() < 1e-3


@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_is_enhanced_as_the_enhancer_does(model, tmp_path, channels):
    path = tmp_path / "a.wav"
    noisy = noise(channels, 800).numpy()
    soundfile.write(path, noisy.T, 16000, subtype="FLOAT")
    enhanced = model.enhance_file(path, max_attenuation_db=12)
    expected = model.enhancer(noisy, 16000, max_attenuation_db=12)
    assert np.array_equal(enhanced.numpy(), expected.reshape(enhanced.shape))
    assert enhanced.ndim == channels


def test_a_written_file_keeps_its_kind_and_is_what_is_returned(
    model, noisy_file, tmp_path
):
    target = tmp_path / "enhanced.wav"
    enhanced = model.enhance_file(noisy_file, target)
    source, written = soundfile.info(noisy_file), soundfile.info(target)
    for name in ("samplerate", "channels", "frames", "subtype"):
        assert getattr(written, name) == getattr(source, name)
    assert torch.equal(enhanced, model.load_audio(target))
    twin = tmp_path / "twin.wav"
    model.enhancer.enhance_file(noisy_file, twin)
    assert target.read_bytes() == twin.read_bytes()
    with pytest.raises(ValueError, match="exists"):
        model.enhance_file(noisy_file, target)
    model.enhance_file(noisy_file, target, overwrite=True)


def test_the_shipped_model_is_that_of_the_enhancer(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = ROOT / "pretrained" / "sesame-small"
    model = SesameEnhancement.from_hparams(str(folder), run_opts=CPU)
    noisy = noise(8000)
    expected = Enhancer.from_pretrained(folder, device="cpu")(noisy, 16000)
    assert torch.equal(model.enhance_batch(noisy[None])[0], expected)
    assert not list(tmp_path.iterdir())


def test_only_this_module_runs_hyperparams(model_folder, tmp_path):
    """The same folder: the enhancer leaves the canary alone, SpeechBrain does not."""
    canary = tmp_path / "canary"
    path = model_folder / "hyperparams.yaml"
    path.write_text(path.read_text() + f"x: !apply:os.mkdir [{canary}]\n")
    Enhancer.from_pretrained(model_folder, device="cpu")
    assert not canary.exists()
    SesameEnhancement.from_hparams(model_folder, run_opts=CPU)
    assert canary.exists()


def test_the_enhancer_does_not_import_this_module():
    code = (
        "import sys, sesame.inference.enhancer; "
        "sys.exit(any(name.startswith(('hyperpyyaml', 'speechbrain'))"
        " for name in sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, env=environment, check=False).returncode == 0
