"""Small corpora made on the spot."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.data.audio import list_audio, read_audio

TRAIN_NAMES = ("p225_001", "p225_002", "p226_001", "p2260_001", "p287_001")
TEST_NAMES = ("p232_001", "p257_001")


def write_audio(path, num_samples, rate=16_000, seed=0, subtype="PCM_16", channels=1):
    """Write noise at -20 dBFS."""
    rng = np.random.default_rng(seed)
    shape = num_samples if channels == 1 else (num_samples, channels)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * rng.standard_normal(shape), rate, subtype)
    return path


class Files:
    """Files of speech, to find out where a piece comes from."""

    def __init__(self, folder):
        self.samples = {p: read_audio(p).astype(np.float64) for p in list_audio(folder)}
        self.size = 2 ** int(np.ceil(np.log2(max(map(len, self.samples.values())) * 2)))
        self.spectra = {p: np.fft.rfft(x, self.size) for p, x in self.samples.items()}
        self.energy = {
            p: np.concatenate([[0], np.cumsum(x**2)]) for p, x in self.samples.items()
        }

    def that_hold(self, piece, speaker=""):
        """Those of which a signal is a scaled piece."""
        piece = np.asarray(piece, dtype=np.float64)
        conjugate, found = np.conj(np.fft.rfft(piece, self.size)), set()
        for path, spectrum in self.spectra.items():
            last = len(self.samples[path]) - len(piece)
            if last < 0 or not path.stem.startswith(speaker):
                continue
            dots = np.fft.irfft(spectrum * conjugate)[: last + 1]
            energy = self.energy[path]
            power = energy[len(piece) :] - energy[: last + 1]
            if (dots / np.sqrt(power * (piece @ piece) + 1e-12)).max() > 0.999:
                found.add(path)
        return found


@pytest.fixture(scope="session")
def files_in():
    """Factory: files_in(folder).that_hold(piece) -> paths."""
    return Files


@pytest.fixture
def audio_file(tmp_path):
    """Factory: audio_file("a.wav", num_samples, rate=..., ...) -> path."""

    def make(name, num_samples, **options):
        return write_audio(tmp_path / name, num_samples, **options)

    return make


@pytest.fixture
def make_corpus(tmp_path):
    """Factory of a small bank in the folders of VoiceBank+DEMAND."""

    def make(name="corpus", ending="", rate=16_000, suffix=".wav", parts=None):
        root = tmp_path / name
        everything = {"trainset_28spk": TRAIN_NAMES, "testset": TEST_NAMES}
        for part, utterances in (parts or everything).items():
            for utterance in utterances:
                length = (800 + 10 * len(utterance)) * rate // 16_000
                for kind in ("clean", "noisy"):
                    path = root / f"{kind}_{part}_wav{ending}" / f"{utterance}{suffix}"
                    seed = zlib.crc32(f"{kind}{utterance}".encode())
                    write_audio(path, length, rate, seed)
        return root

    return make


@pytest.fixture(scope="session")
def shared_audio():
    """Real speech and noise beside the checkout, where there is such a folder."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/data with real audio")
    return folder


@pytest.fixture
def librimix(tmp_path):
    """Factory of a small LibriMix as its scripts write it; gives its outer folder."""

    def make(
        num_speakers=2, rate=16_000, mode="min", sets=("train-100", "dev", "test")
    ):
        outer = tmp_path / "storage"
        root = outer / f"Libri{num_speakers}Mix" / f"wav{rate // 1000}k" / mode
        rng = np.random.default_rng(0)
        (root / "metadata").mkdir(parents=True)
        for name in sets:
            lengths = {"1-1-1_2-2-2": 4000, "3-3-3_4-4-4": 5000}
            for item_id, length in lengths.items():
                parts = 0.05 * rng.standard_normal((num_speakers + 1, length))
                signals = {f"s{j + 1}": parts[j] for j in range(num_speakers)}
                signals |= {"noise": parts[-1], "mix_clean": parts[:-1].sum(axis=0)}
                signals["mix_both"] = parts.sum(axis=0)
                for part, signal in signals.items():
                    path = root / name / part / f"{item_id}.wav"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, signal, rate)
            for task in ("mix_clean", "mix_both"):
                rows = [f"{i},/gone/{i}.wav,{n}" for i, n in lengths.items()]
                text = "\n".join(["mixture_ID,mixture_path,length", *rows])
                (root / "metadata" / f"mixture_{name}_{task}.csv").write_text(text)
        return outer

    return make
