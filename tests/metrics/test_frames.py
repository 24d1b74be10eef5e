import numpy as np
import pytest

from sesame.metrics.frames import BLOCK, count_frames, frame_blocks, frame_sizes


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_frames_are_the_windowed_samples_every_hop(rate):
    signal = np.random.default_rng(0).standard_normal(rate)
    length, hop = frame_sizes(rate)
    window = np.hanning(length + 2)[1:-1]
    ((estimate, target),) = frame_blocks(-signal, signal, rate)
    assert target.shape == (count_frames(rate, rate), length)
    for i in (0, 1, target.shape[0] - 1):
        expected = window * signal[i * hop : i * hop + length]
        np.testing.assert_allclose(target[i], expected, atol=1e-14)
        np.testing.assert_allclose(estimate[i], -expected, atol=1e-14)


def test_blocks_join_to_all_frames_without_a_seam():
    num_frames = 2 * BLOCK + 3
    signal = np.arange(480 + num_frames * 120, dtype=float)
    blocks = [target for _, target in frame_blocks(signal, signal, 16000)]
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, 3]
    steps = np.diff(np.concatenate(blocks)[:, 100])
    np.testing.assert_allclose(steps, steps[0])


@pytest.mark.parametrize("length", [0, 1, 480, 599])
def test_signals_of_less_than_a_frame_and_a_hop_have_no_frames(length):
    signal = np.ones(length)
    assert count_frames(length, 16000) == 0
    assert list(frame_blocks(signal, signal, 16000)) == []
