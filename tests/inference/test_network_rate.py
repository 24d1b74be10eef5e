import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.inference.network_rate import (
    RateBridge,
    finite_samples,
    measure_peak,
    mono,
)

ONE = np.ones((1, 1))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def blocks(signal, size=700):
    def read():
        for start in range(0, signal.shape[-1], size):
            yield signal[:, start : start + size]

    return read


def joined(pieces):
    return np.concatenate(list(pieces), axis=-1)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([4000, 16000, 22050, 44101, 96000]))
def test_there_and_back_has_the_length_of_the_signal(length, rate):
    bridge = RateBridge(blocks(noise(2, length)), rate, 16000, length, ONE)
    there = joined(bridge.forth())
    assert there.shape == (2, bridge.own_length) and there.dtype == np.float32
    back = joined(bridge.back([there]))
    assert back.shape == (2, length) and back.dtype == np.float64


def test_what_is_below_both_bands_comes_back_as_it_was():
    times = np.arange(9000) / 22050
    tone = 5 * np.sin(2 * np.pi * 300 * times)[None]
    bridge = RateBridge(blocks(tone), 22050, 8000, 9000, np.array([[4.0]]))
    middle = slice(1000, -1000)
    back = joined(bridge.back(bridge.forth()))
    np.testing.assert_allclose(back[:, middle], tone[:, middle], atol=1e-3)
    assert np.abs(joined(bridge.forth())).max() == pytest.approx(1.25, rel=1e-2)


def test_what_the_network_leaves_alone_keeps_its_highband():
    signal = noise(1, 5000)
    bridge = RateBridge(blocks(signal), 48000, 16000, 5000, ONE)
    kept = joined(bridge.back(bridge.forth(), keep_highband=True))
    np.testing.assert_allclose(kept, signal, atol=1e-6)
    dropped = joined(bridge.back(bridge.forth()))
    assert np.square(dropped).mean() < 0.5 * np.square(signal).mean()


@pytest.mark.parametrize("dry", [0.25, 1.0])
def test_the_share_of_the_signal_is_what_it_says(dry):
    signal = noise(2, 3000)
    bridge = RateBridge(blocks(signal), 16000, 16000, 3000, ONE)
    silent = [np.zeros((2, 3000), np.float32)]
    np.testing.assert_allclose(joined(bridge.back(silent, dry)), dry * signal)


def test_the_peak_is_found_in_any_block():
    signal = noise(3, 2000)
    signal[1, 1999] = -99
    length, peak = measure_peak(blocks(signal))
    assert length == 2000
    np.testing.assert_array_equal(peak, np.abs(signal).max(axis=1, keepdims=True))
    assert measure_peak(lambda: [])[0] == 0


def test_the_mean_of_the_channels_stays_in_range():
    signal = noise(3, 1500)
    mean = signal.mean(axis=0, keepdims=True)
    np.testing.assert_allclose(joined(mono(blocks(signal))()), mean)
    assert np.isfinite(joined(mono(blocks(np.full((2, 10), 1.7e308)))())).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_is_refused(bad):
    result = torch.ones(2, 3)
    np.testing.assert_array_equal(finite_samples(result), np.ones((2, 3)))
    result[1, 1] = bad
    with pytest.raises(ValueError, match="gave 1 values that are not finite"):
        finite_samples(result)
