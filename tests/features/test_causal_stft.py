"""Causal transform: perfect and late, blind to the future, the same at every rate."""

import math

import pytest
import torch

from sesame.features.causal_stft import CausalSTFT

RATES = [8000, 16000, 24000, 32000, 44100, 48000]
every_rate = pytest.mark.parametrize("rate", RATES)


def tones(rate, seconds=1.0):
    """The same five tones below 4 kHz at every rate."""
    frequency = torch.tensor([110.0, 437.0, 1210.0, 2333.0, 3370.0]).double()
    time = torch.arange(int(rate * seconds), dtype=torch.float64) / rate
    phase = 2 * math.pi * frequency[:, None] * time + frequency[:, None]
    return phase.sin().sum(0, keepdim=True).float()


@every_rate
def test_frames_last_20_ms_every_10_ms(rate):
    stft = CausalSTFT(rate)
    assert stft.n_fft == 0.02 * rate
    assert stft.hop_length == 0.01 * rate
    assert stft.delay == stft.n_fft - stft.hop_length
    assert stft(torch.zeros(1, rate)).shape == (1, 100, stft.n_fft // 2 + 1, 2)


@every_rate
@pytest.mark.parametrize("extra", [0, 1, 77])
def test_inverse_is_the_input_one_hop_late(rate, extra):
    stft = CausalSTFT(rate)
    x = torch.randn(2, rate // 10 + extra)
    y = stft.inverse(stft(x), x.shape[1])
    assert y.shape == x.shape
    assert (y[:, stft.delay :] - x[:, : -stft.delay]).abs().max() < 1e-6
    assert y[:, : stft.delay].abs().max() < 1e-6


def test_one_sample_is_enough():
    stft = CausalSTFT(8000)
    assert stft.inverse(stft(torch.ones(1, 1)), 1).shape == (1, 1)


def test_a_frame_sees_no_sample_after_its_own():
    stft = CausalSTFT(8000)
    x = torch.randn(1, 800)
    changed = x.clone()
    changed[:, 400:] += 1
    different = (stft(x) - stft(changed)).abs().amax((0, 2, 3)) > 0
    assert different.tolist() == [False] * 5 + [True] * 5


@every_rate
def test_a_sine_has_half_its_amplitude_in_its_bin(rate):
    time = torch.arange(rate, dtype=torch.float64) / rate
    x = torch.sin(2 * math.pi * 1000 * time).float()[None]
    assert abs(CausalSTFT(rate)(x)[0, 50, 20].norm() - 0.5) < 1e-3


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
def test_bins_are_the_same_at_every_rate(rate):
    expected = CausalSTFT(8000)(tones(8000))[0, 5:, :78]
    actual = CausalSTFT(rate)(tones(rate))[0, 5:, :78]
    assert (actual - expected).norm() / expected.norm() < 1e-3


def test_blocks_give_what_the_whole_gives():
    stft = CausalSTFT(8000)
    x = torch.randn(2, 800)
    whole = stft(x)
    past, tail, outputs = torch.zeros(2, stft.delay), torch.zeros(2, 80), []
    for block in x.split([80, 240, 480], dim=1):
        samples = torch.cat((past, block), dim=1)
        past = samples[:, -stft.delay :]
        spectrum = stft.analyze(samples)
        y, tail = stft.synthesize(spectrum, tail)
        outputs.append((spectrum, y))
    assert torch.equal(torch.cat([spectrum for spectrum, _ in outputs], 1), whole)
    y = torch.cat([y for _, y in outputs], 1)
    torch.testing.assert_close(y, stft.inverse(whole, 800), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_multiplies_by_the_basis_and_gives_the_same():
    stft = CausalSTFT(8000)
    x = torch.randn(2, 240)

    def both(x):
        spectrum = stft.analyze(x)
        return (spectrum, *stft.synthesize(spectrum, x[:, :80]))

    traced = torch.jit.trace(both, (torch.zeros(2, 240),), check_trace=False)
    assert "fft" not in str(traced.inlined_graph)
    for actual, expected in zip(traced(x), both(x), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_half_precision_is_analysed_in_float32():
    x = torch.randn(1, 800).bfloat16()
    assert torch.equal(CausalSTFT(8000)(x), CausalSTFT(8000)(x.float()))


@pytest.mark.parametrize("rate", [0, 7900, 11025, 22050, 16050, 48100])
def test_rates_without_an_even_frame_are_refused(rate):
    with pytest.raises(ValueError, match=rf"sample_rate \({rate}\) must be a multiple"):
        CausalSTFT(rate)


@pytest.mark.parametrize("shape", [(800,), (1, 0), (1, 2, 800)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="expected waveform"):
        CausalSTFT(8000)(torch.zeros(shape))


@pytest.mark.parametrize("length", [0, 241])
def test_lengths_that_frames_do_not_cover_are_refused(length):
    with pytest.raises(ValueError, match=rf"length \({length}\) must be in"):
        CausalSTFT(8000).inverse(torch.zeros(1, 3, 81, 2), length)


@every_rate
def test_a_frame_is_heard_if_no_half_of_it_is_silent(rate):
    stft = CausalSTFT(rate)
    x = torch.randn(2, 9 * stft.hop_length)
    hops = x.unflatten(1, (9, -1))
    hops[0, 4:6] = 0
    hops[0, 7, 1:] = 0  # one sample is enough
    lost = ~stft.heard(stft.pad(x))
    assert lost[0].nonzero().flatten().tolist() == [0, 4, 5, 6]  # after silence
    assert lost[1].nonzero().flatten().tolist() == [0]
