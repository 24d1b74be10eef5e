"""Laws of the STFT: exact inverse at every length, linearity, locality, alignment."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sesame.features import STFT

SIZES = [
    (400, 100, 400),
    (512, 128, 512),
    (400, 160, 320),
    (64, 16, 48),
    (402, 90, 301),
]


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(
        *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 3000), size=st.sampled_from(SIZES))
def test_inverse_restores_every_length_from_one_sample_on(length, size):
    stft = STFT(*size).double()
    waveform = noise(2, length)
    restored = stft.inverse(stft(waveform), length)
    assert restored.shape == waveform.shape
    torch.testing.assert_close(restored, waveform, atol=1e-9, rtol=0)


@pytest.mark.parametrize("length", [1, 2, 99, 100, 101, 199, 200, 201, 202, 399, 1601])
def test_lengths_around_the_reflection_limit_are_restored(length):
    stft = STFT().double()
    waveform = noise(1, length)
    restored = stft.inverse(stft(waveform), length)
    torch.testing.assert_close(restored, waveform, atol=1e-11, rtol=0)


@pytest.mark.parametrize("length", [1, 99, 100, 250, 2450, 16000])
def test_frames_are_one_per_hop_and_one_more(length):
    stft = STFT()
    assert stft(torch.zeros(1, length)).shape == (1, 201, length // 100 + 1)
    assert stft.num_frames(length) == length // 100 + 1


def test_hop_of_half_a_window_is_restored():
    stft = STFT(64, 32, 64).double()
    waveform = noise(1, 640)
    restored = stft.inverse(stft(waveform), 640)
    torch.testing.assert_close(restored, waveform, atol=1e-9, rtol=0)


def test_analysis_is_linear():
    stft = STFT().double()
    left, right = noise(2, 1111, seed=1), noise(2, 1111, seed=2)
    together = stft(2.5 * left - 0.3 * right)
    torch.testing.assert_close(together, 2.5 * stft(left) - 0.3 * stft(right))


def test_spectrum_is_the_windowed_fourier_sum():
    n_fft, hop, win = 16, 4, 12
    waveform = noise(1, 40)
    spectrum = STFT(n_fft, hop, win).double()(waveform)
    samples = torch.arange(n_fft, dtype=torch.float64)
    window = torch.zeros(n_fft, dtype=torch.float64)
    steps = torch.arange(win, dtype=torch.float64)
    window[2:14] = 0.5 - 0.5 * torch.cos(2 * math.pi * steps / win)
    start = 5 * hop - n_fft // 2
    frame = waveform[0, start : start + n_fft] * window
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float64)
    kernel = torch.exp(-2j * math.pi * bins[:, None] * samples / n_fft)
    expected = kernel @ frame.to(torch.complex128)
    # The window is stored in float32.
    torch.testing.assert_close(spectrum[0, :, 5], expected, atol=1e-5, rtol=0)


def test_frame_t_is_centred_on_sample_t_times_hop():
    waveform = torch.zeros(1, 2000)
    waveform[0, 700] = 1
    energy = STFT()(waveform).abs().sum(dim=1)[0]
    assert energy.argmax() == 7
    assert energy[5].item() < 1e-3 and energy[9].item() < 1e-3
    torch.testing.assert_close(energy[6], energy[8])


def test_sine_peaks_in_its_bin():
    samples = torch.arange(4000) / 16000
    tone = torch.sin(2 * math.pi * 1000 * samples)[None]
    # 1000 Hz at 40 Hz per bin.
    assert STFT()(tone)[0, :, 20].abs().argmax() == 25


def test_items_do_not_depend_on_batch_mates():
    stft = STFT()
    waveform = noise(3, 1234, dtype=torch.float32)
    spectrum = stft(waveform)
    assert torch.equal(spectrum[1:2], stft(waveform[1:2]))
    alone = stft.inverse(spectrum[1:2], 1234)
    torch.testing.assert_close(stft.inverse(spectrum, 1234)[1:2], alone)


def test_restored_waveform_may_be_cut_short():
    stft = STFT()
    waveform = noise(1, 1000, dtype=torch.float32)
    torch.testing.assert_close(
        stft.inverse(stft(waveform), 777), waveform[:, :777], atol=1e-5, rtol=0
    )


def test_gradients_pass_both_ways():
    stft = STFT(16, 4, 16).double()
    waveform = noise(1, 21).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: stft.inverse(stft(x) * (1 + 2j), 21), (waveform,)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_analysed_in_float32(dtype):
    waveform = noise(1, 500).to(dtype)
    spectrum = STFT()(waveform)
    assert spectrum.dtype == torch.complex64
    assert torch.equal(spectrum, STFT()(waveform.float()))


def test_state_dict_is_empty_and_module_has_no_parameters():
    stft: nn.Module = STFT()
    assert not stft.state_dict() and not list(stft.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((400, 100, 401), r"win_length \(401\) must be in \[2, n_fft \(400\)\]"),
        ((401, 90, 301), r"n_fft \(401\) must be even"),
        ((400, 100, 1), r"win_length \(1\)"),
        ((400, 0, 400), r"hop_length \(0\) must be in \[1, win_length // 2 \(200\)\]"),
        ((400, 201, 400), r"hop_length \(201\)"),
    ],
)
def test_impossible_sizes_are_refused_with_rule_and_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        STFT(*arguments)


@pytest.mark.parametrize("shape", [(16000,), (1, 1, 16000), (2, 0)])
def test_waveforms_that_are_not_batch_by_samples_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected waveform \(B, L\)"):
        STFT()(torch.zeros(shape))


@pytest.mark.parametrize("length", [0, 300, -1])
def test_lengths_that_the_frames_do_not_cover_are_refused(length):
    spectrum = torch.zeros(1, 201, 3, dtype=torch.complex64)
    with pytest.raises(ValueError, match=rf"length \({length}\) must be in"):
        STFT().inverse(spectrum, length)


def test_spectra_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"expected spectrum \(B, 201, T\)"):
        STFT().inverse(torch.zeros(1, 257, 3, dtype=torch.complex64), 100)
