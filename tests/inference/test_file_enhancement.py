from pathlib import Path

import numpy as np
import pytest
import soundfile

from sesame.inference import long_audio
from sesame.inference.audio_files import new_audio_file, read_audio
from sesame.inference.file_enhancement import process_file

RATE = 16000
SUBTYPES = [
    (file_format, subtype)
    for file_format in ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3", "AIFF", "AU")
    for subtype in soundfile.available_subtypes(file_format)
    if soundfile.check_format(file_format, subtype)
    # libsndfile says so, and cannot.
    and (file_format, subtype) != ("WAV", "MPEG_LAYER_III")
]
SUFFIXES = {"WAVEX": ".wav", "RF64": ".wav"}
# Their writers need a rate or channels of their own, or fill up a last block.
NOT_FOR_TWO_CHANNELS = {"GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM_16"}
NOT_FOR_TWO_CHANNELS |= {"NMS_ADPCM_24", "NMS_ADPCM_32", "MPEG_LAYER_I"}
NOT_FOR_TWO_CHANNELS |= {"MPEG_LAYER_II", "DWVW_12", "DWVW_16", "DWVW_24"}


def noise(length, channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((length, channels))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "noisy.wav"
    soundfile.write(path, noise(4001, 2), 44100, subtype="PCM_24")
    return path


@pytest.mark.parametrize(
    "file_format, subtype",
    [pair for pair in SUBTYPES if pair[1] not in NOT_FOR_TWO_CHANNELS],
)
def test_rate_channels_length_and_sample_format_are_kept(
    enhancer, tmp_path, file_format, subtype
):
    suffix = SUFFIXES.get(file_format, f".{file_format.lower()}")
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    rate = 48000 if subtype == "OPUS" else 44100
    soundfile.write(source, noise(9001, 2), rate, subtype, format=file_format)
    enhancer.enhance_file(source, target)
    before, after = soundfile.info(source), soundfile.info(target)
    for name in ("samplerate", "channels", "frames", "format", "subtype"):
        assert getattr(after, name) == getattr(before, name), name
    assert np.isfinite(soundfile.read(target)[0]).all()


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44101, 96000, 384000])
@pytest.mark.parametrize("length", [1, 2, 15, 4097])
def test_every_rate_and_length_is_kept(enhancer, tmp_path, rate, length):
    soundfile.write(tmp_path / "in.wav", noise(length), rate)
    report = enhancer.enhance_file(tmp_path / "in.wav", tmp_path / "out.wav")
    after = soundfile.info(tmp_path / "out.wav")
    assert (after.samplerate, after.frames) == (rate, length)
    assert report.seconds == length / rate


def test_a_file_gives_what_its_samples_give(enhancer, source, tmp_path, monkeypatch):
    monkeypatch.setattr(long_audio, "WHOLE_SECONDS", 0.03)
    monkeypatch.setattr(long_audio, "WINDOW_SECONDS", 0.03)
    monkeypatch.setattr(long_audio, "CONTEXT_SECONDS", 0.003)
    monkeypatch.setattr(long_audio, "FADE_SECONDS", 0.005)
    target = tmp_path / "out.wav"
    enhancer.enhance_file(source, target, max_attenuation_db=20, keep_highband=True)
    audio = read_audio(source)
    expected = enhancer(
        audio.waveform, audio.sample_rate, max_attenuation_db=20, keep_highband=True
    )
    # 24 bits: half a step.
    np.testing.assert_allclose(read_audio(target).waveform, expected, atol=2**-23)


def test_another_suffix_is_another_format(enhancer, source, tmp_path):
    enhancer.enhance_file(source, tmp_path / "out.flac")
    info = soundfile.info(tmp_path / "out.flac")
    assert (info.format, info.subtype) == ("FLAC", "PCM_24")
    enhancer.enhance_file(source, tmp_path / "out.ogg")
    assert soundfile.info(tmp_path / "out.ogg").subtype == "VORBIS"


def test_a_file_without_a_suffix_keeps_its_format(enhancer, source, tmp_path):
    plain = source.rename(tmp_path / "noisy")
    enhancer.enhance_file(plain, tmp_path / "out")
    assert soundfile.info(tmp_path / "out").format == "WAV"


def test_an_existing_target_is_kept_unless_told(enhancer, source, tmp_path):
    target = tmp_path / "out.wav"
    target.write_text("precious")
    with pytest.raises(ValueError, match=r"out\.wav exists"):
        enhancer.enhance_file(source, target)
    assert target.read_text() == "precious"
    enhancer.enhance_file(source, target, overwrite=True)
    assert soundfile.info(target).frames == 4001


@pytest.mark.parametrize("name", ["noisy.wav", "link.wav"])
def test_the_noisy_file_is_never_replaced(enhancer, source, tmp_path, name):
    (tmp_path / "link.wav").symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(ValueError, match="is the noisy file itself"):
        enhancer.enhance_file(source, tmp_path / name, overwrite=True)
    assert source.read_bytes() == before


def test_nan_and_infinity_are_refused_or_set_to_zero(enhancer, tmp_path):
    samples = noise(1000)
    samples[[3, 70, 500], 0] = np.nan, np.inf, -np.inf
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, samples, RATE, "FLOAT")
    with pytest.raises(ValueError, match=r"in\.wav has 3 samples that are NaN"):
        enhancer.enhance_file(source, target)
    assert sorted(tmp_path.iterdir()) == [source]
    report = enhancer.enhance_file(source, target, repair_nonfinite=True)
    assert report.num_repaired == 3
    repaired = np.nan_to_num(read_audio(source).waveform, nan=0, posinf=0, neginf=0)
    expected = enhancer(repaired, RATE)
    np.testing.assert_allclose(read_audio(target).waveform, expected, atol=1e-6)


def test_loud_floats_keep_their_level_and_loud_integers_are_counted(enhancer, tmp_path):
    source = tmp_path / "in.wav"
    soundfile.write(source, 150 * noise(1000), RATE, "FLOAT")
    report = enhancer.enhance_file(source, tmp_path / "float.wav")
    loud = read_audio(tmp_path / "float.wav").waveform
    assert report.num_clipped == 0 and np.abs(loud).max() > 1
    # FLAC holds integers only.
    report = enhancer.enhance_file(source, tmp_path / "out.flac")
    assert report.num_clipped == (np.abs(loud) > 1).sum()
    clipped = read_audio(tmp_path / "out.flac").waveform
    np.testing.assert_allclose(clipped, loud.clip(-1, 1), atol=2**-15)


def test_a_file_without_samples_gives_such_a_file(enhancer, tmp_path):
    # libsndfile writes FLAC files without samples that it does not read.
    source, target = tmp_path / "in.aiff", tmp_path / "out.aiff"
    soundfile.write(source, np.zeros((0, 2)), 22050)
    report = enhancer.enhance_file(source, target)
    info = soundfile.info(target)
    assert (info.frames, info.channels, info.samplerate) == (0, 2, 22050)
    assert "has no sample" in report.warnings[0]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".au"])
def test_what_is_left_of_a_cut_file_is_enhanced_with_a_warning(
    enhancer, tmp_path, suffix
):
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    soundfile.write(source, noise(60000), RATE)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    report = enhancer.enhance_file(source, target)
    assert "header says" in report.warnings[0]
    assert 20000 < soundfile.info(target).frames < 40000


def test_a_file_of_which_nothing_can_be_read_is_refused(enhancer, tmp_path):
    source = tmp_path / "in.flac"
    soundfile.write(source, noise(3000), RATE)
    content = bytearray(source.read_bytes())
    content[100:] = bytes(len(content) - 100)
    source.write_bytes(content)
    with pytest.raises(ValueError, match="none of its 3000 frames is intact"):
        enhancer.enhance_file(source, tmp_path / "out.flac")
    assert sorted(tmp_path.iterdir()) == [source]


def test_a_failure_leaves_nothing_behind(enhancer, source, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(enhancer.network, "forward", fail)
    with pytest.raises(KeyboardInterrupt):
        enhancer.enhance_file(source, tmp_path / "out.wav")
    assert sorted(tmp_path.iterdir()) == [source]


def test_a_full_disk_leaves_nothing_behind(enhancer, source, tmp_path, monkeypatch):
    def write(*_):
        raise soundfile.LibsndfileError(2, "No space left on device. ")

    monkeypatch.setattr(soundfile.SoundFile, "write", write)
    with pytest.raises(ValueError, match=r"cannot write .*out\.wav"):
        enhancer.enhance_file(source, tmp_path / "out.wav")
    assert sorted(tmp_path.iterdir()) == [source]


def test_a_folder_that_cannot_be_written_to_is_an_error(enhancer, source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        enhancer.enhance_file(source, tmp_path / "file" / "out.wav")


def test_a_wav_file_beyond_four_gigabytes_becomes_rf64(tmp_path):
    from sesame.inference.audio_files import AudioInfo

    info = AudioInfo(RATE, 2, 2**30, "WAV", "PCM_16", ())
    with new_audio_file(tmp_path / "long.wav", info) as file:
        assert file.format == "RF64"


def test_progress_is_told(enhancer, source, tmp_path):
    seen = []
    enhancer.enhance_file(source, Path(tmp_path, "out.wav"), progress=seen.append)
    assert seen == [1.0]


def test_what_a_process_makes_of_a_file_is_written_as_the_file_was(source, tmp_path):
    def halve(audio):
        return (block / 2 for block in audio.blocks())

    report = process_file(halve, source, tmp_path / "out.wav")
    before, after = soundfile.info(source), soundfile.info(tmp_path / "out.wav")
    assert (after.samplerate, after.subtype) == (before.samplerate, before.subtype)
    halved = read_audio(source).waveform / 2
    # 24 bits: half a step.
    found = read_audio(tmp_path / "out.wav").waveform
    np.testing.assert_allclose(found, halved, atol=2**-23)
    assert report.num_clipped == 0 and report.target == tmp_path / "out.wav"
