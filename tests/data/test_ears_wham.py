import shutil

import pytest
import soundfile

from sesame.data.ears_wham import SPEAKERS, main, prepare_ears_wham
from sesame.data.manifest import read_manifest

IDS = [f"{speaker}_0000{number}" for number, speaker in enumerate(SPEAKERS)]


@pytest.fixture
def make_corpus(tmp_path, audio_file):
    """Factory: a file per speaker, as the generator writes them."""

    def make(name="EARS-WHAM_v2", rate=48_000, length=2400):
        for number, speaker in enumerate(SPEAKERS):
            snr = ("-2.5", "0.0", "17.5")[number % 3]
            names = (
                f"noisy/{speaker}/0000{number}_{snr}dB",
                f"clean/{speaker}/0000{number}",
            )
            for seed, path in enumerate(names):
                path = f"{name}/test/{path}.wav"
                audio_file(path, length, rate=rate, seed=seed, subtype="FLOAT")
        rows = "id,speaker\n" + "".join(f"{i},x\n" for i in IDS)
        (tmp_path / name / "test.csv").write_text(rows)
        return tmp_path / name

    return make


def entries_of(save, root):
    return read_manifest(save / "ears_wham.json", root)


def test_pairs_are_found_per_speaker_and_resampled(make_corpus, tmp_path):
    root = make_corpus()
    prepare_ears_wham(root, tmp_path / "save")
    entries = entries_of(tmp_path / "save", root)
    assert list(entries) == IDS
    for entry in entries.values():
        assert entry["length"] == 0.05
        for kind in ("noisy", "clean"):
            assert soundfile.info(entry[f"{kind}_wav"]).samplerate == 16_000
            assert f"/ears_wham/{kind}/" in entry[f"{kind}_wav"]
        assert soundfile.read(entry["noisy_wav"])[0].any()


def test_files_of_16_khz_are_used_as_they_are(make_corpus, tmp_path):
    root = make_corpus("EARS-WHAM_v2_16k", 16_000, 800)
    prepare_ears_wham(root, tmp_path / "save")
    entry = entries_of(tmp_path / "save", root)["p102_00000"]
    assert entry["noisy_wav"] == f"{root}/test/noisy/p102/00000_-2.5dB.wav"
    assert entry["clean_wav"] == f"{root}/test/clean/p102/00000.wav"


def test_the_version_of_16_khz_goes_first(make_corpus, tmp_path):
    make_corpus()
    root = make_corpus("EARS-WHAM_v2_16k", 16_000, 1600)
    prepare_ears_wham(tmp_path, tmp_path / "save")
    assert entries_of(tmp_path / "save", tmp_path)["p102_00000"]["length"] == 0.1
    prepare_ears_wham(root / "test", tmp_path / "again")
    assert list(entries_of(tmp_path / "again", root / "test")) == IDS


def test_folders_without_speakers_are_taken_too(make_corpus, tmp_path, caplog):
    root = make_corpus()
    for kind in ("noisy", "clean"):
        for path in (root / "test" / kind).rglob("*.wav"):
            shutil.move(path, root / "test" / kind / path.name)
    prepare_ears_wham(root, tmp_path / "save")
    assert list(entries_of(tmp_path / "save", root)) == [f"0000{i}" for i in range(6)]
    (root / "test.csv").unlink()
    prepare_ears_wham(root, tmp_path / "save")
    assert "to compare the number of files with" in caplog.text


@pytest.mark.parametrize("kind", ["noisy", "clean"])
def test_a_file_without_partner_is_named(make_corpus, tmp_path, kind):
    root = make_corpus()
    next((root / "test" / kind / "p104").iterdir()).unlink()
    with pytest.raises(ValueError, match=r"00002.*has no partner"):
        prepare_ears_wham(root, tmp_path / "save", allow_partial=True)


def test_two_files_of_one_id_are_refused(make_corpus, tmp_path):
    root = make_corpus()
    path = root / "test" / "noisy" / "p103" / "00001_0.0dB.wav"
    shutil.copy(path, path.with_name("00001_5.0dB.wav"))
    with pytest.raises(ValueError, match="must not share an id"):
        prepare_ears_wham(root, tmp_path / "save")


def test_files_must_be_as_many_as_the_list_says(make_corpus, tmp_path, caplog):
    root = make_corpus()
    for kind in ("noisy", "clean"):
        shutil.rmtree(root / "test" / kind / "p107")
    with pytest.raises(ValueError, match="has 5 utterances, the published set 6"):
        prepare_ears_wham(root, tmp_path / "save")
    (root / "test.csv").unlink()
    with pytest.raises(ValueError, match="must have files of p107"):
        prepare_ears_wham(root, tmp_path / "save")
    prepare_ears_wham(root, tmp_path / "save", allow_partial=True)
    assert len(entries_of(tmp_path / "save", root)) == 5


def test_an_absent_corpus_is_told_with_ways_to_go_on(tmp_path, caplog):
    assert main([str(tmp_path), str(tmp_path / "save")]) == 1
    for word in ("ears_benchmark", "--16k", "DIR/EARS-WHAM_v2_16k/test"):
        assert word in caplog.text
    (tmp_path / "test" / "noisy").mkdir(parents=True)
    (tmp_path / "test" / "clean").mkdir()
    with pytest.raises(ValueError, match=r"no \.wav or \.flac file under"):
        prepare_ears_wham(tmp_path, tmp_path / "save")


def test_the_command_prepares(make_corpus, tmp_path):
    assert main([str(make_corpus()), str(tmp_path / "save")]) == 0
    assert (tmp_path / "save" / "ears_wham.json").is_file()
