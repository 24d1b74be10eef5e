import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.inference.resampling import (
    StreamResampler,
    resample,
    resample_blocks,
    resampled_length,
    resampling_lag,
)


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


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 2000), max_size=12),
    st.sampled_from([(8000, 8000), (22050, 22100), (48000, 16000)]),
)
def test_how_much_is_given_depends_on_how_much_has_come_alone(sizes, rates):
    whole, parts = StreamResampler(2, *rates), StreamResampler(2, *rates)
    given_in_parts = sum(parts.push(np.zeros((2, n), "f4")).shape[1] for n in sizes)
    expected = whole.push(noise(2, sum(sizes)).astype("f4"))
    assert expected.shape == (2, given_in_parts)


def test_a_reset_stream_starts_anew():
    resampler, signal = StreamResampler(1, 22050, 22100), noise(1, 4000).astype("f4")
    first = np.concatenate([resampler.push(signal), resampler.flush()], axis=1)
    resampler.reset()
    resampler.push(signal[:, :999])
    resampler.reset()
    second = np.concatenate([resampler.push(signal), resampler.flush()], axis=1)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rates", [(16000, 16000), (22050, 22100), (8000, 4000)])
def test_no_sample_is_kept_for_longer_than_the_lag(rates):
    source, target = rates
    resampler, given, longest = StreamResampler(1, *rates), 0, 0.0
    for taken in range(1, source + 1):
        if source != target:
            longest = max(longest, taken / source - given / target)
        given += resampler.push(np.zeros((1, 1), "f4")).shape[1]
    lag = resampling_lag(*rates)
    assert longest <= lag <= longest + 0.002
