"""MambAttention, its ablations and its sparse form."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.models import MambAttention, SEMamba
from sesame.nnet import moe_layers

SIZES = {"num_bins": 17, "channels": 8, "num_blocks": 2, "dense_depth": 2}
SYSTEMS = {
    MambAttention: {"expand": 2, "state_size": 4, "num_heads": 2},
}


def small(system, **changes):
    return system(**(SIZES | SYSTEMS[system] | changes)).double()


def test_sizes_are_the_published_ones():
    def size(network):
        return sum(p.numel() for p in network.parameters())

    assert size(MambAttention()) == 2_325_841
    assert size(MambAttention(axis_order="frequency_time")) == 2_325_841
    assert size(MambAttention(attention_position="after")) == 2_325_841
    assert round(size(MambAttention(shared_attention=False)) / 1e6, 2) == 2.39


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
        MambAttention(num_bins=num_bins)


def test_without_attention_it_is_semamba(laws):
    ours = small(MambAttention, attention_position=None)
    theirs = SEMamba(**SIZES, expand=2, state_size=4).double()
    theirs.load_state_dict(ours.state_dict())
    inputs = laws.spectra()
    for mine, other in zip(ours(*inputs), theirs(*inputs), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    "change",
    [
        {"attention_position": "after"},
        {"axis_order": "frequency_time"},
        {"shared_attention": False},
    ],
)
def test_each_ablation_is_another_function(laws, change):
    ours, other = small(MambAttention), small(MambAttention, **change)
    missing = other.load_state_dict(ours.state_dict(), strict=False)
    assert not missing.unexpected_keys
    inputs = laws.spectra()
    assert not torch.allclose(ours(*inputs)[0], other(*inputs)[0])


def test_unshared_attention_with_equal_weights_is_shared_attention(laws):
    shared, unshared = (
        small(MambAttention),
        small(MambAttention, shared_attention=False),
    )
    state = shared.state_dict()
    state |= {
        name.replace("attentions.0.", "attentions.1."): value
        for name, value in state.items()
        if "attentions.0." in name
    }
    unshared.load_state_dict(state)
    inputs = laws.spectra()
    assert torch.equal(shared(*inputs)[0], unshared(*inputs)[0])


SPARSE = {"moe_blocks": [1], "num_experts": 4, "noise_context_dim": 3}


def test_sparse_blocks_route_in_both_halves_and_learn(laws):
    network = small(MambAttention, **SPARSE)
    laws.gradients(network, laws.cancelled_2023)
    layers = moe_layers(network)
    assert list(layers) == ["blocks.1.time_layer", "blocks.1.frequency_layer"]
    for layer in layers.values():
        assert (layer.routing.load > 0).all()


def test_one_expert_is_the_dense_network(laws):
    dense = small(MambAttention)
    sparse = small(MambAttention, **SPARSE | {"num_experts": 1, "top_k": 1})
    state = {
        name: value
        for name, value in sparse.state_dict().items()
        if "router" in name or "noise_context" in name
    }
    for name, value in dense.state_dict().items():
        if name.startswith("blocks.1.") and "_layer.projection." in name:
            name = name.replace("projection", "experts")
            value = (value.t() if value.dim() == 2 else value)[None]
        state[name] = value
    sparse.load_state_dict(state)
    inputs = laws.spectra()
    for mine, other in zip(dense(*inputs), sparse(*inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_sparse_blocks_must_exist():
    with pytest.raises(ValueError, match=r"moe_blocks \(\[2\]\) must be in"):
        small(MambAttention, moe_blocks=[2])
