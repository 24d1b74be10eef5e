import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from sesame.data.audio import (
    audio_info,
    list_audio,
    read_audio,
    resample,
    resampled_length,
)


def test_files_are_listed_by_relative_path_whatever_the_order_of_creation(audio_file):
    paths = [audio_file(name, 10) for name in ("z.wav", "b/a.flac", "a/deep/c.wav")]
    audio_file("a/.hidden.wav", 10)
    (paths[0].parent / "notes.txt").touch()
    (paths[0].parent / "folder.wav").mkdir()
    found = [
        path.relative_to(paths[0].parent).as_posix()
        for path in list_audio(paths[0].parent)
    ]
    assert found == ["a/deep/c.wav", "b/a.flac", "z.wav"]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere does not exist"):
        list_audio(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no audio file"):
        list_audio(tmp_path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
@pytest.mark.parametrize(("start", "count"), [(0, 100), (1234, 777), (7990, 10)])
def test_a_part_equals_that_part_of_the_whole(audio_file, suffix, start, count):
    subtype = "VORBIS" if suffix == "ogg" else "PCM_16"
    path = audio_file(f"a.{suffix}", 8000, subtype=subtype)
    whole = read_audio(path)
    assert whole.dtype == np.float32 and whole.shape == (8000,)
    part = read_audio(path, start=start, num_samples=count)
    np.testing.assert_array_equal(part, whole[start : start + count])


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
@pytest.mark.parametrize("start", [0, 1, 3333, 9000])
def test_a_resampled_part_equals_that_part_of_the_resampled_whole(
    audio_file, rate, start
):
    path = audio_file("a.wav", rate, rate=rate)
    whole = resample(read_audio(path), rate, 16_000)
    assert whole.shape == (16_000,)
    part = read_audio(path, 16_000, start, 2000)
    assert part.shape == (2000,)
    np.testing.assert_allclose(part, whole[start : start + 2000], atol=1e-6)
    tail = read_audio(path, 16_000, 15_000)
    np.testing.assert_allclose(tail, whole[15_000:], atol=1e-6)


def test_resampling_keeps_a_sine_in_place_and_level():
    time = np.arange(48_000) / 48_000
    sine = np.sin(2 * np.pi * 1000 * time)
    expected = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    error = resample(sine, 48_000, 16_000) - expected
    assert np.abs(error[500:-500]).max() < 1e-4


@given(
    st.integers(1, 3000),
    st.sampled_from([8_000, 11_025, 16_000, 44_101, 48_000]),
    st.sampled_from([8_000, 16_000, 48_000]),
)
def test_resampled_length_is_rounded_up(length, source, target):
    expected = resampled_length(length, source, target)
    assert 0 <= expected * source - length * target < source
    wave = np.ones(length, dtype=np.float32)
    assert resample(wave, source, target).shape == (expected,)


def test_channels_are_averaged(audio_file):
    path = audio_file("stereo.wav", 100, channels=2)
    both, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read_audio(path), both.mean(axis=1), atol=1e-7)
    assert audio_info(path).num_channels == 2


def test_a_part_outside_the_file_is_refused(audio_file):
    path = audio_file("a.wav", 100)
    with pytest.raises(ValueError, match=r"samples 50 to 101 .* \[0, 100\]"):
        read_audio(path, start=50, num_samples=51)
    with pytest.raises(ValueError, match="samples -1"):
        read_audio(path, start=-1, num_samples=1)


@pytest.mark.parametrize("content", [b"", b"this is a text", b"RIFF\x10\x00"])
def test_what_is_not_audio_is_named(tmp_path, content):
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read audio file .*broken\.wav"):
        read_audio(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    for name in ("absent.wav", "folder.wav"):
        with pytest.raises(ValueError, match=name):
            audio_info(tmp_path / name)


def test_a_file_without_samples_is_refused(audio_file):
    with pytest.raises(ValueError, match="is empty"):
        audio_info(audio_file("a.wav", 0))


def test_a_truncated_flac_file_is_refused(audio_file):
    path = audio_file("a.flac", 50_000)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(ValueError, match=r"a\.flac"):
        read_audio(path)


@pytest.mark.parametrize("rate", [3_999, 400_000])
def test_absurd_rates_are_refused(audio_file, rate):
    path = audio_file("a.wav", 100, rate=rate)
    with pytest.raises(ValueError, match=rf"{rate} Hz\) must be in \[4000, 384000\]"):
        audio_info(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(tmp_path, bad):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, bad]), 16_000, "FLOAT")
    with pytest.raises(ValueError, match="NaN or infinity"):
        read_audio(path)
