import json
import logging
import shutil

import pytest

from sesame.data.librimix import FULL_COUNTS, prepare_librimix
from sesame.data.separation import separation_dataset

SETS = {"train": "train-100", "valid": "dev", "test": "test"}


def paths_of(manifest):
    return json.loads(manifest.read_text())


@pytest.mark.parametrize("num_speakers", [2, 3])
@pytest.mark.parametrize(("rate", "name"), [(16_000, "wav16k"), (8_000, "wav8k")])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("task", ["mix_clean", "mix_both"])
def test_every_kind_of_librimix_is_found(
    librimix, tmp_path, num_speakers, rate, name, mode, task
):
    root = librimix(num_speakers=num_speakers, rate=rate, mode=mode)
    save = tmp_path / "save"
    prepare_librimix(root, save, num_speakers, rate, mode, task)
    for split, folder in SETS.items():
        entries = paths_of(save / f"{split}.json")
        for item_id, entry in entries.items():
            base = f"{{data_root}}/Libri{num_speakers}Mix/{name}/{mode}/{folder}"
            assert entry["mixture_wav"] == f"{base}/{task}/{item_id}.wav"
            last = f"s{num_speakers}"
            assert entry[f"{last}_wav"] == f"{base}/{last}/{item_id}.wav"
            assert f"s{num_speakers + 1}_wav" not in entry
        dataset = separation_dataset(save / f"{split}.json", root, sample_rate=rate)
        for item in dataset:
            assert item["source_sigs"].shape[0] == num_speakers
            length = entries[item["id"]]["length"]
            assert len(item["mixture_sig"]) == round(length * rate)


def test_the_corpus_itself_is_a_data_folder_too(librimix, tmp_path):
    root = librimix()
    prepare_librimix(root / "Libri2Mix", tmp_path / "save")
    entry = paths_of(tmp_path / "save" / "test.json")["1-1-1_2-2-2"]
    assert entry["s1_wav"] == "{data_root}/wav16k/min/test/s1/1-1-1_2-2-2.wav"


def test_the_larger_training_set_is_a_choice(librimix, tmp_path):
    root = librimix(sets=("train-100", "train-360", "dev", "test"))
    prepare_librimix(root, tmp_path, train_set="train-360")
    entries = paths_of(tmp_path / "train.json").values()
    assert all("/train-360/" in entry["s2_wav"] for entry in entries)


def test_only_the_sets_asked_for_are_needed(librimix, tmp_path):
    root = librimix(sets=("test",))
    prepare_librimix(root, tmp_path / "save", splits=["test"])
    names = {path.name for path in (tmp_path / "save").iterdir()}
    assert names == {"test.json", "fingerprint.json"}


def test_a_partial_corpus_is_told_and_remembered(librimix, tmp_path, caplog):
    root = librimix()
    with caplog.at_level(logging.WARNING):
        prepare_librimix(root, tmp_path / "save")
    assert "2 mixtures in" in caplog.text and "has 13900" in caplog.text
    fingerprint = json.loads((tmp_path / "save" / "fingerprint.json").read_text())
    assert fingerprint["complete"] == dict.fromkeys(SETS.values(), False)
    assert fingerprint["splits"]["valid"]["num_mixtures"] == 2


def test_a_complete_set_is_no_reason_to_warn(librimix, tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(FULL_COUNTS[2], "test", 2)
    with caplog.at_level(logging.WARNING):
        prepare_librimix(librimix(), tmp_path / "save", splits=["test"])
    assert not caplog.records


def test_what_is_missing_is_named_with_ways_to_go_on(librimix, tmp_path):
    root = librimix(rate=8_000)
    with pytest.raises(ValueError) as caught:
        prepare_librimix(root, tmp_path / "save")
    text = str(caught.value)
    assert "wav16k/min/train-100 lacks mix_clean, s1, s2" in text
    assert "There is: wav8k/min/dev/mix_both, wav8k/min/dev/mix_clean" in text
    assert "--n_src 2 --freqs 16k --modes min --types mix_clean" in text
    assert "speaker_mixture_dataset" in text
    with pytest.raises(ValueError, match="There is: none"):
        prepare_librimix(tmp_path / "nowhere", tmp_path / "save")
    shutil.rmtree(root / "Libri2Mix" / "wav8k" / "min" / "dev" / "s2")
    with pytest.raises(ValueError, match=r"min/dev lacks s2\. There is"):
        prepare_librimix(root, tmp_path / "save", sample_rate=8_000)


def test_three_speakers_are_not_taken_for_two(librimix, tmp_path):
    root = librimix(num_speakers=3)
    with pytest.raises(ValueError, match=r"has a folder s3.*num_speakers \(2\)"):
        prepare_librimix(root / "Libri3Mix", tmp_path / "save")


def test_an_error_leaves_the_manifests_as_they_were(librimix, tmp_path):
    root, save = librimix(), tmp_path / "save"
    prepare_librimix(root, save)
    before = {path.name: path.read_bytes() for path in save.iterdir()}
    (root / "Libri2Mix/wav16k/min/test/s1/1-1-1_2-2-2.wav").unlink()
    with pytest.raises(ValueError, match="s1 lacks"):
        prepare_librimix(root, save)
    assert {path.name: path.read_bytes() for path in save.iterdir()} == before


def test_nothing_is_read_when_preparation_is_skipped(tmp_path):
    prepare_librimix(tmp_path / "nowhere", tmp_path / "save", skip_prep=True)
    assert not (tmp_path / "save").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_speakers": 1}, r"num_speakers \(1\) must be at least 2"),
        (
            {"sample_rate": 48_000},
            r"sample_rate \(48000\) must be among \[8000, 16000\]",
        ),
        ({"mode": "mean"}, r"mode \(mean\) must be among \['min', 'max'\]"),
        ({"task": "mix_single"}, r"task \(mix_single\) must be among"),
        ({"train_set": "train"}, r"train_set \(train\) must be among"),
        ({"splits": ["dev"]}, r"splits \(\['dev'\]\) must be among"),
        ({"splits": []}, r"splits \(\[\]\) must be among"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        prepare_librimix(tmp_path, tmp_path / "save", **options)
