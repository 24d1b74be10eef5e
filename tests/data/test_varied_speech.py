"""Speech made to sound like that of more voices and microphones."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from sesame.data import degraded_speech
from sesame.data.audio import list_audio, read_audio, resample
from sesame.data.degradations.rooms import simulate_rooms
from sesame.data.degradations.scene import SceneSettings
from sesame.data.degraded_speech import DEGRADED_KEYS, degraded_dataset

RATE = 16_000
LENGTH = 8_000
SHORT = SceneSettings(enrollment_seconds=(0.3, 0.6))


@pytest.fixture(scope="module")
def speech(minibank):
    return minibank / "clean_trainset_28spk_wav"


@pytest.fixture(scope="module")
def files(speech, files_in):
    return files_in(speech)


@pytest.fixture(scope="module")
def rooms():
    pytest.importorskip("pyroomacoustics")
    return simulate_rooms(2, RATE, (0.1, 0.4))


@pytest.fixture
def make(speech, rooms, audio_file, monkeypatch):
    """Factory of small data sets of one task; their rooms are simulated once."""
    monkeypatch.setattr(degraded_speech, "simulate_rooms", lambda *_: rooms)
    noise = audio_file("noise/0.wav", 20_000).parent

    def build(task, **options):
        options = {"settings": SHORT, **options}
        return degraded_dataset(speech, noise, {task: 1.0}, LENGTH, **options)

    return build


def test_sources_are_coloured_and_the_mixture_is_their_sum(make):
    settings = replace(SHORT, coloured=1.0, nonlinear=0.0)
    for task in ("denoise", "cancel_echo", "extract"):
        plain, coloured = (
            make(task, num_items=2),
            make(task, num_items=2, settings=settings),
        )
        for item, other in zip(plain, coloured, strict=True):
            assert not torch.equal(item["target_sig"], other["target_sig"])
            assert len(item["enrollment_sig"]) == len(other["enrollment_sig"])
    # The mixture stays the sum of its parts, and the target the talker's.
    dataset = make("denoise", num_items=2, settings=settings)
    dataset.set_output_keys([*DEGRADED_KEYS, "done"])
    for item in dataset:
        parts = item["done"]["parts"]
        assert np.allclose(sum(parts.values()), item["degraded_sig"], atol=1e-6)
        assert np.array_equal(parts["talker"], item["target_sig"])


def test_speech_is_played_at_the_speeds(make, files, speech, files_in, tmp_path):
    """At speed 0.8 there are 5 samples for 4 of the file, heard at the same rate."""
    for path in list_audio(speech):
        slow = resample(read_audio(path, RATE), RATE, 20_000)
        soundfile.write(tmp_path / f"{path.stem}.wav", slow, 20_000, "FLOAT")
    slow_files = files_in(tmp_path)
    for item in make("conceal", num_items=4, speeds=[0.8]):
        target = item["target_sig"].numpy()[100:-100]
        assert {p.stem for p in slow_files.that_hold(target)} == {item["id"]}
        assert not files.that_hold(target)
    both = make("conceal", num_items=12, speeds=[1.0, 0.8])
    found = {len(files.that_hold(item["target_sig"])) for item in both}
    assert found == {0, 1}


@pytest.mark.parametrize("speeds", [[], [0.4], [1.0, 2.5]])
def test_speeds_that_are_none_are_refused(make, speeds):
    with pytest.raises(ValueError, match=r"speeds \(\[.*\]\) must be in \[0.5, 2\]"):
        make("conceal", speeds=speeds)
