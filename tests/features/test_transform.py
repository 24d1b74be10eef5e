"""Laws of the feature transform: inverse at every length, float32 under autocast."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.features import CompressedSTFT, to_magnitude_phase


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 2500))
def test_inverse_restores_every_length(length):
    transform = CompressedSTFT(64, 16, 64).double()
    waveform = noise(2, length)
    restored = transform.inverse(*transform(waveform), length)
    assert restored.shape == waveform.shape
    # What is left are the constants that keep gradients finite.
    torch.testing.assert_close(restored, waveform, atol=1e-3, rtol=0)


def test_features_are_the_compressed_stft():
    transform = CompressedSTFT(exponent=0.5).double()
    waveform = noise(1, 1000)
    expected = to_magnitude_phase(transform.stft(waveform), 0.5)
    for ours, theirs in zip(transform(waveform), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_gain_is_a_power_of_the_gain_on_the_magnitude():
    transform = CompressedSTFT().double()
    waveform = noise(1, 1000)
    magnitude, phase = transform(waveform)
    louder, same_phase = transform(100 * waveform)
    torch.testing.assert_close(louder, 100**0.3 * magnitude, atol=0, rtol=1e-4)
    strong = magnitude > 0.5
    torch.testing.assert_close(same_phase[strong], phase[strong], atol=1e-3, rtol=0)


def test_numbers_under_autocast_are_those_without():
    transform = CompressedSTFT()
    waveform = noise(1, 1000).float()
    expected = transform(waveform)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = transform(waveform)
        restored = transform.inverse(*features, 1000)
    assert torch.equal(features[0], expected[0])
    assert torch.equal(features[1], expected[1])
    assert torch.equal(restored, transform.inverse(*expected, 1000))


def test_network_output_in_half_precision_becomes_a_float32_waveform():
    transform = CompressedSTFT()
    magnitude, phase = transform(noise(1, 1000).float())
    halves = magnitude.bfloat16(), phase.bfloat16()
    waveform = transform.inverse(*halves, 1000)
    assert waveform.dtype == torch.float32
    assert torch.equal(waveform, transform.inverse(*(x.float() for x in halves), 1000))


def test_silence_has_finite_features_and_gradients():
    transform = CompressedSTFT()
    waveform = torch.zeros(1, 1000, requires_grad=True)
    magnitude, phase = transform(waveform)
    restored = transform.inverse(magnitude, phase, 1000)
    (magnitude.sum() + phase.sum() + restored.sum()).backward()
    assert waveform.grad.isfinite().all()
    # Floor of the magnitude, 3e-5, summed over the 201 bins of a frame.
    assert restored.abs().max() < 1e-3


def test_attributes_describe_the_transform():
    transform = CompressedSTFT(512, 128, 320, 0.5)
    assert (transform.n_fft, transform.hop_length, transform.win_length) == (
        512,
        128,
        320,
    )
    assert (transform.num_bins, transform.exponent) == (257, 0.5)
    assert transform(torch.zeros(1, 300))[0].shape == (1, 257, 3)
    assert not transform.state_dict()


@pytest.mark.parametrize("exponent", [0.0, -0.3, 1.1])
def test_impossible_exponents_are_refused_with_rule_and_value(exponent):
    with pytest.raises(
        ValueError, match=rf"exponent \({exponent}\) must be in \(0, 1\]"
    ):
        CompressedSTFT(exponent=exponent)
