import os

import numpy as np
import pytest
import soundfile

from sesame.data import evaluation_set
from sesame.data.evaluation_set import find_folder, refuse_partial, write_evaluation_set
from sesame.data.manifest import RECORDING_KEYS, read_manifest
from sesame.data.pairs import Pair
from sesame.data.pipelines import paired_dataset


@pytest.fixture
def make_pair(tmp_path, audio_file):
    def make(item_id="one", rate=48_000, lengths=(4800, 4800), clean=True):
        noisy = audio_file(f"corpus/mixed/{item_id}.wav", lengths[0], rate=rate)
        if not clean:
            return Pair(item_id, noisy, noisy)
        # The same name as the noisy file, in a folder of the same name.
        path = f"corpus/speech/mixed/{item_id}.wav"
        return Pair(item_id, noisy, audio_file(path, lengths[1], rate=rate, seed=1))

    return make


def write(tmp_path, *pairs, **options):
    root, save = tmp_path / "corpus", tmp_path / "save"
    write_evaluation_set("toy", pairs, root, save, **options)
    return save


def test_files_of_the_wanted_rate_are_linked_and_the_manifest_names_the_corpus(
    tmp_path, make_pair
):
    pair = make_pair(rate=16_000)
    save = write(tmp_path, pair)
    link = save / "toy" / "noisy" / "one.wav"
    assert link.is_symlink() and os.readlink(link) == str(pair.noisy)
    text = (save / "toy.json").read_text()
    assert "{data_root}/mixed/one.wav" in text and str(tmp_path) not in text
    dataset = paired_dataset(save / "toy.json", tmp_path / "corpus")
    assert not np.array_equal(dataset[0]["noisy_sig"], dataset[0]["clean_sig"])


def test_files_of_a_higher_rate_are_copied_and_made_once(tmp_path, make_pair):
    pair = make_pair()
    save = write(tmp_path, pair)
    noisy, clean = (save / "toy" / kind / "one.wav" for kind in ("noisy", "clean"))
    for path in (noisy, clean):
        assert not path.is_symlink()
        assert soundfile.info(path).samplerate == 16_000
        assert soundfile.info(path).frames == 1600
    assert noisy.read_bytes() != clean.read_bytes()
    entry = read_manifest(save / "toy.json", "elsewhere")["one"]
    assert entry == {"noisy_wav": str(noisy), "clean_wav": str(clean), "length": 0.1}
    stamp = noisy.stat().st_mtime_ns
    write(tmp_path, pair)
    assert noisy.stat().st_mtime_ns == stamp
    os.utime(pair.noisy, (stamp / 1e9 + 10,) * 2)
    write(tmp_path, pair)
    assert noisy.stat().st_mtime_ns != stamp
    assert soundfile.info(pair.noisy).samplerate == 48_000  # the corpus itself


def test_links_follow_the_corpus_that_was_named_last(tmp_path, make_pair, audio_file):
    write(tmp_path, make_pair(rate=16_000))
    moved = audio_file("corpus/moved/one.wav", 800, seed=2)
    os.utime(moved, (1e9, 1e9))  # older than what is linked to so far
    save = write(tmp_path, Pair("one", moved, moved.with_name("one.wav")))
    assert os.readlink(save / "toy" / "noisy" / "one.wav") == str(moved)


def test_half_made_copies_are_made_again(tmp_path, make_pair):
    pair = make_pair()
    save = write(tmp_path, pair)
    clean = save / "toy" / "clean" / "one.wav"
    clean.unlink()
    clean.symlink_to(pair.clean)
    write(tmp_path, pair)
    assert soundfile.info(clean).samplerate == 16_000


def test_files_are_copied_where_no_link_can_be_made(tmp_path, make_pair, monkeypatch):
    def refuse(self, target):
        raise OSError("no links here")

    monkeypatch.setattr(evaluation_set.Path, "symlink_to", refuse)
    for rate in (16_000, 48_000):
        pair = make_pair(f"at_{rate}", rate, (rate // 10,) * 2)
        root, save = tmp_path / "corpus", tmp_path / f"save{rate}"
        for _ in range(2):
            write_evaluation_set("toy", [pair], root, save)
        path = save / "toy" / "clean" / f"at_{rate}.wav"
        assert soundfile.info(path).samplerate == 16_000 and not path.is_symlink()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_recordings_have_no_clean_file_and_no_pair_can_be_read_of_them(
    tmp_path, make_pair, rate
):
    save = write(tmp_path, make_pair(rate=rate, clean=False))
    assert not (save / "toy" / "clean").exists()
    with pytest.raises(ValueError, match="one lacks clean_wav"):
        read_manifest(save / "toy.json", tmp_path / "corpus")
    entries = read_manifest(save / "toy.json", tmp_path / "corpus", RECORDING_KEYS)
    assert set(entries["one"]) == set(RECORDING_KEYS)
    assert soundfile.info(entries["one"]["noisy_wav"]).samplerate == 16_000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lengths": (4800, 4799)}, "must have equal lengths"),
        ({"rate": 8_000}, "must be at least 16000 Hz"),
    ],
)
def test_a_wrong_pair_is_refused_and_leaves_no_manifest(
    tmp_path, make_pair, options, reason
):
    with pytest.raises(ValueError, match=reason):
        write(tmp_path, make_pair(**options))
    assert not (tmp_path / "save" / "toy.json").exists()


def test_files_of_something_else_are_never_touched(tmp_path, make_pair):
    other = tmp_path / "save" / "toy" / "noisy" / "mine.wav"
    other.parent.mkdir(parents=True)
    other.write_text("precious")
    with pytest.raises(ValueError, match=r"mine\.wav is no file of this set"):
        write(tmp_path, make_pair())
    assert other.read_text() == "precious"
    assert len(list(other.parent.iterdir())) == 1


def test_a_partial_set_is_refused_or_warned_of(caplog):
    refuse_partial("toy", 3, 3, allow_partial=False)
    assert caplog.text == ""
    with pytest.raises(ValueError, match="--allow-partial"):
        refuse_partial("toy", 2, 3, allow_partial=False)
    refuse_partial("toy", 2, 3, allow_partial=True)
    assert "toy has 2 utterances, the published set 3" in caplog.text


def test_the_first_folder_with_all_that_is_needed_is_taken(tmp_path):
    for name in ("a/x", "b/x", "b/y"):
        (tmp_path / name).mkdir(parents=True)
    places = {"A": tmp_path / "a", "B": tmp_path / "b"}
    assert find_folder(places, ["x", "y"], "") == tmp_path / "b"
    with pytest.raises(ValueError, match=r"no x and z \(looked in A, B\). Buy it"):
        find_folder(places, ["x", "z"], "Buy it")
