import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import correlate, fftconvolve

from sesame.data.audio import audio_info, list_audio, read_audio
from sesame.data.librimix import prepare_librimix
from sesame.data.mini_librimix import make_mini_librimix, write_librimix
from sesame.data.separation import separation_dataset
from sesame.data.speaker_mixing import speaker_mixture_dataset

SETS = {"train": 40, "valid": 8, "test": 10}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """The bundled voices as Libri2Mix."""
    bank = Path(__file__).resolve().parents[2] / "data" / "minibank"
    return make_mini_librimix(bank, tmp_path_factory.mktemp("mini"))


def digest(folder):
    content = hashlib.sha256()
    for path in list_audio(folder):
        content.update(path.relative_to(folder).as_posix().encode())
        content.update(path.read_bytes())
    return content.hexdigest()


def test_mini_set_is_prepared_like_the_corpus(mini, tmp_path):
    prepare_librimix(mini.parent, tmp_path)
    for split, count in SETS.items():
        dataset = separation_dataset(tmp_path / f"{split}.json", mini.parent)
        assert len(dataset) == count
        item = dataset[count // 2]
        total = item["source_sigs"].sum(dim=0)
        assert len(total) > 2 * 16_000
        # Each file is rounded to 16 bits.
        torch.testing.assert_close(
            item["mixture_sig"], total, rtol=0, atol=1.6 * 2.0**-15
        )


def test_speakers_of_the_sets_do_not_meet(mini, minibank):
    """Also not as second talkers, whom no file name tells."""
    speakers = {
        "train-100": {f"p30{number}" for number in range(1, 9)},
        "dev": {"p226", "p287"},
        "test": {"p311", "p312"},
    }
    clean = {
        path.stem: read_audio(path)
        for part in ("trainset_28spk", "testset")
        for path in list_audio(minibank / f"clean_{part}_wav")
    }
    for name, allowed in speakers.items():
        folder = mini / "wav16k" / "min" / name
        first = {path.stem.split("_")[0] for path in list_audio(folder / "s1")}
        assert first == allowed
        for path in list_audio(folder / "s2")[::8]:
            whose = _origin(read_audio(path), clean)
            assert whose in allowed and whose != path.stem.split("_")[0]


def _origin(source, clean):
    """Speaker of the utterance that a source is a piece of."""
    piece = source[8_000:16_000]
    peaks = {}
    for name, whole in clean.items():
        dots = correlate(whole, piece, "valid", "fft")
        power = fftconvolve(np.square(whole), np.ones(len(piece), "f"), "valid")
        peaks[name] = (dots / np.sqrt(power * (piece @ piece) + 1e-9)).max()
    assert max(peaks.values()) > 0.99
    return max(peaks, key=peaks.get).split("_")[0]


def test_same_seed_same_files_and_another_seed_others(mini, minibank, tmp_path):
    again = make_mini_librimix(minibank, tmp_path / "again")
    assert digest(again) == digest(mini)
    other = make_mini_librimix(minibank, tmp_path / "other", seed=1)
    assert digest(other) != digest(mini)


def test_written_mixtures_are_those_of_the_data_set(minibank, tmp_path):
    dataset = speaker_mixture_dataset(
        minibank / "clean_testset_wav", 2, 4000, sample_rate=8_000, num_items=2
    )
    write_librimix({"test": dataset}, tmp_path, sample_rate=8_000)
    folder = tmp_path / "wav8k" / "min" / "test"
    for item in dataset:
        path = folder / "s2" / f"{item['id']}.wav"
        assert audio_info(path) == (4000, 8_000, 1)
        written = torch.from_numpy(read_audio(path))
        torch.testing.assert_close(
            written, item["source_sigs"][1], rtol=0, atol=0.51 * 2.0**-15
        )


def test_too_few_voices_for_three_talkers_are_refused(minibank, tmp_path):
    with pytest.raises(ValueError, match=r"num_speakers \(3\).*\(2: p226, p287\)"):
        make_mini_librimix(minibank, tmp_path, num_speakers=3)
    assert not list(tmp_path.iterdir())
