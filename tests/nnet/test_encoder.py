"""Encoders: how many bins remain, and that items of a batch do not meet."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.nnet import DenseEncoder, DenseEncoder2023

ENCODERS = [DenseEncoder, DenseEncoder2023]


@settings(max_examples=10, deadline=None)
@given(num_bins=st.integers(3, 40), frames=st.integers(1, 20))
def test_frames_are_kept_and_bins_halved(num_bins, frames):
    x = torch.randn(1, 2, frames, num_bins)
    padded = (num_bins + 1) // 2
    assert DenseEncoder(4, 1)(x).shape == (1, 4, frames, padded)
    if num_bins >= 5:  # below, one value per channel is left to normalise
        unpadded = (num_bins - 1) // 2
        assert DenseEncoder2023(4, 1)(x).shape == (1, 4, frames, unpadded)


@pytest.mark.parametrize(
    ("encoder", "parameters"), [(DenseEncoder, 259_712), (DenseEncoder2023, 382_592)]
)
def test_published_number_of_parameters(encoder, parameters):
    assert sum(p.numel() for p in encoder().parameters()) == parameters


@pytest.mark.parametrize("encoder", ENCODERS)
def test_output_does_not_depend_on_batch_mates(encoder):
    encoder = encoder(4, 2).double()
    x = torch.randn(3, 2, 8, 9, dtype=torch.float64)
    assert torch.allclose(encoder(x)[1:2], encoder(x[1:2]), atol=1e-12)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_output_does_not_depend_on_the_gain_of_the_input(encoder):
    encoder = encoder(4, 2).double()
    x = torch.randn(1, 2, 8, 9, dtype=torch.float64)
    encoder.expand.norm.eps = 0.0
    assert torch.allclose(encoder(3.0 * x), encoder(x))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_both_input_channels_matter(encoder):
    encoder = encoder(4, 2).double()
    x = torch.randn(1, 2, 8, 9, dtype=torch.float64, requires_grad=True)
    encoder(x).pow(3).sum().backward()
    assert (x.grad.abs().amax((0, 2, 3)) > 1e-9).all()
