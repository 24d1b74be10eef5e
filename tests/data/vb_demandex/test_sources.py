import logging
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.data.vb_demandex.sources import (
    CATEGORIES,
    CHANNELS,
    clean_speech,
    find_noise,
    find_speech,
    is_demand,
    own_folder,
    speaker_of_file,
)

RATE = 16_000


def names(utterances):
    return [utterance.name for utterance in utterances]


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        ("p226_001.wav", "p226"),
        ("clean/p226_001.wav", "p226"),
        ("1688-142285-0000.flac", "1688"),
        ("1688/142285/1688-142285-0000.flac", "1688"),
        ("anna/sessions/first.wav", "anna"),
        ("lonely.wav", "lonely"),
        ("anna/_x.wav", "anna"),
    ],
)
def test_the_speaker_is_in_the_name_or_else_the_folder(path, speaker):
    assert speaker_of_file(Path("root") / path, "root") == speaker


def test_of_the_corpus_only_clean_speech_is_listed(voicebank):
    found = find_speech(voicebank, RATE)
    assert len(found) == 9 and all("/clean_" in row.path for row in found)
    shutil.copytree(
        voicebank / "clean_testset_wav", voicebank / "clean_testset_wav_16k"
    )
    again = find_speech(voicebank, RATE)
    assert names(again) == names(found)
    assert sum("testset_wav_16k" in row.path for row in again) == 3


def test_lengths_are_counted_at_the_wanted_rate(plain):
    found = find_speech(plain / "speech", 8_000)
    assert [row.num_samples for row in found] == [3000] * 6


def test_published_speakers_are_held_out(voicebank):
    splits = {s: names(clean_speech(voicebank, s, RATE)) for s in CHANNELS}
    assert splits == {
        "train": ["p225_1", "p225_2", "p226_1"],
        "valid": ["p282_1", "p287_1", "p287_2"],
        "test": ["p232_1", "p257_1", "p257_2"],
    }


def test_the_published_counts_follow_from_the_speakers(tmp_path):
    """11 572 training files, 730 of them of two speakers: here a tenth of that."""
    counts = {"p282": 34, "p287": 39, "p225": 500, "p226": 584, "p232": 39, "p257": 43}
    source = tmp_path / "one.wav"
    soundfile.write(source, np.zeros(10), RATE)
    (tmp_path / "bank").mkdir()
    for speaker, count in counts.items():
        for number in range(count):
            (tmp_path / "bank" / f"{speaker}_{number:03d}.wav").hardlink_to(source)
    found = {s: len(clean_speech(tmp_path / "bank", s, RATE)) for s in CHANNELS}
    assert found == {"train": 1084, "valid": 73, "test": 82}


def test_a_folder_of_the_splits_name_needs_no_speakers(plain):
    (plain / "speech" / "valid").mkdir()
    (plain / "speech" / "20-1-1.flac").rename(plain / "speech" / "valid" / "a.flac")
    assert own_folder(plain / "speech", "valid") == plain / "speech" / "valid"
    assert names(clean_speech(plain / "speech", "valid", RATE)) == ["a"]


def test_an_empty_list_of_speakers_takes_everyone(plain):
    everyone = names(find_speech(plain / "speech", RATE))
    taken = clean_speech(plain / "speech", "test", RATE, test_speakers=[])
    assert names(taken) == everyone and len(everyone) == 6


def test_speakers_who_are_not_there_are_named(voicebank, plain):
    with pytest.raises(ValueError, match=r"valid split \(p999\) .* p225, p226"):
        clean_speech(voicebank, "valid", RATE, ["p282", "p999"])
    with pytest.raises(ValueError, match=r"test split \(p232, p257\)"):
        clean_speech(plain / "speech", "test", RATE)
    with pytest.raises(ValueError, match=r"train split \(none left\)"):
        clean_speech(plain / "speech", "train", RATE, ["10", "20"], ["30", "40", "50"])
    with pytest.raises(ValueError, match=r"\['p1'\] must not be for valid and for"):
        clean_speech(voicebank, "train", RATE, ["p1"], ["p1"])


def test_two_files_of_one_name_are_refused(plain):
    shutil.copy(plain / "speech" / "10-1-1.flac", plain / "speech" / "10-1-1.wav")
    with pytest.raises(ValueError, match="must not have the same id '10-1-1'"):
        find_speech(plain / "speech", RATE)


@pytest.mark.parametrize(
    ("split", "channels"), [("train", [1, 12]), ("valid", [13]), ("test", [15, 16])]
)
def test_tracks_are_channels_of_three_environments(demand, split, channels, caplog):
    assert is_demand(demand)
    tracks = find_noise(demand, split, RATE)
    # Channels 2 to 11 and 14 are not there.
    assert Counter(track.category for track in tracks) == dict.fromkeys(
        CATEGORIES, len(channels)
    )
    for track in tracks:
        folders = [Path(path).parent.name.split("_")[0] for path in track.files]
        assert tuple(folders) == CATEGORIES[track.category]
        numbers = {int(Path(path).stem[2:]) for path in track.files}
        assert len(numbers) == 1 and numbers <= set(channels)


def test_no_recording_is_in_two_splits(demand):
    files = [
        path
        for split in CHANNELS
        for track in find_noise(demand, split, RATE)
        for path in track.files
    ]
    assert len(files) == len(set(files)) == 18 * 5
    assert sorted(c for split in CHANNELS.values() for c in split) == [*range(1, 17)]


def test_of_two_rates_the_wanted_one_is_taken(demand):
    soundfile.write(demand / "SCAFE_48k" / "x.wav", [0.0], RATE)
    (demand / "SCAFE_16k").mkdir()
    soundfile.write(demand / "SCAFE_16k" / "ch15.wav", np.ones(9), RATE)
    tracks = find_noise(demand, "test", RATE)
    files = [path for track in tracks for path in track.files if "SCAFE" in path]
    assert [Path(path).parent.name for path in files] == ["SCAFE_16k", "SCAFE_48k"]


def test_a_partial_demand_is_used_and_told(demand, caplog):
    shutil.rmtree(demand / "TBUS")
    with caplog.at_level(logging.WARNING):
        tracks = find_noise(demand, "test", RATE)
    assert len(tracks) == 12
    assert "2 of 3 transportation recordings of channel 15" in caplog.text
    for folder in demand.iterdir():
        for path in folder.glob("ch1[56].wav"):
            path.unlink()
    with pytest.raises(ValueError, match="no channel from 15 to 16"):
        find_noise(demand, "test", RATE)


def test_any_other_folder_is_noise_file_by_file(plain):
    assert not is_demand(plain / "noise")
    tracks = find_noise(plain / "noise", "train", RATE)
    assert [Path(track.files[0]).name for track in tracks] == [
        "fan.wav",
        "dog.wav",
        "rain.ogg",
    ]
    assert {track.category for track in tracks} == {"environment"}
    (plain / "noise" / "test").mkdir()
    shutil.copy(plain / "noise" / "dog.wav", plain / "noise" / "test" / "cat.wav")
    tracks = find_noise(plain / "noise", "test", RATE)
    assert [Path(track.files[0]).name for track in tracks] == ["cat.wav"]


def test_a_broken_file_is_named(plain):
    (plain / "noise" / "broken.wav").write_text("no audio")
    with pytest.raises(ValueError, match=r"broken\.wav"):
        find_noise(plain / "noise", "train", RATE)
    (plain / "speech" / "10-9.wav").write_text("no audio")
    with pytest.raises(ValueError, match=r"10-9\.wav"):
        find_speech(plain / "speech", RATE)
