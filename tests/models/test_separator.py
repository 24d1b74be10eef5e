"""The frame of the separators: exact length, level, silence, lengths, identity."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sesame.features import STFT
from sesame.models.separator import BandSplitSeparator
from sesame.nnet import DualPathBlock
from sesame.nnet.band_rnn import BandRNN

BANDS = [(0, 3), (2, 6), (5, 17)]


def separator(num_sources=2, blocks=None):
    if blocks is None:
        blocks = [DualPathBlock(BandRNN(4), BandRNN(4))]
    stft = STFT(n_fft=32, hop_length=8, win_length=32)
    return BandSplitSeparator(stft, 8000, BANDS, 4, blocks, num_sources).double().eval()


def mixture(batch=2, length=203):
    return torch.randn(batch, length, dtype=torch.float64)


def identity(network):
    """Makes every band say: the mask is 1, the residual 0."""
    for group in network.decoder.groups:
        nn.init.zeros_(group.output.weight)
        nn.init.zeros_(group.output.bias)
        # Rows: masks, then residuals; columns: values, then their gates.
        values = group.output.bias.data[: len(group.output.bias) // 2].chunk(2, dim=1)
        values[0][:, 0::2] = 2  # times sigmoid(0) is the real part
    return network


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 300), num_sources=st.integers(1, 3))
def test_masks_of_one_give_back_the_mixture_at_every_length(length, num_sources):
    x = mixture(2, length)
    with torch.no_grad():
        sources = identity(separator(num_sources))(x)
    assert sources.shape == (2, num_sources, length)
    expected = x.unsqueeze(1).expand_as(sources)
    torch.testing.assert_close(sources, expected, rtol=0, atol=1e-6)


def test_masks_of_one_give_back_float32_mixtures():
    x = mixture().float()
    sources = identity(separator()).float()(x)
    assert sources.dtype == torch.float32
    expected = x.unsqueeze(1).expand_as(sources)
    torch.testing.assert_close(sources, expected, rtol=0, atol=1e-5)


def test_the_estimate_is_mask_times_mixture_plus_residual():
    network, x = separator(), mixture()
    level = x.square().mean(1, keepdim=True).sqrt()
    spectrum = network.stft(x / level)
    mask, residual = network.estimate(spectrum)
    sources = network(x)
    for source in range(2):
        part = mask[:, source] * spectrum + residual[:, source]
        expected = network.stft.inverse(part, x.shape[1]) * level
        torch.testing.assert_close(sources[:, source], expected)


@pytest.mark.parametrize("gain", [1e-6, 0.1, -3.0, 1e6])
def test_a_gain_on_the_mixture_is_the_same_gain_on_the_sources(gain):
    network, x = separator(), mixture()
    # A sign is no level: only positive gains pass the LSTM unseen.
    expected = network(x if gain > 0 else -x) * abs(gain)
    torch.testing.assert_close(network(gain * x), expected, rtol=1e-9, atol=0)


def test_silence_gives_zeros_beside_a_mixture_that_stays_as_it_is():
    network, x = separator(), mixture(3)
    x[1] = 0
    sources = network(x)
    assert torch.equal(sources[1], torch.zeros(2, 203).double())
    torch.testing.assert_close(sources[::2], network(x[::2]))


def test_silence_gives_finite_gradients():
    network = separator().train()
    network(torch.zeros(2, 203).double()).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_a_network_that_fails_on_silence_is_not_heard():
    network = separator()
    for parameter in network.decoder.parameters():
        parameter.data.fill_(torch.nan)
    assert not network(torch.zeros(1, 50, dtype=torch.float64)).any()


def test_padding_and_batch_mates_change_nothing():
    network, lengths = separator(), [203, 100, 1, 203, 99]
    items = [mixture(1, length) for length in lengths]
    x = torch.cat(
        [nn.functional.pad(item, (0, 203 - item.shape[1]), value=9) for item in items]
    )
    with torch.no_grad():
        sources = network(x, lengths)
        for item, length, got in zip(items, lengths, sources, strict=True):
            torch.testing.assert_close(got[:, :length], network(item)[0])
            assert not got[:, length:].any()
        as_tensor = network(x, torch.tensor(lengths))
    assert torch.equal(as_tensor, sources)


def test_without_lengths_all_are_whole():
    network, x = separator(), mixture(3)
    torch.testing.assert_close(network(x, [203] * 3), network(x))


def test_every_parameter_receives_a_gradient():
    network = separator().train()
    (network(mixture()) - mixture()[:, None]).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 1e-9, name


def test_blocks_are_told_the_number_of_mixtures_and_that_frames_are_real():
    class Spy(nn.Module):
        def forward(self, x, context, real):
            self.seen = x.shape, context, real
            return x

    spy = Spy()
    separator(blocks=[spy])(mixture(3))
    shape, context, real = spy.seen
    assert shape == (3, 4, 26, 3)
    assert context is None
    assert torch.equal(real, torch.ones(3, 1, dtype=torch.bool))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((torch.zeros(9),), r"expected mixture \(B, L\) with L >= 1, got \(9,\)"),
        ((torch.zeros(2, 0),), r"got \(2, 0\)"),
        ((torch.zeros(2, 9, dtype=torch.int16),), "floating-point mixture"),
        ((mixture(), [203]), r"lengths \(1\) must be as many as mixtures \(2\)"),
        ((mixture(), [203, 0]), r"must be in \[1, L \(203\)\]"),
        ((mixture(), [204, 9]), r"must be in \[1, L \(203\)\]"),
    ],
)
def test_what_is_no_batch_of_mixtures_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        separator()(*call)


def test_training_needs_one_length():
    network = separator().train()
    with pytest.raises(ValueError, match="must all be the same in training"):
        network(mixture(), [203, 9])
