from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from sesame.features import CompressedSTFT
from sesame.inference import Enhancer, FlowEnhancer
from sesame.inference.audio_files import read_audio
from sesame.inference.demo import signals
from sesame.inference.demo.priors import Priors
from sesame.inference.demo.processing import enhance_upload, score_table
from sesame.inference.demo.signals import read_mono
from sesame.inference.prior_inputs import read_far_end
from sesame.metrics import score_pair
from sesame.models import MPSENet

pytest.importorskip("matplotlib")


@pytest.fixture
def files(tmp_path):
    """A stereo pair at 44100 Hz with 24 bits, half a second long."""
    rng = np.random.default_rng(0)
    time = np.arange(22_050) / 44_100
    clean = 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] * [1.0, 0.5]
    noisy = clean + rng.normal(0, 0.05, clean.shape)
    paths = SimpleNamespace(noisy=tmp_path / "a.flac", clean=tmp_path / "b.wav")
    soundfile.write(paths.noisy, noisy, 44_100, subtype="PCM_24")
    soundfile.write(paths.clean, clean, 44_100, subtype="PCM_24")
    paths.folder = tmp_path / "results"
    paths.folder.mkdir()
    return paths


def _titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_the_result_is_that_of_the_enhancer_elsewhere(enhancer, files, tmp_path):
    result = enhance_upload(enhancer, files.noisy, None, files.folder, 2.0)
    enhancer.enhance_file(files.noisy, tmp_path / "expected.wav")
    expected, found = read_audio(tmp_path / "expected.wav"), read_audio(result.enhanced)
    assert (found.sample_rate, found.subtype) == (44_100, "PCM_24")
    np.testing.assert_array_equal(found.waveform, expected.waveform)
    noisy = read_audio(files.noisy).waveform
    np.testing.assert_array_equal(read_audio(result.noisy).waveform, noisy)


@pytest.mark.parametrize("options", [{"max_attenuation_db": 0}, {"dry": 1.0}])
def test_options_reach_the_enhancer(enhancer, files, options):
    result = enhance_upload(enhancer, files.noisy, None, files.folder, 2.0, **options)
    noisy = read_audio(files.noisy).waveform
    np.testing.assert_allclose(read_audio(result.enhanced).waveform, noisy, atol=2e-7)


def test_without_a_reference_there_is_no_score(enhancer, files):
    result = enhance_upload(enhancer, files.noisy, None, files.folder, 2.0)
    assert result.scores == ""
    assert _titles(result.spectrograms) == ["noisy", "enhanced"]


def test_with_a_reference_both_are_scored(enhancer, files):
    result = enhance_upload(enhancer, files.noisy, files.clean, files.folder, 2.0)
    signals = {
        title: read_mono(path, 44_100)
        for title, path in [("noisy", files.noisy), ("enhanced", result.enhanced)]
    }
    clean = read_mono(files.clean, 44_100)
    rows = {title: score_pair(s, clean, 44_100) for title, s in signals.items()}
    assert result.scores == score_table(rows)
    assert np.isfinite(rows["noisy"]["si_sdr"])
    assert _titles(result.spectrograms) == ["noisy", "enhanced", "clean reference"]


def test_a_reference_of_another_length_is_drawn_but_not_scored(enhancer, files):
    soundfile.write(files.clean, np.ones(9000), 44_100)
    result = enhance_upload(enhancer, files.noisy, files.clean, files.folder, 2.0)
    assert "| pesq | n/a | n/a |" in result.scores
    assert len(result.spectrograms.axes) == 3


def test_a_reference_may_have_another_rate(enhancer, files):
    soundfile.write(files.clean, np.zeros(8000), 16_000)
    result = enhance_upload(enhancer, files.noisy, files.clean, files.folder, 2.0)
    # Silence has no score, for that reason and not for its length.
    assert "si_sdr: target is silent" in result.scores


def test_the_experts_are_those_of_the_beginning(enhancer, files, monkeypatch):
    monkeypatch.setattr(signals, "MAP_SECONDS", 0.25)
    result = enhance_upload(enhancer, files.noisy, None, files.folder, 2.0)
    assert len(result.experts.axes) == 3
    left, right = result.experts.axes[0].get_xlim()
    assert (left, right) == (0.0, pytest.approx(0.25, abs=1e-4))


@pytest.mark.parametrize(
    "system", ["SEMamba", "MambAttention sparse", "XLSTMSENet"], indirect=True
)
def test_other_systems_are_shown_alike(system, files):
    enhancer = Enhancer.from_pretrained(system.folder, "cpu")
    result = enhance_upload(enhancer, files.noisy, files.clean, files.folder, 2.0)
    assert read_audio(result.enhanced).waveform.shape == (2, 22_050)
    assert _titles(result.spectrograms) == ["noisy", "enhanced", "clean reference"]
    assert "| si_sdr [dB] |" in result.scores
    assert (result.experts is not None) == ("sparse" in system.key)


def test_a_dense_network_has_no_expert_map(files):
    torch.manual_seed(0)
    network = MPSENet(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    dense = Enhancer(network, transform, 16000, device="cpu")
    assert enhance_upload(dense, files.noisy, None, files.folder, 2.0).experts is None


def test_a_seflow_has_no_expert_map_and_hears_what_is_beside(flow_network, files):
    enhancer = FlowEnhancer(flow_network, "cpu")
    far_end = read_far_end(np.ones(800), 44_100)._replace(name="the far end")
    options = {"max_seconds": 2.0, "priors": Priors(None, far_end)}
    result = enhance_upload(enhancer, files.noisy, files.clean, files.folder, **options)
    assert result.experts is None
    assert result.sample_rate == 44_100
    (warning,) = result.warnings
    assert warning.startswith("the far end lasts 0.018 s, the signal 0.500 s")
    noisy = read_audio(files.noisy).waveform
    with pytest.warns(UserWarning, match="the far end lasts 0.018 s"):
        expected = enhancer(noisy, 44_100, far_end=far_end).clip(-1, 1)
    found = read_audio(result.enhanced).waveform
    np.testing.assert_allclose(found, expected, rtol=0, atol=2**-20)
    assert "| pesq |" in result.scores


def test_the_rate_of_the_upload_is_told(enhancer, files):
    result = enhance_upload(enhancer, files.noisy, None, files.folder, 2.0)
    assert (result.sample_rate, result.warnings) == (44_100, ())


@pytest.mark.parametrize("length", [1, 2, 800])
def test_silence_of_any_length_stays_silent(enhancer, files, length):
    soundfile.write(files.noisy, np.zeros(length), 8000)
    result = enhance_upload(enhancer, files.noisy, files.noisy, files.folder, 2.0)
    enhanced = read_audio(result.enhanced).waveform
    assert enhanced.shape == (1, length)
    assert not enhanced.any()


@pytest.mark.parametrize("rate", [4000, 96_000, 384_000])
def test_every_rate_within_the_limits_is_shown(enhancer, files, rate):
    noise = np.random.default_rng(0).normal(0, 0.1, rate // 10)
    soundfile.write(files.noisy, noise, rate)
    result = enhance_upload(enhancer, files.noisy, None, files.folder, 2.0)
    assert read_audio(result.enhanced).waveform.shape == (1, rate // 10)
    _, top = result.spectrograms.axes[0].get_ylim()
    assert top == min(rate, 48_000) / 2000


def test_the_one_who_is_told_of_progress_can_end_the_work(enhancer, files):
    told = []

    def report(fraction, step):
        told.append(fraction)
        if step == "enhancing":
            raise ValueError("enough")

    with pytest.raises(ValueError, match=r"^enough$"):
        enhance_upload(enhancer, files.noisy, None, files.folder, 2.0, report=report)
    assert told == sorted(told)
    assert [path.name for path in files.folder.iterdir()] == ["a_noisy.wav"]


@pytest.mark.parametrize("bad", ["noisy", "clean"])
def test_a_refused_file_is_named_by_its_part(enhancer, files, bad):
    getattr(files, bad).write_text("no sound in here")
    with pytest.raises(ValueError) as caught:
        enhance_upload(enhancer, files.noisy, files.clean, files.folder, 2.0)
    name = {"noisy": "the noisy recording", "clean": "the clean reference"}[bad]
    assert str(caught.value).startswith(f"cannot read {name} as audio: ")
    assert str(files.folder.parent) not in str(caught.value)


def test_a_reason_that_several_signals_share_stands_once():
    row = {"pesq": float("nan"), "reasons": {"pesq": "target is silent"}}
    table = score_table({"noisy": row, "enhanced": row})
    assert table.count("pesq: target is silent") == 1
    assert "| pesq | n/a | n/a |" in table


def test_units_and_the_scale_stand_beside_the_names():
    row = {"si_sdr": 10.0, "csig": 3.0, "stoi": 0.5, "reasons": {}}
    lines = score_table({"noisy": row}).splitlines()
    assert lines[2:] == [
        "| si_sdr [dB] | 10.000 |",
        "| csig (loizou) | 3.000 |",
        "| stoi | 0.500 |",
    ]
