import numpy as np
import pytest
import soundfile
import torch

from sesame.inference import Separator, long_separation
from sesame.inference.audio_files import read_audio
from sesame.inference.file_separation import separate_file

RATE = 16000


class Halves(torch.nn.Module):
    """Gives every mixture to two speakers, three to one."""

    num_sources = 2

    def forward(self, mixture):
        return torch.stack((0.75 * mixture, 0.25 * mixture), dim=1)


@pytest.fixture
def separator():
    return Separator(Halves(), RATE, "cpu")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "mix.wav"
    soundfile.write(path, noise(4001, 2), 44100, subtype="PCM_24")
    return path


def noise(length, channels=1):
    return 0.1 * np.random.default_rng(0).standard_normal((length, channels))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_speaker_gets_a_mono_file_of_the_same_kind(separator, source, tmp_path):
    report = separator.separate_file(source, tmp_path / "new" / "out")
    folder = tmp_path / "new" / "out"
    assert names(folder) == ["mix_speaker1.wav", "mix_speaker2.wav"]
    for path in folder.iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels) == (44100, 4001, 1)
        assert (info.format, info.subtype) == ("WAV", "PCM_24")
    assert report.target == folder / "mix_speaker1.wav"
    assert (report.channels, report.seconds) == (2, 4001 / 44100)


def test_files_hold_what_the_samples_give(separator, source, tmp_path, monkeypatch):
    monkeypatch.setattr(long_separation, "WHOLE_SECONDS", 0.03)
    monkeypatch.setattr(long_separation, "WINDOW_SECONDS", 0.02)
    monkeypatch.setattr(long_separation, "CONTEXT_SECONDS", 0.003)
    monkeypatch.setattr(long_separation, "FADE_SECONDS", 0.004)
    separator.separate_file(source, tmp_path / "out")
    audio = read_audio(source)
    expected = separator(audio.waveform, audio.sample_rate)
    for number, samples in enumerate(expected, 1):
        found = read_audio(tmp_path / "out" / f"mix_speaker{number}.wav").waveform
        np.testing.assert_allclose(found[0], samples, atol=2**-23)


def test_silence_gives_silence(separator, tmp_path):
    soundfile.write(tmp_path / "mix.flac", np.zeros((3000, 2)), 48000)
    separator.separate_file(tmp_path / "mix.flac", tmp_path)
    for number in (1, 2):
        samples = read_audio(tmp_path / f"mix_speaker{number}.flac").waveform
        assert samples.shape == (1, 3000) and not samples.any()


@pytest.mark.parametrize("number", [1, 2])
def test_no_file_is_replaced_unless_told(separator, source, tmp_path, number):
    precious = tmp_path / f"mix_speaker{number}.wav"
    precious.write_text("precious")
    before = names(tmp_path)
    with pytest.raises(ValueError, match=rf"speaker{number}\.wav exists"):
        separator.separate_file(source, tmp_path)
    assert names(tmp_path) == before and precious.read_text() == "precious"
    separator.separate_file(source, tmp_path, overwrite=True)
    assert soundfile.info(precious).frames == 4001


def test_the_mixture_is_never_replaced(separator, source, tmp_path):
    (tmp_path / "mix_speaker2.wav").symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(ValueError, match="is the noisy file itself"):
        separator.separate_file(source, tmp_path, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize("where", ["network", "disk"])
def test_a_failure_leaves_nothing_behind(
    separator, source, tmp_path, monkeypatch, where
):
    def fail(*_):
        raise soundfile.LibsndfileError(2, "No space left on device. ")

    def interrupt(*_):
        raise KeyboardInterrupt

    if where == "disk":
        monkeypatch.setattr(soundfile.SoundFile, "write", fail)
        expected = pytest.raises(ValueError, match=r"cannot write .*speaker2")
    else:
        monkeypatch.setattr(separator.network, "forward", interrupt)
        expected = pytest.raises(KeyboardInterrupt)
    with expected:
        separator.separate_file(source, tmp_path)
    assert names(tmp_path) == ["mix.wav"]


def test_where_the_first_speaker_is_all_are(separator, source, tmp_path, monkeypatch):
    """Also where the process is killed between two files."""
    places, replace = [], type(source).replace

    def killed(path, target):
        places.append(target.name)
        if len(places) == 2:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(type(source), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        separator.separate_file(source, tmp_path)
    assert places == ["mix_speaker2.wav", "mix_speaker1.wav"]
    assert names(tmp_path) == ["mix.wav", "mix_speaker2.wav"]


def test_what_is_not_finite_is_refused_or_repaired(separator, tmp_path):
    samples = noise(500)
    samples[7] = np.nan
    soundfile.write(tmp_path / "mix.wav", samples, RATE, "FLOAT")
    with pytest.raises(ValueError, match="1 samples that are NaN"):
        separator.separate_file(tmp_path / "mix.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = separate_file(
        separator, tmp_path / "mix.wav", tmp_path / "out", repair_nonfinite=True
    )
    assert report.num_repaired == 1


def test_loud_samples_saturate_and_are_counted(separator, tmp_path):
    soundfile.write(tmp_path / "mix.wav", np.full(100, 2.0), RATE, "FLOAT")
    report = separator.separate_file(tmp_path / "mix.wav", tmp_path)
    assert report.num_clipped == 0
    assert read_audio(tmp_path / "mix_speaker1.wav").waveform.max() == 1.5


def test_a_file_without_samples_gives_such_files(separator, tmp_path):
    soundfile.write(tmp_path / "mix.aiff", np.zeros((0, 2)), 22050)
    report = separator.separate_file(tmp_path / "mix.aiff", tmp_path)
    assert soundfile.info(tmp_path / "mix_speaker2.aiff").frames == 0
    assert "has no sample" in report.warnings[0]
