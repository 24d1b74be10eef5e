"""What `sesame enhance` makes of files that are odd or broken, one row per kind."""

import re
import struct

import numpy as np
import pytest
import soundfile

from sesame.inference import cli

RATE = 16000


def noise(length, channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((length, channels))


def wav(data=b"\0\0" * 100, channels=1, rate=RATE, size=None, width=2):
    """A WAV file as bytes, with a header that says what it is told to say."""
    size = len(data) if size is None else size
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        min(size + 36, 2**32 - 1),
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        min(rate * channels * width, 2**32 - 1),
        channels * width % 2**16,
        8 * width,
        b"data",
        size,
    )
    return header + data


@pytest.fixture
def enhance(tmp_path, model_folder, capsys):
    """Runs the command on in.wav; exit code, what it wrote and what it said."""

    def run(*options, source="in.wav", target="out.wav"):
        files = [str(tmp_path / source), "-o", str(tmp_path / target)]
        model = ["--model", str(model_folder), "--device", "cpu"]
        code = cli.main(["enhance", *files, *model, *options])
        said = capsys.readouterr()
        path = tmp_path / target
        samples = soundfile.read(path, always_2d=True)[0] if path.is_file() else None
        left = [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
        assert not left, "temporary files are left"
        return code, samples, said.err + said.out

    return run


def answer(error):
    """Lines of the error stream that are not the summary of a run."""
    return [line for line in error.splitlines() if line.startswith("sesame: ")]


NO_AUDIO = {
    "zero bytes": b"",
    "text": b"This is no audio file.\n" * 20,
    "header cut in two": wav()[:20],
    "no channels": wav(channels=0),
    "rate 0": wav(rate=0),
    "rate 2^31 - 1": wav(rate=2**31 - 1),
    "rate 3999": wav(rate=3999),
    "rate 384001": wav(rate=384001),
    "65535 channels": wav(channels=65535),
    "33 channels": wav(b"\0\0" * 33 * 10, channels=33),
}


@pytest.mark.parametrize("content", NO_AUDIO.values(), ids=NO_AUDIO.keys())
def test_what_is_no_audio_within_the_limits_is_one_line_and_exit_1(
    enhance, tmp_path, content
):
    (tmp_path / "in.wav").write_bytes(content)
    code, samples, error = enhance()
    assert code == 1 and samples is None
    assert len(answer(error)) == 1 and "in.wav" in error


def test_a_folder_named_like_a_file_without_audio_in_it_is_refused(enhance, tmp_path):
    (tmp_path / "in.wav").mkdir()
    code, samples, error = enhance(target="out")
    assert code in (1, 2) and samples is None
    assert "in.wav" in error


def test_one_bad_file_does_not_stop_the_others(tmp_path, model_folder, capsys):
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "b.wav").write_bytes(b"no audio")
    for name in ("a.wav", "c.wav"):
        soundfile.write(folder / name, noise(500), RATE)
    arguments = ["enhance", str(folder), "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert cli.main([*arguments, "--model", str(model_folder)]) == 1
    out = tmp_path / "out"
    assert sorted(p.name for p in out.glob("*.wav")) == ["a.wav", "c.wav"]
    assert "b.wav" in (out / "failed.txt").read_text()
    assert "b.wav" in capsys.readouterr().err


CUT = {
    "data cut in two": wav(noise(500).astype("<f4").tobytes(), size=4000),
    "size 0xFFFFFFFF": wav(bytes(range(250)) * 4, size=0xFFFFFFFF),
}


@pytest.mark.parametrize("content", CUT.values(), ids=CUT.keys())
def test_what_is_there_of_a_cut_file_is_enhanced_with_a_warning(
    enhance, tmp_path, content
):
    (tmp_path / "in.wav").write_bytes(content)
    code, samples, error = enhance()
    assert code == 0 and np.isfinite(samples).all()
    assert len(samples) == (len(content) - 44) // 2
    assert "header says" in error


@pytest.mark.parametrize("content", [wav(b""), wav(size=0)], ids=["empty", "size 0"])
def test_a_file_without_samples_gives_one_with_a_warning(enhance, tmp_path, content):
    (tmp_path / "in.wav").write_bytes(content)
    code, samples, error = enhance()
    assert code == 0 and samples.shape == (0, 1)
    assert "has no sample" in error


@pytest.mark.parametrize("length", [1, 2, 31, 63])
def test_less_than_a_window_is_enhanced(enhance, tmp_path, length):
    soundfile.write(tmp_path / "in.wav", noise(length), RATE)
    code, samples, _ = enhance()
    assert code == 0 and samples.shape == (length, 1) and np.isfinite(samples).all()


def test_zeros_stay_zeros(enhance, tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros((3000, 2)), 44100, "FLOAT")
    code, samples, _ = enhance()
    assert code == 0 and samples.shape == (3000, 2) and not samples.any()


def test_denormal_numbers_stay_finite_and_tiny(enhance, tmp_path):
    soundfile.write(tmp_path / "in.wav", 1e-320 * noise(3000), RATE, "DOUBLE")
    code, samples, _ = enhance()
    assert code == 0 and np.abs(samples).max() < 1e-300


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_or_repaired(enhance, tmp_path, value):
    samples = noise(1000)
    samples[7] = value
    soundfile.write(tmp_path / "in.wav", samples, RATE, "FLOAT")
    code, enhanced, error = enhance()
    assert code == 1 and enhanced is None and "in.wav has 1 samples" in error
    code, enhanced, error = enhance("--repair-nonfinite")
    assert code == 0 and np.isfinite(enhanced).all()


def test_a_model_that_gives_nan_leaves_no_file(enhance, tmp_path, monkeypatch):
    from sesame.inference import long_audio

    def broken(network, transform, noisy, level=None):
        return noisy * float("nan")

    monkeypatch.setattr(long_audio, "enhance_waveform", broken)
    soundfile.write(tmp_path / "in.wav", noise(1000), RATE)
    code, samples, error = enhance()
    assert code == 1 and samples is None and "not finite" in error


def test_loud_floats_keep_their_level(enhance, tmp_path):
    loud = noise(3000)
    loud *= 15.2 / np.abs(loud).max()
    soundfile.write(tmp_path / "in.wav", loud, RATE, "FLOAT")
    code, samples, _ = enhance("--dry", "1")
    assert code == 0
    np.testing.assert_allclose(samples, loud, rtol=1e-6)


def test_loud_floats_clip_in_integers_and_are_counted(enhance, tmp_path):
    soundfile.write(tmp_path / "in.wav", 40 * noise(3000), RATE, "FLOAT")
    code, samples, said = enhance("--dry", "1", target="out.flac")
    assert code == 0 and np.abs(samples).max() <= 1
    count = int(re.search(r"(\d+) samples clipped", said).group(1))
    assert count == (np.abs(soundfile.read(tmp_path / "in.wav")[0]) > 1).sum()


def test_full_scale_does_not_wrap_around(enhance, tmp_path):
    square = np.where(np.arange(3000) // 50 % 2, 1.0, -1.0)
    soundfile.write(tmp_path / "in.wav", square, RATE, "PCM_16")
    code, samples, _ = enhance("--dry", "1")
    assert code == 0
    np.testing.assert_allclose(samples[:, 0], square, atol=2**-14)


@pytest.mark.parametrize(
    "suffix, subtype",
    [
        (".wav", "PCM_U8"),
        (".wav", "PCM_24"),
        (".wav", "PCM_32"),
        (".wav", "DOUBLE"),
        (".wav", "ULAW"),
        (".flac", "PCM_S8"),
        (".ogg", "VORBIS"),
        (".mp3", "MPEG_LAYER_III"),
    ],
)
def test_sample_formats_are_kept(enhance, tmp_path, suffix, subtype):
    # With a constant offset, as cheap converters add it.
    soundfile.write(tmp_path / f"in{suffix}", 0.2 + noise(3000), RATE, subtype)
    code, samples, _ = enhance(source=f"in{suffix}", target=f"out{suffix}")
    info = soundfile.info(tmp_path / f"out{suffix}")
    assert code == 0 and info.subtype == subtype and info.frames == 3000
    assert np.isfinite(samples).all()


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 44101, 48000, 96000])
def test_sampling_rates_are_kept(enhance, tmp_path, rate):
    soundfile.write(tmp_path / "in.wav", noise(3000), rate)
    code, samples, _ = enhance()
    assert code == 0 and len(samples) == 3000
    assert soundfile.info(tmp_path / "out.wav").samplerate == rate


@pytest.mark.parametrize("channels", [2, 6, 32])
def test_channels_are_kept_and_silent_ones_stay_silent(enhance, tmp_path, channels):
    noisy = noise(1000, channels)
    noisy[:, 1] = 0
    soundfile.write(tmp_path / "in.wav", noisy, RATE, "FLOAT")
    code, samples, _ = enhance()
    assert code == 0 and samples.shape == noisy.shape
    assert not samples[:, 1].any() and samples[:, 0].any()
