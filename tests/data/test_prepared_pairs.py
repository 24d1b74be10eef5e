import os

import numpy as np
import pytest
import soundfile

from sesame.data.audio import read_audio, resample
from sesame.data.pairs import Pair
from sesame.data.prepared_pairs import prepare_pairs


@pytest.fixture
def pair_of(audio_file):
    """Factory: pair_of("a", num_samples, rate=...) -> Pair of two new files."""

    def make(name, num_samples=4800, suffix=".wav", **options):
        noisy = audio_file(f"noisy/{name}{suffix}", num_samples, seed=1, **options)
        clean = audio_file(f"clean/{name}{suffix}", num_samples, seed=2, **options)
        return Pair(name, noisy, clean)

    return make


def test_files_at_the_wanted_rate_are_used_as_they_are(pair_of, tmp_path):
    pairs = [pair_of("b"), pair_of("a", suffix=".flac")]
    prepared = prepare_pairs(pairs, 16_000, tmp_path / "copies")
    assert [item[:3] for item in prepared] == pairs
    assert not (tmp_path / "copies").exists()
    noisy = read_audio(pairs[0].noisy).astype(float)
    assert prepared[0].num_samples == 4800
    assert prepared[0].noisy_energy == pytest.approx(np.sum(noisy**2))


@pytest.mark.parametrize(("rate", "length"), [(48_000, 1601), (44_100, 1743)])
def test_copies_are_resampled_16_bit_files(pair_of, tmp_path, rate, length):
    pair = pair_of("a", 4802, rate=rate)
    item = prepare_pairs([pair], 16_000, tmp_path / "copies")[0]
    assert item.noisy == tmp_path / "copies" / "noisy" / "a.wav"
    assert item.num_samples == length
    header = soundfile.info(item.clean)
    assert (header.frames, header.samplerate) == (length, 16_000)
    assert (header.subtype, header.format) == ("PCM_16", "WAV")
    expected = resample(read_audio(pair.clean), rate, 16_000)
    error = (read_audio(item.clean) - expected) * 2**15
    assert np.abs(error).max() <= 0.51
    assert abs(error.mean()) < 0.05


def test_resampling_over_full_scale_is_clipped_not_wrapped(tmp_path):
    square = np.where(np.arange(4800) // 100 % 2, 0.999, -0.999)
    path = tmp_path / "clean" / "a.wav"
    path.parent.mkdir()
    soundfile.write(path, square, 48_000)
    item = prepare_pairs([Pair("a", path, path)], 16_000, tmp_path / "copies")[0]
    wave = read_audio(item.clean)
    assert wave.max() == 1 - 2**-15 and wave.min() == -1
    assert np.corrcoef(wave, square[::3])[0, 1] > 0.95


def test_a_second_run_makes_no_copy_again(pair_of, tmp_path):
    pairs = [pair_of("a", rate=48_000), pair_of("b", rate=48_000)]
    first = prepare_pairs(pairs[:1], 16_000, tmp_path / "copies")
    before = first[0].noisy.stat()
    both = prepare_pairs(pairs, 16_000, tmp_path / "copies")
    assert both[0] == first[0]
    after = both[0].noisy.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert both[1].noisy.is_file()


def test_a_changed_source_and_a_short_copy_are_made_again(pair_of, tmp_path):
    pair = pair_of("a", rate=48_000)
    item = prepare_pairs([pair], 16_000, tmp_path / "copies")[0]
    content = item.noisy.read_bytes()
    soundfile.write(item.noisy, np.zeros(10), 16_000)
    prepare_pairs([pair], 16_000, tmp_path / "copies")
    assert item.noisy.read_bytes() == content
    soundfile.write(pair.noisy, np.zeros(4800), 48_000)
    later = item.noisy.stat().st_mtime + 10
    os.utime(pair.noisy, (later, later))
    prepare_pairs([pair], 16_000, tmp_path / "copies")
    assert not read_audio(item.noisy).any()


def test_a_failed_copy_leaves_nothing(pair_of, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    pair = pair_of("a", rate=48_000)
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        prepare_pairs([pair], 16_000, tmp_path / "copies")
    assert not [path for path in (tmp_path / "copies").rglob("*") if path.is_file()]


def test_unequal_lengths_are_refused(pair_of, audio_file, tmp_path):
    pair = pair_of("a")
    audio_file("clean/a.wav", 4799)
    message = r"noisy/a\.wav \(4800 samples at 16000 Hz\) .*clean/a\.wav \(4799"
    with pytest.raises(ValueError, match=message):
        prepare_pairs([pair], 16_000, tmp_path)


def test_unequal_rates_are_refused(pair_of, audio_file, tmp_path):
    pair = pair_of("a")
    audio_file("clean/a.wav", 4800, rate=48_000)
    with pytest.raises(ValueError, match="equal lengths and rates"):
        prepare_pairs([pair], 16_000, tmp_path)


def test_a_lower_rate_is_refused(pair_of, tmp_path):
    with pytest.raises(ValueError, match=r"\(8000 Hz\) must be at least 16000 Hz"):
        prepare_pairs([pair_of("a", rate=8_000)], 16_000, tmp_path)


def test_two_channels_are_refused(pair_of, tmp_path):
    with pytest.raises(ValueError, match=r"a\.wav has 2 channels, must be mono"):
        prepare_pairs([pair_of("a", channels=2)], 16_000, tmp_path)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_truncated_file_is_refused_even_if_both_are(pair_of, tmp_path, suffix):
    pair = pair_of("a", 48_000, suffix=suffix)
    size = min(path.stat().st_size for path in pair[1:]) // 2
    for path in pair[1:]:
        path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=rf"noisy/a\{suffix}"):
        prepare_pairs([pair], 16_000, tmp_path)


def test_the_first_wrong_pair_in_order_is_the_one_told(pair_of, audio_file, tmp_path):
    pairs = [pair_of(name) for name in "abcdefgh"]
    for name in "dg":
        audio_file(f"clean/{name}.wav", 10)
    with pytest.raises(ValueError, match=r"noisy/d\.wav"):
        prepare_pairs(pairs, 16_000, tmp_path)
