"""Transformer-Mamba: size, both branches, its sparse form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.models import TransformerMamba
from sesame.nnet import moe_layers

SIZES = {"num_bins": 17, "channels": 8, "num_blocks": 2, "dense_depth": 2}
SYSTEMS = {
    TransformerMamba: {"expand": 2, "state_size": 4, "num_heads": 2},
}


def small(system, **changes):
    return system(**(SIZES | SYSTEMS[system] | changes)).double()


def test_sizes_are_the_published_ones():
    def size(network):
        return sum(p.numel() for p in network.parameters())

    assert round(size(TransformerMamba()) / 1e6, 2) == 5.95


@pytest.mark.parametrize("system", SYSTEMS)
def test_output_does_not_depend_on_batch_mates(laws, system):
    laws.batch_mates(small(system))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_parameter_receives_a_gradient(laws, system):
    laws.gradients(small(system), laws.cancelled_2023)


@pytest.mark.parametrize("system", SYSTEMS)
def test_state_dict_survives_a_file(laws, system):
    laws.round_trip(small(system), small(system))


@pytest.mark.parametrize("system", SYSTEMS)
def test_training_and_evaluation_give_the_same(laws, system):
    network, inputs = small(system), laws.spectra()
    training = network.train()(*inputs)
    with torch.no_grad():
        evaluation = network.eval()(*inputs)
    torch.testing.assert_close(training[0], evaluation[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(training[1], evaluation[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=5, deadline=None)
@given(frames=st.integers(1, 50))
def test_any_number_of_frames_gives_as_many(system, frames):
    magnitude = torch.rand(1, 17, frames, dtype=torch.float64)
    with torch.no_grad():
        enhanced, phase = small(system)(magnitude, torch.zeros_like(magnitude))
    assert enhanced.shape == phase.shape == (1, 17, frames)
    assert ((enhanced >= 0) & (enhanced <= 2 * magnitude)).all()
    assert phase.abs().max() <= math.pi


@pytest.mark.parametrize("num_bins", [1, 16])
def test_even_numbers_of_bins_are_refused(num_bins):
    with pytest.raises(ValueError, match=rf"num_bins \({num_bins}\) must be odd"):
        TransformerMamba(num_bins=num_bins)


def test_each_branch_matters_and_the_input_is_added(laws):
    network, inputs = small(TransformerMamba), laws.spectra()
    features = torch.randn(2, 8, 6, 5, dtype=torch.float64)
    block = network.blocks[0]
    before = block(features)
    torch.nn.init.zeros_(block.merge.projection.weight)
    torch.nn.init.zeros_(block.merge.projection.bias)
    assert torch.equal(block(features), features)
    assert not torch.allclose(before, features)
    for branch in (network.blocks[1].first, network.blocks[1].second):
        whole = network(*inputs)[0]
        for parameter in branch.parameters():
            torch.nn.init.zeros_(parameter)
        assert not torch.allclose(network(*inputs)[0], whole)


def test_sparse_blocks_route_in_the_transformer_branch_and_learn(laws):
    network = small(
        TransformerMamba, moe_blocks=[1], num_experts=4, noise_context_dim=3
    )
    laws.gradients(network, laws.cancelled_2023)
    assert list(moe_layers(network)) == [
        "blocks.1.first.time_layer.feed_forward",
        "blocks.1.first.frequency_layer.feed_forward",
    ]
