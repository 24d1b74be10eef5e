import json
import logging
import shutil

import numpy as np
import pytest
import soundfile

from sesame.data.audio import read_audio
from sesame.data.manifest import read_manifest, write_manifest
from sesame.data.pipelines import paired_dataset
from sesame.data.prepared_pairs import PreparedPair
from sesame.data.voicebank_demand import (
    prepare_voicebank_demand,
    speaker_of,
    summarize_pairs,
)

TRAIN = ["p225_001", "p225_002", "p2260_001"]
VALID = ["p226_001", "p287_001"]
TEST = ["p232_001", "p257_001"]


def load(folder, split, root):
    return read_manifest(folder / f"{split}.json", root)


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 48_000},
        {"rate": 16_000},
        {"rate": 16_000, "suffix": ".flac"},
        {"rate": 16_000, "ending": "_16k"},
    ],
    ids=["published", "published at 16 kHz", "flac", "SpeechBrain"],
)
def test_every_layout_gives_the_same_splits(make_corpus, tmp_path, options):
    root, save = make_corpus(**options), tmp_path / "save"
    prepare_voicebank_demand(root, save)
    for split, names in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        entries = load(save, split, root)
        assert list(entries) == names
        for name, entry in entries.items():
            assert entry["length"] == pytest.approx((800 + 10 * len(name)) / 16_000)
            for kind in ("noisy", "clean"):
                header = soundfile.info(entry[f"{kind}_wav"])
                assert header.samplerate == 16_000
                assert f"/{kind}_" in entry[f"{kind}_wav"]
    dataset = paired_dataset(save / "train.json", root)
    assert [len(item["noisy_sig"]) for item in dataset] == [880, 880, 890]


def test_lists_of_mp_senet_choose_the_files(make_corpus, tmp_path):
    source, root = make_corpus("source"), tmp_path / "corpus"
    for kind in ("noisy", "clean"):
        for part in ("trainset_28spk", "testset"):
            shutil.copytree(
                source / f"{kind}_{part}_wav", root / kind, dirs_exist_ok=True
            )
    lines = [f"{name}|VoiceBank+DEMAND/wav_clean/{name}.wav" for name in TRAIN + VALID]
    (root / "training.txt").write_text("\n".join(lines))
    (root / "test.txt").write_text("p257_001\n")
    prepare_voicebank_demand(root, tmp_path / "save")
    assert list(load(tmp_path / "save", "train", root)) == TRAIN
    assert list(load(tmp_path / "save", "valid", root)) == VALID
    assert list(load(tmp_path / "save", "test", root)) == ["p257_001"]


def test_speakers_are_prefixes_of_names_not_parts_of_paths(make_corpus, tmp_path):
    # SpeechBrain's own preparation fails here: it looks for p226 in the whole path.
    root = make_corpus("p226_and_p287")
    prepare_voicebank_demand(root, tmp_path / "save")
    assert list(load(tmp_path / "save", "train", root)) == TRAIN
    assert speaker_of("p2260_001") != "p226"


def test_a_prefix_of_a_speaker_is_another_speaker(make_corpus, tmp_path):
    root = make_corpus()
    prepare_voicebank_demand(root, tmp_path / "save", valid_speakers=["p2260"])
    assert list(load(tmp_path / "save", "valid", root)) == ["p2260_001"]


def test_manifests_can_be_moved_with_the_corpus_and_the_copies(make_corpus, tmp_path):
    root, save = make_corpus(rate=48_000), tmp_path / "save"
    prepare_voicebank_demand(root, save)
    text = (save / "train.json").read_text()
    assert str(tmp_path) not in text
    assert '"{save_root}/resampled/soxr-' in text
    save.rename(tmp_path / "moved")
    assert len(paired_dataset(tmp_path / "moved" / "test.json", root)[0]) == 3
    native = make_corpus("native")
    prepare_voicebank_demand(native, tmp_path / "save2")
    assert '"{data_root}/noisy_' in (tmp_path / "save2" / "train.json").read_text()


def test_copies_can_go_elsewhere(make_corpus, tmp_path):
    root, save = make_corpus(rate=48_000), tmp_path / "save"
    prepare_voicebank_demand(root, save, resampled_folder=tmp_path / "fast")
    assert not (save / "resampled").exists()
    path = load(save, "test", root)["p232_001"]["noisy_wav"]
    assert path.startswith(f"{tmp_path}/fast/soxr-")
    assert read_audio(path).shape == (880,)


def test_the_corpus_is_never_written_to(make_corpus, tmp_path):
    root = make_corpus(rate=48_000)
    before = sorted(root.rglob("*"))
    prepare_voicebank_demand(root, tmp_path / "save")
    assert sorted(root.rglob("*")) == before


def test_fingerprint_states_counts_levels_and_resampler(make_corpus, tmp_path, caplog):
    root, save = make_corpus(), tmp_path / "save"
    with caplog.at_level(logging.INFO):
        prepare_voicebank_demand(root, save)
    fingerprint = json.loads((save / "fingerprint.json").read_text())
    row = fingerprint["splits"]["train"]
    assert (row["num_utterances"], row["num_speakers"]) == (3, 2)
    assert row["num_samples"] == 880 + 880 + 890
    entries = load(save, "train", root).values()
    noisy = np.concatenate([read_audio(entry["noisy_wav"]) for entry in entries])
    level = 10 * np.log10(np.mean(noisy.astype(float) ** 2))
    assert row["noisy_level_dbfs"] == pytest.approx(level, abs=0.001)
    assert set(fingerprint["resampler"]) == {"name", "version", "quality"}
    assert fingerprint["complete"] == {"trainset": False, "testset": False}
    assert "Partial corpus: 2 pairs in the testset, the published one has 824" in (
        caplog.text
    )
    assert "noisy_level_dbfs" in caplog.text


def test_the_published_number_of_pairs_is_complete(make_corpus, tmp_path, monkeypatch):
    counts = {"trainset": 5, "testset": 2}
    monkeypatch.setattr("sesame.data.voicebank_demand.FULL_COUNTS", counts)
    prepare_voicebank_demand(make_corpus(), tmp_path / "save")
    fingerprint = json.loads((tmp_path / "save" / "fingerprint.json").read_text())
    assert fingerprint["complete"] == {"trainset": True, "testset": True}


def test_silence_has_no_level():
    row = summarize_pairs([PreparedPair("a_1", "n", "c", 9, 0.0, 9.0)], 16_000)
    assert row["noisy_level_dbfs"] is None
    assert row["clean_level_dbfs"] == 0.0


def stamps(save):
    return {path.name: path.stat().st_mtime_ns for path in save.glob("*.json")}


def test_nothing_is_done_twice(make_corpus, tmp_path, caplog):
    root, save = make_corpus(rate=48_000), tmp_path / "save"
    prepare_voicebank_demand(root, save)
    before = stamps(save)
    with caplog.at_level(logging.INFO):
        prepare_voicebank_demand(root, save)
    assert stamps(save) == before
    assert "up to date" in caplog.text


@pytest.mark.parametrize("change", ["new pair", "longer pair", "speakers", "copies"])
def test_changes_make_it_prepare_again(make_corpus, audio_file, tmp_path, change):
    root, save = make_corpus(rate=48_000), tmp_path / "save"
    prepare_voicebank_demand(root, save)
    before = stamps(save)
    speakers = ("p226", "p287")
    for kind in ("noisy", "clean"):
        folder = f"corpus/{kind}_trainset_28spk_wav"
        if change == "new pair":
            audio_file(f"{folder}/p225_003.wav", 3000, rate=48_000)
        if change == "longer pair":
            audio_file(f"{folder}/p225_001.wav", 3000, rate=48_000)
    if change == "copies":
        shutil.rmtree(save / "resampled")
    if change == "speakers":
        speakers = ("p225",)
    prepare_voicebank_demand(root, save, speakers)
    assert all(stamps(save)[name] > before[name] for name in before)
    entries = load(save, "train", root)
    assert ("p225_003" in entries) == (change == "new pair")
    if change == "longer pair":
        assert entries["p225_001"]["length"] == 1000 / 16_000
    assert all(read_audio(entry["clean_wav"]).any() for entry in entries.values())


def test_a_broken_fingerprint_is_made_again(make_corpus, tmp_path):
    root, save = make_corpus(), tmp_path / "save"
    for content in ("", "[]", "{}", '{"inputs": null}'):
        save.mkdir(exist_ok=True)
        (save / "fingerprint.json").write_text(content)
        prepare_voicebank_demand(root, save)
        assert json.loads((save / "fingerprint.json").read_text())["splits"]


def test_manifests_written_by_half_are_not_taken_for_current(
    make_corpus, tmp_path, monkeypatch
):
    root, save = make_corpus(), tmp_path / "save"
    prepare_voicebank_demand(root, save)

    def fail(path, entries):
        if path.name == "valid.json":
            raise OSError("no space left")
        write_manifest(path, entries)

    with monkeypatch.context() as patch:
        patch.setattr("sesame.data.voicebank_demand.write_manifest", fail)
        with pytest.raises(OSError, match="no space left"):
            prepare_voicebank_demand(root, save, valid_speakers=["p225"])
    prepare_voicebank_demand(root, save)
    assert list(load(save, "train", root)) == TRAIN


def test_skip_prep_touches_nothing(tmp_path):
    prepare_voicebank_demand("/nowhere", tmp_path / "save", skip_prep=True)
    assert not (tmp_path / "save").exists()


def test_a_missing_corpus_names_three_ways_to_go_on(tmp_path):
    with pytest.raises(ValueError) as error:
        prepare_voicebank_demand(tmp_path / "absent", tmp_path / "save")
    message = str(error.value)
    assert "\n" not in message
    for part in (
        f"data_folder {tmp_path}/absent does not exist",
        f"python -m sesame.data.download {tmp_path}/absent",
        "--data_folder",
        "make run",
        "hparams/sesame_mini.yaml",
    ):
        assert part in message


def test_a_missing_partner_folder_is_named(make_corpus, tmp_path):
    root = make_corpus()
    shutil.rmtree(root / "clean_trainset_28spk_wav")
    with pytest.raises(ValueError, match=r"clean_trainset_28spk_wav is missing"):
        prepare_voicebank_demand(root, tmp_path / "save")


def test_an_unfinished_16k_folder_does_not_hide_the_original(make_corpus, tmp_path):
    root = make_corpus(rate=48_000)
    (root / "noisy_testset_wav_16k").mkdir()
    prepare_voicebank_demand(root, tmp_path / "save", splits=["test"])
    assert list(load(tmp_path / "save", "test", root)) == TEST


def test_only_a_test_set_is_prepared_when_asked(make_corpus, tmp_path):
    root, save = make_corpus(parts={"testset": TEST}), tmp_path / "save"
    with pytest.raises(ValueError, match=r"has no trainset: expected .* with splits"):
        prepare_voicebank_demand(root, save)
    prepare_voicebank_demand(root, save, splits=("test",))
    assert sorted(path.name for path in save.iterdir()) == [
        "fingerprint.json",
        "test.json",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"splits": ["dev"]}, r"splits \(\['dev'\]\) must be among"),
        ({"splits": []}, r"splits \(\[\]\) must be among"),
        (
            {"valid_speakers": ["p226", "p999"]},
            r"valid_speakers \(p999\) .* p225, p226",
        ),
        ({"valid_speakers": ["p225", "p226", "p2260", "p287"]}, "the train split"),
        ({"valid_speakers": []}, "the valid split"),
    ],
)
def test_wrong_arguments_are_refused(make_corpus, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        prepare_voicebank_demand(make_corpus(), tmp_path / "save", **options)


@pytest.mark.parametrize("damage", ["missing", "truncated", "text", "shorter"])
def test_a_bad_file_is_named_and_no_manifest_is_left(make_corpus, tmp_path, damage):
    root, save = make_corpus(), tmp_path / "save"
    prepare_voicebank_demand(root, save)
    bad = root / "clean_testset_wav" / "p257_001.wav"
    if damage == "missing":
        bad.unlink()
    if damage == "truncated":
        bad.write_bytes(bad.read_bytes()[:-100])
    if damage == "text":
        bad.write_text("no audio")
    if damage == "shorter":
        soundfile.write(bad, np.zeros(100), 16_000)
    before = stamps(save)
    for folder in (save, tmp_path / "new"):
        with pytest.raises(ValueError, match=r"p257_001\.wav"):
            prepare_voicebank_demand(root, folder)
    # The old manifests stay until new ones can be written.
    assert stamps(save) == before
    assert not list((tmp_path / "new").glob("*.json"))


def test_real_test_pairs_are_prepared(shared_audio, tmp_path):
    root = shared_audio / "voicebank-demand-test"
    prepare_voicebank_demand(root, tmp_path, splits=["test"])
    assert len(load(tmp_path, "test", root)) == 25
