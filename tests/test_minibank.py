"""The bundled corpus is what its README and its logs say."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

MINIBANK = Path(__file__).parents[1] / "data" / "minibank"
SCRIPT = MINIBANK / "make_minibank.py"
SUBSETS = {"trainset_28spk": "trainset", "testset": "testset"}
SPLITS = {
    "train": {f"p30{number}" for number in range(1, 9)},
    "valid": {"p226", "p287"},
    "test": {"p311", "p312"},
}


def load_noises():
    spec = importlib.util.spec_from_file_location("noises", MINIBANK / "noises.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


noises = load_noises()


def run_script(*arguments: str) -> str:
    command = [sys.executable, "-B", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def names(side: str, subset: str) -> list[str]:
    return sorted(path.stem for path in (MINIBANK / f"{side}_{subset}_wav").iterdir())


def read_log(log: str) -> dict[str, tuple[str, float]]:
    lines = (MINIBANK / f"log_{log}.txt").read_text().splitlines()
    rows = [line.split() for line in lines]
    return {name: (kind, float(snr)) for name, kind, snr in rows}


def read_pair(subset: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    clean, _ = soundfile.read(MINIBANK / f"clean_{subset}_wav" / f"{name}.flac")
    noisy, _ = soundfile.read(MINIBANK / f"noisy_{subset}_wav" / f"{name}.flac")
    return clean, noisy


def pairs():
    for subset, log in SUBSETS.items():
        for name, (kind, snr) in read_log(log).items():
            yield subset, name, kind, snr


def test_corpus_is_at_most_6_megabytes():
    files = [path for path in MINIBANK.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files if path.suffix != ".pyc")
    assert 1e6 < total <= 6e6


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_clean_file_has_its_noisy_file_and_its_line_in_the_log(subset):
    assert names("clean", subset) == names("noisy", subset)
    assert names("clean", subset) == sorted(read_log(SUBSETS[subset]))


def test_every_file_is_16_khz_mono_16_bit_flac_of_2_to_4_seconds():
    for path in MINIBANK.glob("*_wav/*"):
        info = soundfile.info(path)
        found = (info.format, info.subtype, info.samplerate, info.channels)
        assert found == ("FLAC", "PCM_16", 16000, 1), path.name
        assert 2 <= info.duration <= 4, path.name


def test_pairs_have_equal_lengths_and_stay_below_clipping():
    for subset, name, _, _ in pairs():
        clean, noisy = read_pair(subset, name)
        assert clean.shape == noisy.shape, name
        assert max(np.abs(clean).max(), np.abs(noisy).max()) < 0.96, name


def test_speakers_of_the_splits_are_disjoint_and_complete():
    in_trainset = {name.split("_")[0] for name in names("clean", "trainset_28spk")}
    in_testset = {name.split("_")[0] for name in names("clean", "testset")}
    assert in_trainset == SPLITS["train"] | SPLITS["valid"]
    assert in_testset == SPLITS["test"]
    assert sum(len(speakers) for speakers in SPLITS.values()) == 12
    assert len(in_trainset | in_testset) == 12


def test_no_sentence_is_spoken_twice():
    lines = (MINIBANK / "sentences.txt").read_text(encoding="ascii").splitlines()
    rows = [line.split(" ", 1) for line in lines]
    assert sorted(name for name, _ in rows) == sorted(name for _, name, _, _ in pairs())
    assert len({sentence for _, sentence in rows}) == len(rows)


def test_snr_of_noisy_minus_clean_is_the_one_in_the_log():
    for subset, name, _, snr in pairs():
        clean, noisy = read_pair(subset, name)
        energy_ratio = np.sum(clean**2) / np.sum((noisy - clean) ** 2)
        assert 10 * np.log10(energy_ratio) == pytest.approx(snr, abs=0.2), name


def test_most_test_noises_are_of_kinds_absent_from_training():
    train = {kind for kind, _ in read_log("trainset").values()}
    test = {kind for kind, _ in read_log("testset").values()}
    assert len(test - train) >= 3
    assert train | test == set(noises.NOISES) | set(noises.TALKER_NOISES)


def test_noise_in_the_files_is_the_one_the_synthesiser_makes_from_the_seed():
    compared = 0
    for subset, name, kind, _ in pairs():
        if kind in noises.TALKER_NOISES:
            continue
        clean, noisy = read_pair(subset, name)
        rng = noises.rng_for(2024, name, "noise")
        expected = noises.synthesize(kind, rng, len(clean))
        similarity = np.corrcoef(noisy - clean, expected)[0, 1]
        assert similarity > 0.999, (name, kind)
        compared += 1
    assert compared > 40


@pytest.mark.parametrize("kind", [*noises.NOISES, *noises.TALKER_NOISES])
@pytest.mark.parametrize("num_samples", [1, 777, 40000])
def test_synthesis_depends_on_the_keys_only_and_has_unit_rms(kind, num_samples):
    talkers = [np.sin(0.1 * np.arange(9000)), np.cos(0.03 * np.arange(5000))]
    first, again, other = (
        noises.synthesize(kind, noises.rng_for(seed, "law"), num_samples, talkers)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert first.shape == (num_samples,)
    assert np.sqrt(np.mean(first**2)) == pytest.approx(1, abs=1e-6)
    assert np.abs(first).max() < 1.5 * noises.MAX_CREST
    if num_samples > 1:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.9


def test_unknown_kind_missing_talkers_and_empty_noise_are_refused():
    rng = noises.rng_for(0)
    with pytest.raises(ValueError, match="thunder"):
        noises.synthesize("thunder", rng, 100)
    with pytest.raises(ValueError, match="talkers"):
        noises.synthesize("babble", rng, 100)
    with pytest.raises(ValueError, match="num_samples"):
        noises.synthesize("pink", rng, 0)


def test_script_explains_itself_and_its_examples_run():
    assert "espeak-ng" in run_script(str(SCRIPT), "--help")
    for path in (SCRIPT, MINIBANK / "noises.py"):
        assert run_script("-m", "doctest", str(path)) == ""


def test_measured_pesq_is_the_one_in_the_readme():
    output = run_script(str(SCRIPT), "--measure")
    measured = re.findall(r"(\w+): (\d+) pairs, .* PESQ ([\d.]+)", output)
    assert [split for split, _, _ in measured] == list(SPLITS)
    readme = (MINIBANK / "README.md").read_text()
    for split, count, score in measured:
        row = next(r for r in readme.splitlines() if r.startswith(f"| {split} |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[3] == count
        assert float(score) == pytest.approx(float(cells[5]), abs=0.02)
        assert 1.3 < float(score) < 2.6
