"""The frame on the codec of 2023: its size and the parts it leaves open."""

import torch
from torch import nn

from sesame.models.codec_2023 import Codec2023Enhancer


class Note(nn.Module):
    def forward(self, x, context=None):
        self.shape, self.context = x.shape, context
        return x


def test_encoder_and_decoders_have_the_size_of_the_authors():
    network = Codec2023Enhancer(201, 64, 4, blocks=[])
    # SEMamba's 2 258 769 less its blocks, and MP-SENet 2023's 2 048 849 less its own.
    total = sum(p.numel() for p in network.parameters())
    assert total == 2_258_769 - 1_111_552 == 2_048_849 - 901_632


def test_blocks_see_half_the_bins_and_the_context():
    block = Note()
    context = nn.Linear(3, 2)
    context.forward = lambda magnitude: magnitude.sum(1)
    network = Codec2023Enhancer(17, 4, 1, [block], noise_context=context)
    magnitude = torch.rand(2, 17, 6)
    network(magnitude, torch.zeros_like(magnitude))
    assert block.shape == (2, 4, 6, 8)
    assert torch.equal(block.context, magnitude.sum(1))
