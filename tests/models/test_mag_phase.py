"""The frame of the magnitude-and-phase networks: wiring, context, errors."""

import pytest
import torch
from torch import nn

from sesame.models.mag_phase import MagPhaseEnhancer


class Spy(nn.Module):
    """Returns a fixed tensor and remembers its inputs."""

    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, *received):
        self.received = received
        return self.result


def frame(noise_context=None, num_blocks=2):
    features = torch.randn(2, 4, 6, 5)
    blocks = [Spy(features + index) for index in range(num_blocks)]
    decoders = Spy(torch.full((2, 9, 6), 2.0)), Spy(torch.full((2, 9, 6), 0.5))
    return MagPhaseEnhancer(Spy(features), blocks, *decoders, noise_context)


def test_mask_multiplies_the_magnitude_and_the_phase_is_replaced():
    magnitude, phase = torch.rand(2, 9, 6), torch.randn(2, 9, 6)
    enhanced, new_phase = frame()(magnitude, phase)
    assert torch.equal(enhanced, 2.0 * magnitude)
    assert torch.equal(new_phase, torch.full((2, 9, 6), 0.5))


def test_encoder_gets_magnitude_then_phase_with_frames_before_bins():
    network = frame()
    magnitude, phase = torch.rand(2, 9, 6), torch.randn(2, 9, 6)
    network(magnitude, phase)
    (received,) = network.encoder.received
    assert torch.equal(received[:, 0], magnitude.transpose(1, 2))
    assert torch.equal(received[:, 1], phase.transpose(1, 2))


def test_blocks_run_in_order_and_all_get_the_context_of_the_noisy_magnitude():
    context = torch.randn(2, 6, 3)
    network = frame(noise_context=Spy(context))
    magnitude = torch.rand(2, 9, 6)
    network(magnitude, torch.zeros(2, 9, 6))
    assert network.noise_context.received[0] is magnitude
    stages = [network.encoder, *network.blocks]
    for before, block in zip(stages, network.blocks, strict=False):
        assert block.received[0] is before.result
        assert block.received[1] is context
    for decoder in (network.mask_decoder, network.phase_decoder):
        assert torch.equal(decoder.received[0], network.blocks[-1].result)


def test_without_a_noise_context_the_blocks_get_none():
    network = frame()
    network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    assert network.blocks[0].received[1] is None
    assert not [name for name in network.state_dict() if "context" in name]


@pytest.mark.parametrize(
    "shapes", [((9, 6), (9, 6)), ((2, 9, 6), (2, 6, 9)), ((2, 1, 9, 6), (2, 1, 9, 6))]
)
def test_other_shapes_are_refused_with_the_rule_and_the_values(shapes):
    magnitude, phase = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"shape \(B, F, T\), got") as error:
        frame()(magnitude, phase)
    assert str(shapes[1]) in str(error.value)
