"""Real speech, and rooms that are simulated once."""

import numpy as np
import pytest

from sesame.data.audio import list_audio, read_audio
from sesame.data.degradations.rooms import simulate_rooms

RATE = 16_000


@pytest.fixture(scope="session")
def rooms():
    """Eight rooms at 16 kHz."""
    pytest.importorskip("pyroomacoustics")
    return simulate_rooms(8, RATE)


@pytest.fixture(scope="session")
def talkers(minibank):
    """Four seconds of each of four speakers of the bundled corpus."""
    files = list_audio(minibank / "clean_trainset_28spk_wav")
    chosen = []
    for speaker in ("p301", "p302", "p305", "p306"):
        said = [read_audio(path, RATE) for path in files if path.stem[:4] == speaker]
        chosen.append(np.resize(np.concatenate(said), 4 * RATE))
    return chosen


@pytest.fixture(scope="session")
def speech(talkers):
    """Four seconds of one of them."""
    return talkers[0]


@pytest.fixture(scope="session")
def noise(speech):
    """Pink noise that swells, as long as the speech."""
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft(rng.normal(size=len(speech)))
    spectrum /= np.sqrt(np.arange(len(spectrum)) + 10)
    swell = 1.5 + np.sin(np.linspace(0, 9, len(speech)))
    return (0.1 * swell * np.fft.irfft(spectrum)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
