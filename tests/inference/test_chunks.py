import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.features import CompressedSTFT, enhance_waveform
from sesame.inference import ChunkedEnhancer, Enhancer

RATE = 16000
TRANSFORM = {"n_fft": 64, "hop_length": 16, "win_length": 64}


class Squash(torch.nn.Module):
    """What it makes of a sample depends on the level and on all it hears."""

    def forward(self, magnitude, phase):
        return torch.tanh(magnitude) * magnitude.mean((1, 2), keepdim=True), phase


def enhancers(chunk_seconds):
    parts = Squash(), CompressedSTFT(**TRANSFORM), RATE, "cpu"
    return Enhancer(*parts), ChunkedEnhancer(*parts, chunk_seconds)


def noise(*shape):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) * rng.uniform(0.01, 0.3, shape)).astype("f4")


@settings(max_examples=30)
@given(st.integers(1, 3000), st.integers(1, 1200))
def test_each_piece_is_what_it_would_be_as_a_file_of_its_own(length, chunk):
    chunk = max(chunk, length // 20 + 1)
    _, chunked = enhancers(chunk / RATE)
    noisy = noise(length)
    pieces = [noisy[start : start + chunk] for start in range(0, length, chunk)]
    alone = [
        enhance_waveform(Squash(), TRANSFORM_MODULE, torch.from_numpy(piece)[None])[0]
        for piece in pieces
    ]
    np.testing.assert_array_equal(chunked(noisy, RATE), torch.cat(alone).numpy())


TRANSFORM_MODULE = CompressedSTFT(**TRANSFORM)


def test_the_default_is_ten_seconds_and_the_last_piece_is_not_padded():
    heard = []

    class Listen(torch.nn.Module):
        def forward(self, magnitude, phase):
            heard.append(magnitude.shape[-1])
            return magnitude, phase

    chunked = ChunkedEnhancer(Listen(), CompressedSTFT(**TRANSFORM), RATE, "cpu")
    chunked(noise(25 * RATE), RATE)
    assert heard == [10 * RATE // 16 + 1] * 2 + [5 * RATE // 16 + 1]


def test_a_signal_within_one_piece_is_enhanced_as_ever():
    whole, chunked = enhancers(1.0)
    noisy = noise(2, RATE)
    np.testing.assert_array_equal(chunked(noisy, RATE), whole(noisy, RATE))
    assert not np.allclose(chunked(noise(RATE + 900), RATE), whole(noise(16900), RATE))


def test_pieces_are_counted_at_the_rate_of_the_network():
    heard = []

    class Listen(torch.nn.Module):
        def forward(self, magnitude, phase):
            heard.append(magnitude.shape[-1])
            return magnitude, phase

    parts = Listen(), CompressedSTFT(**TRANSFORM), RATE, "cpu"
    noisy = noise(48 * 250)
    enhanced = ChunkedEnhancer(*parts, 0.1)(noisy, 48000)
    assert heard == [101, 101, 51]
    assert enhanced.shape == noisy.shape


def test_other_options_and_progress_work_as_ever():
    _, chunked = enhancers(0.05)
    noisy = noise(1, 2000)
    np.testing.assert_allclose(chunked(noisy, RATE, dry=1.0), noisy, atol=1e-6)
    told = []
    blocks = chunked.enhance_blocks(lambda: [noisy], RATE, progress=told.append)
    assert np.concatenate(list(blocks), axis=-1).shape == noisy.shape
    assert told == [0.4, 0.8, 1.0]


def test_a_silent_piece_stays_silent_beside_a_loud_one():
    _, chunked = enhancers(0.05)
    noisy = noise(1600)
    noisy[:800] = 0
    enhanced = chunked(noisy, RATE)
    assert not enhanced[:800].any() and enhanced[800:].any()


def test_files_go_through_in_pieces_too(tmp_path):
    _, chunked = enhancers(0.05)
    soundfile.write(tmp_path / "a.wav", noise(2000), RATE, "FLOAT")
    chunked.enhance_file(tmp_path / "a.wav", tmp_path / "b.wav")
    enhanced = soundfile.read(tmp_path / "b.wav", dtype="float32")[0]
    np.testing.assert_array_equal(enhanced, chunked(noise(2000), RATE))


def test_a_model_folder_can_be_loaded_for_pieces(model_folder):
    assert ChunkedEnhancer.from_pretrained(model_folder, "cpu").chunk_seconds == 10


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_the_length_of_pieces_must_be_positive(seconds):
    with pytest.raises(ValueError, match="chunk_seconds"):
        enhancers(seconds)
