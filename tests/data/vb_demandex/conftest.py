"""A small VoiceBank, a small DEMAND, and folders of neither form."""

import zlib

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from sesame.data.vb_demandex.sources import CATEGORIES

RATE = 16_000
FILTER = np.real(np.poly([0.9 * np.exp(1j * f) for f in (0.3, -0.3, 1.1, -1.1)]))


def speech_like(name, num_samples):
    """Coloured noise in bursts, with pauses; the name is the seed."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    wave = lfilter([1.0], FILTER, rng.standard_normal(num_samples))
    loud = np.repeat(rng.uniform(0, 1, num_samples // 800 + 1) > 0.2, 800)
    loud[:800] = True
    return 0.1 * wave / wave.std() * np.where(loud[:num_samples], 1, 1e-3)


def write(path, wave, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate)
    return path


@pytest.fixture
def voicebank(tmp_path):
    """Clean folders of the published corpus, and noisy ones that must not be read."""
    root = tmp_path / "voicebank"
    names = {
        "trainset_28spk": ["p225_1", "p225_2", "p226_1", "p282_1", "p287_1", "p287_2"],
        "testset": ["p232_1", "p257_1", "p257_2"],
    }
    for part, utterances in names.items():
        for name in utterances:
            length = 5000 + zlib.crc32(name.encode()) % 3000
            wave = speech_like(name, length)
            write(root / f"clean_{part}_wav" / f"{name}.wav", wave)
            write(root / f"noisy_{part}_wav" / f"{name}.wav", wave + 0.01)
    return root


@pytest.fixture
def demand(tmp_path):
    """All 18 environments, channels 1, 12, 13, 15 and 16; SCAFE at 48 kHz."""
    root = tmp_path / "demand"
    for names in CATEGORIES.values():
        for name in names:
            rate, ending = (48_000, "_48k") if name == "SCAFE" else (RATE, "")
            for channel in (1, 12, 13, 15, 16):
                rng = np.random.default_rng(zlib.crc32(f"{name}{channel}".encode()))
                wave = 0.05 * rng.standard_normal(4000 * rate // RATE)
                write(root / f"{name}{ending}" / f"ch{channel:02d}.wav", wave, rate)
    return root


@pytest.fixture
def plain(tmp_path):
    """Speech of five speakers and noise of three formats, in no known form."""
    root = tmp_path / "plain"
    for name in ("10-1-1", "10-1-2", "20-1-1", "30-1-1", "40-1-1", "50-1-1"):
        write(root / "speech" / f"{name}.flac", speech_like(name, 6000))
    rng = np.random.default_rng(0)
    write(root / "noise" / "rain.ogg", 0.1 * rng.standard_normal(9000))
    write(root / "noise" / "deep" / "fan.wav", 0.1 * rng.standard_normal(5000))
    barks = 0.3 * rng.standard_normal(12_000) * (np.arange(12_000) % 4000 < 2500)
    write(root / "noise" / "dog.wav", barks, 8_000)
    return root
