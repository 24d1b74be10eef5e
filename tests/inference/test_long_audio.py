import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.features import CompressedSTFT, enhance_waveform
from sesame.inference import long_audio
from sesame.inference.long_audio import dry_share, enhance_blocks

RATE = 16000
TRANSFORM = CompressedSTFT(n_fft=64, hop_length=16, win_length=64)
CPU = torch.device("cpu")


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def halve(magnitude, phase):
    return magnitude / 2, phase


def local(magnitude, phase):
    """A network that hears two frames to either side."""
    kernel = torch.tensor([[[1.0, 2.0, 3.0, 2.0, 1.0]]]) / 9
    rows = magnitude.flatten(0, 1)[:, None]
    smooth = torch.nn.functional.conv1d(rows, kernel, padding=2)
    return smooth[:, 0].unflatten(0, magnitude.shape[:2]), phase


def run(network, signal, rate=RATE, size=1000, **options):
    def blocks():
        for start in range(0, signal.shape[-1], size):
            yield signal[:, start : start + size]

    pieces = enhance_blocks(network, TRANSFORM, RATE, CPU, blocks, rate, **options)
    return np.concatenate(list(pieces), axis=-1)


def decibels(error, signal):
    return 10 * np.log10(np.square(error).mean() / np.square(signal).mean() + 1e-30)


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of a tenth of a second, so that short signals are long."""
    monkeypatch.setattr(long_audio, "WHOLE_SECONDS", 0.1)
    monkeypatch.setattr(long_audio, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(long_audio, "CONTEXT_SECONDS", 0.008)
    monkeypatch.setattr(long_audio, "FADE_SECONDS", 0.016)


@pytest.mark.parametrize("length", [1, 1599, 1600, 1601, 1616, 3001, 16000])
def test_windows_of_a_local_network_equal_one_pass(short_windows, length):
    noisy = noise(1, length)
    one_pass = enhance_waveform(local, TRANSFORM, torch.from_numpy(noisy).float())
    in_windows = run(local, noisy)
    assert in_windows.shape == noisy.shape
    # Frame 0 of a window is no frame of the signal: its edge is reflected there.
    assert decibels(in_windows - one_pass.numpy(), one_pass.numpy()) < -100


@settings(max_examples=25)
@given(st.integers(1, 5000), st.sampled_from([4000, 8000, 11025, 44100, 44101, 384000]))
def test_every_length_at_every_rate_comes_back_exactly(length, rate):
    noisy = noise(2, length)
    assert run(halve, noisy, rate).shape == noisy.shape


def test_the_size_of_the_blocks_does_not_matter(short_windows):
    noisy = noise(2, 7001)
    expected = run(local, noisy, 44100, size=7001)
    np.testing.assert_array_equal(run(local, noisy, 44100, size=77), expected)


def test_a_quiet_beginning_is_not_raised_to_the_level_of_the_rest(short_windows):
    seen = []

    def listen(magnitude, phase):
        seen.append(magnitude.mean().item())
        return magnitude, phase

    noisy = noise(1, 16000)
    noisy[:, :8000] /= 1000
    run(listen, noisy)
    assert len(seen) > 5
    assert seen[0] < seen[-1] / 5  # (1/1000)^0.3 = 1/8


def test_a_gain_on_the_input_is_the_same_gain_on_the_output(short_windows):
    noisy = noise(1, 5000)
    expected = run(local, noisy)
    for gain in (2.0**-900, 2.0**-20, 2.0**900):
        np.testing.assert_array_equal(run(local, gain * noisy) / gain, expected)


@pytest.mark.parametrize("length", [100, 5000])
def test_silent_channels_stay_silent_whatever_the_network_does(short_windows, length):
    noisy = noise(3, length)
    noisy[1] = 0
    enhanced = run(lambda magnitude, phase: (magnitude + 1, phase), noisy)
    assert not enhanced[1].any()
    assert enhanced[0].any() and enhanced[2].any()


def test_channels_do_not_hear_each_other(short_windows):
    noisy = noise(3, 5000)
    together = run(local, noisy)
    for channel in range(3):
        alone = run(local, noisy[channel : channel + 1])
        np.testing.assert_array_equal(together[channel], alone[0])


@pytest.mark.parametrize("rate", [RATE, 48000])
def test_all_dry_is_the_noisy_signal_itself(short_windows, rate):
    noisy = noise(2, 5000)
    np.testing.assert_allclose(run(halve, noisy, rate, dry=1.0), noisy, atol=1e-16)


def test_the_dry_share_is_mixed_in_without_delay(short_windows):
    noisy = noise(1, 5000)
    wet = run(halve, noisy)
    mixed = run(halve, noisy, dry=0.25)
    np.testing.assert_allclose(mixed, 0.75 * wet + 0.25 * noisy, atol=1e-12)


def test_noise_is_lowered_by_the_maximal_attenuation_at_most():
    noisy = noise(1, 5000)

    def mute(magnitude, phase):
        return torch.zeros_like(magnitude), phase

    rest = run(mute, noisy, dry=dry_share(max_attenuation_db=12))
    assert decibels(rest, noisy) == pytest.approx(-12, abs=1e-3)


@pytest.mark.parametrize("keep_highband", [False, True])
def test_what_the_network_cannot_hear_is_dropped_or_kept(short_windows, keep_highband):
    time = np.arange(24000) / 48000
    low, high = np.sin(2000 * np.pi * time)[None], np.sin(24000 * np.pi * time)[None]
    enhanced = run(halve, low + high, 48000, keep_highband=keep_highband)
    middle = slice(6000, 18000)
    expected = (low * 2 ** (-1 / 0.3) + high * keep_highband)[:, middle]
    assert decibels(enhanced[:, middle] - expected, expected) < -35


def test_progress_grows_to_one(short_windows):
    seen = []
    run(halve, noise(1, 5000), progress=seen.append)
    assert len(seen) > 2 and seen == sorted(seen) and seen[-1] == 1


def test_a_network_that_returns_nan_is_an_error():
    def broken(magnitude, phase):
        return magnitude * float("nan"), phase

    with pytest.raises(ValueError, match="gave 100 values that are not finite"):
        run(broken, noise(1, 100))


def test_nothing_in_nothing_out():
    assert list(enhance_blocks(halve, TRANSFORM, RATE, CPU, list, RATE)) == []


@pytest.mark.parametrize(
    "options",
    [
        {"dry": -0.1},
        {"dry": 1.1},
        {"dry": float("nan")},
        {"max_attenuation_db": -1},
        {"max_attenuation_db": float("nan")},
        {"max_attenuation_db": 6, "dry": 0.5},
    ],
)
def test_shares_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=r"must be|only one"):
        dry_share(**options)


MEMORY = """
import soundfile, torch
from sesame.features import CompressedSTFT
from sesame.inference import Enhancer
from sesame.models import SESAME
torch.set_num_threads(1)
network = SESAME(
    257, channels=2, num_blocks=1, num_heads=1, dense_depth=1, moe_blocks=[0]
)
enhancer = Enhancer(network, CompressedSTFT(512, 256, 512), 16000, "cpu")
# Sparse: a header, then nothing but one sample at the end.
with soundfile.SoundFile({source!r}, "w", 16000, 1, "PCM_16") as file:
    file.seek(int(16000 * 60 * {minutes}) - 1)
    file.write([0.5])
report = enhancer.enhance_file({source!r}, {target!r})
# Not ru_maxrss, which holds the peak of the process that this one was forked from.
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM"))
print(report.seconds, int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux")
def test_half_an_hour_needs_little_more_memory_than_half_a_minute(tmp_path):
    peaks = []
    for minutes in (0.5, 30):
        script = MEMORY.format(
            source=str(tmp_path / f"{minutes}.wav"),
            target=str(tmp_path / f"{minutes}_enhanced.wav"),
            minutes=minutes,
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, megabytes = done.stdout.split()
        assert float(seconds) == 60 * minutes
        peaks.append(int(megabytes))
    assert peaks[1] < 1500
    assert peaks[1] < peaks[0] + 100
