"""Decoders: ranges, sizes, precision and published numbers of parameters."""

import math

import pytest
import torch

from sesame.nnet import (
    DenseEncoder,
    DenseEncoder2023,
    MagnitudeMaskDecoder,
    MagnitudeMaskDecoder2023,
    PhaseDecoder,
    PhaseDecoder2023,
)

CODECS = [
    (DenseEncoder, MagnitudeMaskDecoder, PhaseDecoder),
    (DenseEncoder2023, MagnitudeMaskDecoder2023, PhaseDecoder2023),
]
every_codec = pytest.mark.parametrize(("encoder", "mask", "phase"), CODECS)


@every_codec
@pytest.mark.parametrize("num_bins", [9, 33, 201])
def test_decoders_restore_every_odd_number_of_bins(encoder, mask, phase, num_bins):
    features = encoder(4, 1)(torch.randn(2, 2, 6, num_bins))
    assert mask(4, num_bins, 1)(features).shape == (2, num_bins, 6)
    assert phase(4, 1)(features).shape == (2, num_bins, 6)


@every_codec
def test_mask_lies_between_zero_and_beta(encoder, mask, phase):
    decoder = mask(4, 9, 2, beta=3.0).double()
    torch.nn.init.constant_(decoder.activation.slope, 5.0)
    y = decoder(20 * torch.randn(2, 4, 30, 5 if mask is CODECS[0][1] else 4).double())
    assert 0 < y.min() < 0.5
    assert 2.5 < y.max() < 3


@every_codec
def test_phase_covers_the_whole_circle(encoder, mask, phase):
    y = phase(4, 2).double()(torch.randn(2, 4, 60, 20, dtype=torch.float64))
    assert y.abs().max() <= math.pi
    quadrants = torch.floor(y / (math.pi / 2)).unique()
    assert quadrants.tolist() == [-2, -1, 0, 1]


@every_codec
def test_negated_projection_turns_the_phase_by_half_a_circle(encoder, mask, phase):
    decoder = phase(4, 2).double()
    x = torch.randn(1, 4, 6, 5, dtype=torch.float64)
    before = decoder(x)
    with torch.no_grad():
        for parameter in decoder.projection.parameters():
            parameter.neg_()
    turn = (decoder(x) - before).abs()
    assert torch.allclose(turn, torch.full_like(turn, math.pi))


@every_codec
def test_real_part_comes_before_the_imaginary(encoder, mask, phase):
    decoder = phase(4, 2)
    torch.nn.init.zeros_(decoder.projection.weight)
    with torch.no_grad():
        decoder.projection.bias.copy_(torch.tensor([0.0, 1.0]))
    y = decoder(torch.randn(1, 4, 6, 5))
    assert torch.allclose(y, torch.full_like(y, math.pi / 2))


@every_codec
def test_results_leave_half_precision(encoder, mask, phase):
    features = torch.randn(1, 4, 6, 5 if mask is CODECS[0][1] else 4)
    for decoder in (mask(4, 9, 1), phase(4, 1)):
        with torch.autocast("cpu", torch.bfloat16):
            assert decoder(features).dtype == torch.float32
        assert decoder.double()(features.double()).dtype == torch.float64


@every_codec
def test_output_does_not_depend_on_batch_mates(encoder, mask, phase):
    x = torch.randn(3, 4, 8, 5 if mask is CODECS[0][1] else 4, dtype=torch.float64)
    for decoder in (mask(4, 9, 2).double(), phase(4, 2).double()):
        assert torch.allclose(decoder(x)[1:2], decoder(x[1:2]), atol=1e-12)


@pytest.mark.parametrize(
    ("decoder", "parameters"),
    [
        (MagnitudeMaskDecoder(64, 201), 272_010),
        (PhaseDecoder(64), 271_938),
        (MagnitudeMaskDecoder2023(64, 201), 382_287),
        (PhaseDecoder2023(64), 382_338),
    ],
)
def test_published_number_of_parameters(decoder, parameters):
    assert sum(p.numel() for p in decoder.parameters()) == parameters


def test_the_mask_of_2023_starts_open_whatever_the_seed():
    """Its spread is that of a unit normal through PReLU and sigmoid, not a lottery."""
    for seed in range(5):
        torch.manual_seed(seed)
        decoder = MagnitudeMaskDecoder2023(channels=8, num_bins=33, depth=2)
        mask = decoder(torch.randn(2, 8, 20, 16))
        assert 0.25 < mask.std() < 0.45
        assert 1.0 < mask.mean() < 1.3
