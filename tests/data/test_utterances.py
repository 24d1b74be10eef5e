import numpy as np
import pytest
import soundfile

from sesame.data.utterances import find_utterances, utterance_items
from sesame.data.vb_demandex.sources import Utterance


@pytest.fixture
def folders(tmp_path):
    """Two folders: of anna and ben, and of ben and cleo."""
    for name in ("one/ben_1", "one/anna_1", "two/cleo_1", "two/ben_2"):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.zeros(800), 8000)
    return [tmp_path / "one", tmp_path / "two"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["anna_1", "ben_1", "ben_2", "cleo_1"]),
        ({"speakers": ["ben"]}, ["ben_1", "ben_2"]),
        ({"exclude_speakers": {"ben"}}, ["anna_1", "cleo_1"]),
        ({"speakers": ["ben", "cleo"], "exclude_speakers": ["ben"]}, ["cleo_1"]),
        ({"speakers": []}, []),
    ],
)
def test_speakers_are_chosen_and_left_out_in_all_folders(folders, options, names):
    found = find_utterances(folders, 16_000, **options)
    assert [row.name for row in found] == names
    assert all(row.num_samples == 1600 for row in found)


def test_one_folder_may_stand_alone(folders):
    for folder in (folders[0], str(folders[0])):
        assert len(find_utterances(folder, 16_000)) == 2


@pytest.mark.parametrize("option", ["speakers", "exclude_speakers"])
def test_a_speaker_who_is_not_there_is_named(folders, option):
    """A name with a typing error would leave a speaker in the training set."""
    with pytest.raises(ValueError, match=r"\(bne\) must be in .*one, .*two"):
        find_utterances(folders, 16_000, **{option: ["anna", "bne"]})


@pytest.fixture
def rows():
    return [Utterance(n, f"{n}.wav", n, 8000 * i) for i, n in enumerate("abcde", 1)]


def test_lengths_are_those_of_utterances_or_segments(rows):
    assert utterance_items(rows, 16_000)["c"] == {"index": 2, "length": 1.5}
    assert utterance_items(rows, 16_000, 4000)["c"] == {"index": 2, "length": 0.25}


def test_copies_follow_their_utterance_under_their_own_ids(rows):
    items = utterance_items(rows[:2], 16_000, items_per_file=3)
    assert list(items) == ["a", "a+1", "a+2", "b", "b+1", "b+2"]
    assert [item["index"] for item in items.values()] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("number", "kept"), [(1, "a"), (2, "ac"), (5, "abcde")])
def test_items_are_thinned_out_evenly(rows, number, kept):
    assert "".join(utterance_items(rows, 16_000, num_items=number)) == kept


def test_more_items_than_there_are_and_ids_that_collide_are_refused(rows):
    with pytest.raises(ValueError, match=r"num_items \(11\) must be at most 10"):
        utterance_items(rows, 16_000, items_per_file=2, num_items=11)
    with pytest.raises(ValueError, match=r"a.wav and x/a.wav .* same id 'a'"):
        utterance_items([*rows, rows[0]._replace(path="x/a.wav")], 16_000)
