import shutil

import pytest

from sesame.data import dns2020
from sesame.data.dns2020 import main, prepare_dns2020
from sesame.data.manifest import RECORDING_KEYS, read_manifest

NOISY = {
    0: "clnsp126_3Wjw0nadnM4_snr15_tl-22_fileid_0",
    10: "clnsp329_water_213280_2_snr14_tl-20_fileid_10",
    9: "clnsp352_noise_431472__debsound__loop-rear-wheel_0_snr18_tl-33_fileid_9",
}
REAL = ("audioset_realrec_car_-1jJc30Ui6E", "ms_realrec_fileid_3")


@pytest.fixture
def corpus(tmp_path, audio_file, monkeypatch):
    """The folders and names of the challenge, with three and two files."""
    for part in ("no_reverb", "with_reverb"):
        for number, name in NOISY.items():
            folder = f"test_set/synthetic/{part}"
            audio_file(f"{folder}/noisy/{name}.wav", 800 + number, seed=number)
            clean = f"{folder}/clean/clean_fileid_{number}.wav"
            audio_file(clean, 800 + number, seed=99)
    for name in REAL:
        audio_file(f"test_set/real_recordings/{name}.wav", 900)
    counts = {"no_reverb": 3, "with_reverb": 3, "real_recordings": 2}
    monkeypatch.setattr(dns2020, "SETS", counts)
    return tmp_path


def test_published_counts_are_those_of_the_repository():
    expected = {"no_reverb": 150, "with_reverb": 150, "real_recordings": 300}
    assert expected == dns2020.SETS


def test_files_are_paired_by_their_number(corpus):
    save = corpus / "save"
    prepare_dns2020(corpus, save)
    for part in ("no_reverb", "with_reverb"):
        entries = read_manifest(save / f"dns2020_{part}.json", corpus)
        assert list(entries) == ["fileid_0", "fileid_9", "fileid_10"]
        folder = corpus / "test_set" / "synthetic" / part
        assert entries["fileid_9"] == {
            "noisy_wav": str(folder / "noisy" / f"{NOISY[9]}.wav"),
            "clean_wav": str(folder / "clean" / "clean_fileid_9.wav"),
            "length": 809 / 16_000,
        }
        for kind in ("noisy", "clean"):
            names = {p.stem for p in (save / f"dns2020_{part}" / kind).iterdir()}
            assert names == set(entries)


def test_real_recordings_keep_their_names_and_have_no_clean_files(corpus):
    prepare_dns2020(corpus, corpus / "save", ["real_recordings"])
    path = corpus / "save" / "dns2020_real_recordings.json"
    assert list(read_manifest(path, corpus, RECORDING_KEYS)) == list(REAL)
    assert sorted(p.name for p in (corpus / "save").iterdir()) == [
        "dns2020_real_recordings",
        path.name,
    ]


def test_the_corpus_is_found_at_every_level_and_not_written_to(corpus):
    expected = None
    (corpus / "repository").mkdir()
    shutil.move(corpus / "test_set", corpus / "repository" / "datasets" / "test_set")
    before = sorted((corpus / "repository").rglob("*"))
    for number, inner in enumerate(("", "datasets", "datasets/test_set")):
        save = corpus / f"save{number}"
        prepare_dns2020(corpus / "repository" / inner, save, ["no_reverb"])
        entries = read_manifest(
            save / "dns2020_no_reverb.json", corpus / "repository" / inner
        )
        expected = expected or entries
        assert entries == expected
    assert sorted((corpus / "repository").rglob("*")) == before


@pytest.mark.parametrize("kind", ["noisy", "clean"])
def test_a_file_without_partner_is_named(corpus, kind):
    folder = corpus / "test_set" / "synthetic" / "no_reverb" / kind
    next(folder.glob("*fileid_9.wav")).unlink()
    with pytest.raises(ValueError, match=r"fileid_9\.wav has no partner.*1 such file"):
        prepare_dns2020(corpus, corpus / "save", allow_partial=True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("clnsp1_snr0_fileid_9.wav", "must not share a file id"),
        ("clnsp1_snr0_fileid_09.wav", "must not share a file id"),
        ("clnsp1_snr0.wav", "must end with fileid_NUMBER"),
        ("profileid_3.wav", "must end with fileid_NUMBER"),
    ],
)
def test_names_that_are_not_the_challenges_are_refused(
    corpus, audio_file, name, reason
):
    audio_file(f"test_set/synthetic/no_reverb/noisy/{name}", 800)
    with pytest.raises(ValueError, match=reason):
        prepare_dns2020(corpus, corpus / "save")


def test_a_wrong_number_of_files_is_refused_before_anything_is_written(corpus, caplog):
    (corpus / "test_set" / "real_recordings" / f"{REAL[0]}.wav").unlink()
    with pytest.raises(ValueError, match="has 1 utterances, the published set 2"):
        prepare_dns2020(corpus, corpus / "save")
    assert not (corpus / "save").exists()
    prepare_dns2020(corpus, corpus / "save", allow_partial=True)
    assert "Partial corpus" in caplog.text


def test_pointers_of_git_lfs_are_known_for_what_they_are(corpus):
    path = corpus / "test_set" / "real_recordings" / f"{REAL[0]}.wav"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match="git lfs pull"):
        prepare_dns2020(corpus, corpus / "save")


def test_an_absent_corpus_is_told_with_ways_to_go_on(tmp_path, caplog):
    assert main([str(tmp_path / "none"), str(tmp_path / "save")]) == 1
    for word in ("git clone", "git lfs pull", "--sets", "DIR/datasets/test_set"):
        assert word in caplog.text


@pytest.mark.parametrize("sets", [[], ["blind"]])
def test_sets_must_be_known(corpus, sets):
    with pytest.raises(ValueError, match="must be among"):
        prepare_dns2020(corpus, corpus / "save", sets)


def test_the_command_prepares_and_says_what_comes_next(corpus, caplog):
    caplog.set_level("INFO")
    assert main([str(corpus), str(corpus / "save"), "--sets", "no_reverb"]) == 0
    assert (corpus / "save" / "dns2020_no_reverb.json").is_file()
    assert "sesame enhance" in caplog.text and "sesame evaluate --clean" in caplog.text
    with pytest.raises(SystemExit):
        main([str(corpus), "save", "--sets", "blind"])
