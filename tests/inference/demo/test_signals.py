from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from sesame.inference.audio_files import read_audio
from sesame.inference.demo.signals import beginning, read_mono, read_shown


@pytest.fixture
def files(tmp_path):
    """Stereo noise with 24 bits and a tone, at 44100 Hz, half a second long."""
    time = np.arange(22_050) / 44_100
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] * [1.0, 0.5]
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, tone.shape)
    paths = SimpleNamespace(noise=tmp_path / "a.flac", tone=tmp_path / "b.wav")
    soundfile.write(paths.noise, noise, 44_100, subtype="PCM_24")
    soundfile.write(paths.tone, tone, 44_100, subtype="PCM_24")
    return paths


def test_mono_is_the_mean_of_the_channels(files):
    expected = read_audio(files.noise).waveform.mean(axis=0)
    np.testing.assert_allclose(read_mono(files.noise, 44_100), expected, atol=1e-15)


def test_mono_keeps_a_tone_when_it_is_resampled(files):
    time = np.arange(8000) / 16_000
    mono = read_mono(files.tone, 16_000)
    expected = 0.225 * np.sin(2 * np.pi * 440 * time)
    assert len(mono) == 8000
    np.testing.assert_allclose(mono[500:-500], expected[500:-500], atol=1e-4)


@pytest.mark.parametrize(
    "rate, shown", [(8000, 8000), (48_000, 48_000), (96_000, 48_000)]
)
def test_what_nobody_hears_is_not_shown(files, rate, shown):
    signals, found = read_shown({"noise": files.noise, "tone": files.tone}, rate)
    assert found == shown
    assert list(signals) == ["noise", "tone"]
    np.testing.assert_array_equal(signals["tone"], read_mono(files.tone, shown))


def test_the_beginning_of_a_short_signal_is_all_of_it():
    short = np.arange(9.0)
    np.testing.assert_array_equal(beginning(short, 16_000), short)
    long = np.arange(25.0)
    np.testing.assert_array_equal(beginning(long, 2), long[:24])
