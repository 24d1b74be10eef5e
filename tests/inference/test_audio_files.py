import numpy as np
import pytest
import soundfile

from sesame.inference.audio_files import new_file, read_audio, write_audio
from sesame.inference.resampling import resample


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), new_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_reading_gives_back_what_was_written(tmp_path, subtype):
    waveform = np.round(np.random.default_rng(0).uniform(-1, 1, (2, 50)) * 99) / 128
    write_audio(tmp_path / "a.wav", waveform, 22050, subtype)
    audio = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(audio.waveform, waveform)
    assert audio[1:] == (22050, subtype)


def test_integer_files_saturate_instead_of_wrapping(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([[2.0, -2.0]]), 16000, "PCM_16")
    assert read_audio(tmp_path / "a.wav").waveform == pytest.approx(
        np.array([[1.0, -1.0]]), abs=1e-4
    )


def test_what_is_not_audio_is_refused_by_name(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    for name, reason in [
        ("text.wav", "cannot read .*text.wav"),
        ("empty.wav", "empty.wav has no sample"),
        ("absent.wav", "absent.wav: there is no such file"),
    ]:
        with pytest.raises(ValueError, match=reason):
            read_audio(tmp_path / name)


def test_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"suffix of .*a\.doc .*\.wav"):
        write_audio(tmp_path / "a.doc", np.zeros((1, 4)), 16000)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rates", [(48000, 16000), (8000, 16000), (44100, 16000)])
def test_resampling_keeps_a_tone_and_its_phase(rates):
    source, target = (np.sin(2 * np.pi * 440 * np.arange(r) / r) for r in rates)
    out = resample(source[None], *rates)[0]
    assert len(out) == len(target)
    middle = slice(len(target) // 4, -len(target) // 4)
    np.testing.assert_allclose(out[middle], target[middle], atol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 7, 100])
def test_resampling_rounds_lengths_up(length):
    assert resample(np.ones((1, length)), 48000, 16000).shape == (1, -(-length // 3))
