"""Band codec: band by band written down, slices, silence, the same at every rate."""

import pytest
import torch
from torch.nn import functional as F

from sesame.features.causal_stft import CausalSTFT
from sesame.features.rate_bands import RateBands
from sesame.nnet.rate_codec import RateBandDecoder, RateBandEncoder
from sesame.nnet.slimmable import prefix_state_dict

# First bin of some bands at 16 kHz, the bin after the last, and the group.
SOME_BANDS = {0: (0, 5, 0), 1: (5, 9, 0), 19: (77, 81, 0), 22: (101, 111, 1)}
SOME_BANDS |= {26: (141, 161, 2)}
BANDS = RateBands(161)


def spectrum(batch=2, frames=3):
    return torch.randn(batch, frames, 161, 2, dtype=torch.float64)


@pytest.mark.parametrize("channels", [4, 8])
@pytest.mark.parametrize("with_reference", [True, False])
def test_features_are_those_of_each_band_on_its_own(channels, with_reference):
    encoder = RateBandEncoder(8, exponent=0.3).double()
    mixture = spectrum()
    reference = spectrum() if with_reference else None
    actual = encoder(mixture, reference, BANDS, channels)
    parts = [mixture, torch.zeros_like(mixture) if reference is None else reference]
    parts = [1024 * part for part in parts]
    values = [p * p.norm(dim=-1, keepdim=True).clamp_min(1e-8) ** -0.7 for p in parts]
    values = torch.cat(values, dim=-1)
    for band, (start, stop, group) in SOME_BANDS.items():
        linear = encoder.maps[group]
        x = values[:, :, start:stop].flatten(2)
        weight = linear.weight[:channels, : x.shape[-1]]
        expected = x @ weight.t() + linear.bias[:channels]
        expected[..., 1::2] = expected.unflatten(-1, (-1, 2)).norm(dim=-1)
        expected = expected + encoder.embedding[band, :channels]
        torch.testing.assert_close(actual[:, :, band], expected)


@pytest.mark.parametrize("channels", [4, 8])
def test_bins_are_those_of_each_band_on_its_own(channels):
    decoder, spectra = RateBandDecoder(8).double(), (spectrum(), spectrum())
    features = torch.randn(2, 3, 27, channels, dtype=torch.float64)
    actual = torch.view_as_complex(decoder(features, *spectra, BANDS))
    mixture, continued = map(torch.view_as_complex, spectra)
    for band, (start, stop, group) in SOME_BANDS.items():
        hidden = F.silu(decoder.hidden[group](features[:, :, band], channels))
        output = decoder.outputs[group]
        values = hidden @ output.weight[:, :channels].t() + output.bias
        values = values.unflatten(-1, (-1, 4))[:, :, : stop - start].contiguous()
        masks = torch.view_as_complex(values.unflatten(-1, (2, 2))).unbind(-1)
        expected = masks[0] * mixture[:, :, start:stop]
        expected = expected + masks[1] * continued[:, :, start:stop]
        torch.testing.assert_close(actual[:, :, start:stop], expected)


@pytest.mark.parametrize("lost", [False, True])
def test_masks_start_near_one_and_near_zero(lost):
    decoder, x = RateBandDecoder(64).double(), spectrum()
    spectra = (torch.zeros_like(x), x) if lost else (x, torch.zeros_like(x))
    y = decoder(torch.randn(2, 3, 27, 64, dtype=torch.float64), *spectra, BANDS)
    assert (y - spectra[0]).norm() < 0.2 * x.norm()
    assert not torch.equal(y, spectra[0])


def test_half_of_the_features_have_a_mean_over_phases():
    """A tone in a hundred phases: every other channel sums to nothing."""
    encoder = RateBandEncoder(8).double()
    phases = torch.arange(100) * (2 * torch.pi / 100)
    tone = torch.zeros(100, 1, 161, 2, dtype=torch.float64)
    tone[:, 0, 40] = 0.01 * torch.stack((phases.cos(), phases.sin()), dim=-1)
    with torch.no_grad():
        encoder.embedding.zero_()
        features = encoder(tone, None, BANDS, 8)[:, 0, 9]
    assert features[:, 0::2].mean(0).abs().max() < 1e-6 * features.abs().max()
    assert features[:, 1::2].mean(0).min() > 0.1 * features.abs().max()


@pytest.mark.parametrize("channels", [0, 1, 7])
def test_pairs_need_an_even_number_of_channels(channels):
    with pytest.raises(ValueError, match=rf"channels \({channels}\) must be even"):
        RateBandEncoder(channels)


def test_silence_has_finite_features_and_gradients():
    encoder, decoder = RateBandEncoder(8), RateBandDecoder(8)
    for output in decoder.outputs:
        torch.nn.init.zeros_(output.weight)
    mixture = torch.zeros(1, 2, 161, 2, requires_grad=True)
    reference = torch.zeros(1, 2, 161, 2, requires_grad=True)
    y = decoder(encoder(mixture, reference, BANDS, 8), mixture, mixture, BANDS)
    y.sum().backward()
    parameters = [*encoder.parameters(), *decoder.parameters(), mixture, reference]
    gradients = [p.grad for p in parameters if p.grad is not None]
    assert len(gradients) > 10
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_band_is_encoded_alike_at_every_rate():
    encoder, x = RateBandEncoder(8), torch.randn(1, 2, 481, 2)
    low = encoder(x[:, :, :81], None, RateBands(81), 8)
    high = encoder(x, None, RateBands(481), 8)
    torch.testing.assert_close(high[:, :, :20], low)


def heard(encoder, signal, rate):
    """Compressed bins and features of whole signals."""
    stft = CausalSTFT(rate)
    spectrum, bands = stft(signal), RateBands(stft.num_bins)
    return encoder.compress(spectrum), encoder(spectrum, None, bands, 8)


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
def test_tones_are_heard_alike_at_every_rate(rate):
    encoder, sounds = RateBandEncoder(8), []
    frequency = torch.tensor([110.0, 437, 1210, 2333, 3370]).double()[:, None]
    for each in (8000, rate):
        time = torch.arange(each, dtype=torch.float64) / each
        signal = (2 * torch.pi * frequency * time + frequency).sin().sum(0)
        sounds.append(heard(encoder, signal.float()[None], each))
    # Bins and bands below the half of 8 kHz, after the first frames.
    (bins, features), (actual_bins, actual) = sounds
    error = actual_bins[:, 5:, :78] - bins[:, 5:, :78]
    assert error.norm() < 1e-2 * bins[:, 5:, :78].norm()
    error = actual[:, 5:, :19] - features[:, 5:, :19]
    assert error.norm() < 1e-2 * features[:, 5:, :19].norm()


def test_a_recording_is_heard_alike_at_three_times_its_rate():
    """Its upper bands are empty then."""
    encoder, length = RateBandEncoder(8), 16000
    spectrum = torch.fft.rfft(torch.randn(1, length, dtype=torch.float64))
    spectrum[:, 7000:] = 0  # [Hz]
    signal = torch.fft.irfft(spectrum, n=length)
    raised = 3 * torch.fft.irfft(spectrum, n=3 * length)
    torch.testing.assert_close(raised[:, ::3], signal)
    _, expected = heard(encoder, signal.float(), 16000)
    bins, actual = heard(encoder, raised.float(), 48000)
    assert bins[:, :, 161:].norm() < 0.1 * bins.norm()
    error = actual[:, :, :26] - expected[:, :, :26]
    assert error.norm() < 1e-2 * expected[:, :, :26].norm()


def test_prefixes_on_their_own_give_the_same_to_the_last_bit():
    mixture = torch.randn(1, 3, 161, 2)
    encoder, small = RateBandEncoder(64), RateBandEncoder(16)
    small.load_state_dict(prefix_state_dict(encoder, small))
    features = small(mixture, None, BANDS, 16)
    assert torch.equal(features, encoder(mixture, None, BANDS, 16))
    decoder, small = RateBandDecoder(64), RateBandDecoder(16)
    small.load_state_dict(prefix_state_dict(decoder, small))
    actual, expected = (d(features, mixture, mixture, BANDS) for d in (small, decoder))
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("exponent", [0.0, 1.5])
def test_exponents_out_of_range_are_refused(exponent):
    with pytest.raises(ValueError, match=r"exponent \(.*\) must be in \(0, 1\]"):
        RateBandEncoder(8, exponent)
