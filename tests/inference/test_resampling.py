import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.inference.resampling import resample, resample_blocks, resampled_length


def noise(*shape):
    return 0.1 * np.random.default_rng(0).standard_normal(shape)


@given(st.integers(0, 10**9), st.integers(4000, 384000), st.integers(4000, 384000))
def test_the_way_there_and_back_is_never_too_short(length, source, target):
    there = resampled_length(length, source, target)
    assert there * source >= length * target
    assert resampled_length(there, target, source) >= length


@pytest.mark.parametrize("target", [8000, 16000, 44100, 44101, 96000])
def test_a_tone_keeps_its_frequency_and_level(target):
    tone = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)[None]
    expected = np.sin(2 * np.pi * 1000 * np.arange(target) / target)
    middle = slice(target // 4, 3 * target // 4)
    error = resample(tone, 22050, target)[0, middle] - expected[middle]
    assert np.abs(error).max() < 1e-4


@pytest.mark.parametrize("length", [0, 1, 100])
def test_one_rate_is_left_as_it_is(length):
    signal = noise(2, length)
    assert resample(signal, 16000, 16000) is signal


def test_a_stream_of_nothing_is_nothing():
    assert list(resample_blocks([], 8000, 16000, 0)) == []


@settings(max_examples=25)
@given(
    st.integers(1, 9000),
    st.integers(1, 3000),
    st.sampled_from([(8000, 16000), (44101, 16000), (16000, 48000), (384000, 16000)]),
)
def test_a_stream_is_resampled_as_the_whole_signal_is(length, size, rates):
    signal = noise(2, length)
    blocks = (signal[:, s : s + size] for s in range(0, length, size))
    expected = resample(signal, *rates)
    pieces = list(resample_blocks(blocks, *rates, expected.shape[-1]))
    np.testing.assert_array_equal(np.concatenate(pieces, axis=-1), expected)
