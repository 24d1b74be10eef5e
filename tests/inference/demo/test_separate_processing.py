import numpy as np
import pytest
import soundfile
import torch

from sesame.features import match_levels
from sesame.inference import Separator, long_separation
from sesame.inference.audio_files import read_audio
from sesame.inference.demo import signals
from sesame.inference.demo.separate_processing import separate_upload
from sesame.models import BSRNN, TFConformer

pytest.importorskip("matplotlib")
RATE = 44_100


@pytest.fixture
def mixture(tmp_path):
    """Half a second in stereo with 24 bits."""
    path = tmp_path / "mix.flac"
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (22_050, 2))
    soundfile.write(path, noise, RATE, subtype="PCM_24")
    return path


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def _sources(result):
    return np.concatenate([read_audio(path).waveform for path in result.speakers])


def _titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_sources_are_those_of_the_separator_elsewhere(separator, mixture, results):
    result = separate_upload(separator, mixture, results, 2.0)
    names = ["mix_speaker1.wav", "mix_speaker2.wav"]
    assert [path.name for path in result.speakers] == names
    for path in result.speakers:
        audio = read_audio(path)
        assert (audio.sample_rate, audio.subtype) == (RATE, "PCM_24")
        assert audio.waveform.shape == (1, 22_050)
    expected = separator(read_audio(mixture).waveform, RATE)
    np.testing.assert_allclose(_sources(result), expected, rtol=0, atol=2**-23)


@pytest.mark.parametrize("subtype, step", [("PCM_16", 2**-15), ("FLOAT", 1e-6)])
def test_sources_are_what_the_network_gives(separator, mixture, results, subtype, step):
    noise = 0.1 * np.random.default_rng(0).standard_normal(4001)
    soundfile.write(mixture.with_suffix(".wav"), noise, 16_000, subtype=subtype)
    mixture = mixture.with_suffix(".wav")
    found = _sources(separate_upload(separator, mixture, results, 2.0))
    waveform = torch.from_numpy(read_audio(mixture).waveform).float()
    with torch.inference_mode():
        (expected,) = match_levels(separator.network(waveform), waveform).numpy()
    assert np.abs(expected).max() > 10 * step
    np.testing.assert_allclose(found, expected, rtol=0, atol=step)
    total = expected.sum(axis=0)
    np.testing.assert_allclose(found.sum(axis=0), total, rtol=0, atol=2 * step)


@pytest.mark.parametrize("num_sources", [2, 3])
def test_every_speaker_is_shown(separator_folder, mixture, results, num_sources):
    folder = separator_folder(num_sources=num_sources).folder
    separator = Separator.from_pretrained(folder, "cpu")
    result = separate_upload(separator, mixture, results, 2.0)
    speakers = [f"speaker {number + 1}" for number in range(num_sources)]
    assert _titles(result.spectrograms) == ["mixture", *speakers]
    assert len(result.speakers) == num_sources
    who = next(
        a for a in result.experts.axes if a.get_title(loc="left") == "who speaks"
    )
    assert [label.get_text() for label in who.get_yticklabels()] == [
        *speakers,
        "voiced",
    ]


@pytest.mark.parametrize("system", [TFConformer, BSRNN])
def test_a_dense_network_has_no_expert_map(mixture, results, system):
    torch.manual_seed(0)
    sizes = {"n_fft": 512, "channels": 4, "num_blocks": 1}
    if system is TFConformer:
        sizes |= {"num_bands": 6, "num_heads": 2, "head_channels": 4}
    dense = Separator(system(**sizes), 16_000, "cpu")
    result = separate_upload(dense, mixture, results, 2.0)
    assert result.experts is None
    assert len(result.spectrograms.axes) == 3


def test_the_experts_are_those_of_the_beginning(
    separator, mixture, results, monkeypatch
):
    monkeypatch.setattr(signals, "MAP_SECONDS", 0.25)
    result = separate_upload(separator, mixture, results, 2.0)
    assert _titles(result.experts)[0] == "mixture"
    left, right = result.experts.axes[0].get_xlim()
    assert (left, right) == (0.0, pytest.approx(0.25, abs=1e-3))
    _, right = result.spectrograms.axes[0].get_xlim()
    assert right == 0.5


@pytest.mark.parametrize("length", [1, 2, 800])
def test_silence_of_any_length_stays_silent(separator, mixture, results, length):
    soundfile.write(mixture, np.zeros(length), 8000)
    sources = _sources(separate_upload(separator, mixture, results, 2.0))
    assert sources.shape == (2, length)
    assert not sources.any()


@pytest.mark.parametrize("rate", [4000, 96_000, 384_000])
def test_every_rate_within_the_limits_is_shown(separator, mixture, results, rate):
    noise = np.random.default_rng(0).normal(0, 0.1, rate // 10)
    path = mixture.with_suffix(".wav")
    soundfile.write(path, noise, rate)
    result = separate_upload(separator, path, results, 2.0)
    assert _sources(result).shape == (2, rate // 10)
    _, top = result.spectrograms.axes[0].get_ylim()
    assert top == min(rate, 48_000) / 2000


def test_the_one_who_is_told_of_progress_can_end_the_work_after_any_window(
    separator, mixture, results, monkeypatch
):
    for name, seconds in [("WHOLE", 0.1), ("WINDOW", 0.1), ("CONTEXT", 0.02)]:
        monkeypatch.setattr(long_separation, f"{name}_SECONDS", seconds)
    monkeypatch.setattr(long_separation, "FADE_SECONDS", 0.01)
    told = []

    def report(fraction, step):
        told.append((fraction, step))
        if step == "separating" and fraction > 0.3:
            raise ValueError("enough")

    with pytest.raises(ValueError, match=r"^enough$"):
        separate_upload(separator, mixture, results, 2.0, report)
    assert [step for _, step in told].count("separating") > 2
    assert told == sorted(told)
    assert told[-1][0] < 0.6
    assert [path.name for path in results.iterdir()] == ["mix.wav"]


@pytest.mark.parametrize(
    "content, message",
    [
        (np.zeros(0), "the mixture has no sample"),
        (np.zeros(9000), "the mixture lasts more than 2 s"),
        (np.full(9, np.inf), "the mixture holds NaN or infinite samples"),
    ],
)
def test_a_refused_file_leaves_nothing(separator, tmp_path, results, content, message):
    path = tmp_path / "mix.wav"
    soundfile.write(path, content, 4000, subtype="FLOAT")
    with pytest.raises(ValueError, match=message) as caught:
        separate_upload(separator, path, results, 2.0)
    assert str(tmp_path) not in str(caught.value)
    assert not list(results.iterdir())


def test_what_is_no_sound_is_refused_by_its_name(separator, tmp_path, results):
    path = tmp_path / "mix.wav"
    path.write_text("no sound in here")
    with pytest.raises(
        ValueError, match=r"^cannot read the mixture as audio: "
    ) as caught:
        separate_upload(separator, path, results, 2.0)
    assert str(tmp_path) not in str(caught.value)
