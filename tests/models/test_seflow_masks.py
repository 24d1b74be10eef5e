"""What SEFlow makes of its masks: the input, a tone that goes on, speech levels."""

import pytest
import torch

from sesame.models.seflow import SEFlow


def with_masks(*masks):
    """A network that answers the same masks of the mixture and its continuation."""
    model = SEFlow(width=16, depth=1, head_channels=4, context=10)
    values = [part for mask in masks for part in (mask, 0.0)]
    with torch.no_grad():
        for output in model.decoder.outputs:
            output.weight.zero_()
            output.bias.copy_(torch.tensor(values).repeat(len(output.bias) // 4))
    return model


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100, 48000])
def test_a_mask_of_one_gives_the_input_10_ms_late(rate):
    model, x = with_masks(1.0, 0.0), torch.randn(2, rate // 5 + 13)
    y = model(x, rate)
    assert (y[:, rate // 100 :] - x[:, : -rate // 100]).abs().max() < 1e-6


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("packets", [1, 2])
def test_tones_go_on_where_packets_are_lost(rate, packets):
    time = torch.arange(rate // 2, dtype=torch.float64) / rate
    tones = sum(torch.sin(2 * torch.pi * f * time) for f in (437.0, 1210.0, 2333.0))
    hop, tones = rate // 100, tones[None].float()
    start, stop = 20 * hop, (20 + 2 * packets) * hop
    heard = tones.clone()
    heard[:, start:stop] = 0
    y = with_masks(1.0, 1.0)(heard, rate)[:, hop:]
    lost = tones[:, start:stop]
    assert (y[:, start:stop] - lost).norm() < 0.1 * lost.norm()


@pytest.mark.parametrize("width", [1, 0.125])
def test_an_untrained_network_hardly_changes_speech_levels(width):
    signal = 0.08 * torch.randn(2, 8000)
    with torch.no_grad():
        output = SEFlow()(signal, 16000, width)[:, 160:]
    error = (output - signal[:, :-160]).square().mean().sqrt() / 0.08
    assert error < 0.1  # the mask is off by a few hundredths
