"""TF-Conformer and TF-MoE: counts, dense and sparse forms, routes, laws."""

import copy

import pytest
import torch
from torch import nn

from sesame.models.tf_moe import TFConformer, TFMoE
from sesame.nnet.band_rnn import BandRNN
from sesame.nnet.conformer import SwishFeedForward
from sesame.nnet.moe import MoESwishFeedForward, moe_layers

SIZES = {
    "sample_rate": 8000,
    "n_fft": 64,
    "hop_length": 16,
    "num_bands": 7,
    "channels": 4,
    "num_blocks": 2,
    "num_heads": 2,
    "head_channels": 2,
    "kernel_size": 3,
}
ROUTES = ["seq", "batch", "token"]
KINDS = ["moe", "conformer", "rnn"]
every_route = pytest.mark.parametrize("route", ROUTES)


def dense(**changes):
    return TFConformer(**(SIZES | changes)).double().eval()


def sparse(**changes):
    return TFMoE(**(SIZES | {"num_experts": 3} | changes)).double().eval()


def mixture(batch=2, length=300):
    return torch.randn(batch, length, dtype=torch.float64)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


# ------------------------------------------------------------------- the paper


def test_the_dense_network_has_the_published_size():
    assert count(TFConformer()) == 2_349_004


@pytest.mark.parametrize(
    ("num_experts", "size"),
    [(3, 2_752_204), (6, 3_355_852), (12, 4_563_148), (24, 6_977_740)],
)
def test_the_sparse_networks_have_the_published_sizes(num_experts, size):
    assert count(TFMoE(num_experts=num_experts)) == size


@pytest.mark.parametrize("axis", ["time_layer", "frequency_layer"])
def test_experts_on_one_axis_give_the_published_size(axis):
    assert count(TFMoE(num_experts=6, **{axis: "conformer"})) == 2_852_428


def test_twelve_experts_are_the_default():
    assert count(TFMoE()) == count(TFMoE(num_experts=12))
    assert TFMoE().bands == TFConformer().bands
    assert len(TFMoE().bands) == 80


def test_bands_come_before_time():
    assert dense().blocks[0].axis_order == "frequency_time"


@pytest.mark.parametrize("time_layer", KINDS)
@pytest.mark.parametrize("frequency_layer", KINDS)
def test_each_axis_has_the_layers_it_is_given(time_layer, frequency_layer):
    network = sparse(time_layer=time_layer, frequency_layer=frequency_layer)
    for block in network.blocks:
        for layer, kind in (
            (block.time_layer, time_layer),
            (block.frequency_layer, frequency_layer),
        ):
            assert isinstance(layer, BandRNN) == (kind == "rnn")
            if kind != "rnn":
                expected = MoESwishFeedForward if kind == "moe" else SwishFeedForward
                assert type(layer.conformer.first_feed_forward) is expected
                assert type(layer.conformer.second_feed_forward) is expected
    assert network(mixture(length=77)).shape == (2, 2, 77)


@pytest.mark.parametrize("axis", ["time_layer", "frequency_layer"])
def test_other_kinds_of_layers_are_refused(axis):
    with pytest.raises(ValueError, match=rf"{axis} \('gru'\) must be in \('moe'"):
        TFMoE(**{axis: "gru"})


# ----------------------------------------------------------- dense and sparse


def test_without_experts_it_is_the_dense_network():
    network = sparse(time_layer="conformer", frequency_layer="conformer")
    other, x = dense(), mixture()
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(x), other(x))


@every_route
def test_one_expert_is_the_dense_feed_forward(route):
    network, other = sparse(num_experts=1, route=route), dense()
    state = {
        name: value
        for name, value in network.state_dict().items()
        if ".experts." not in name and ".router." not in name
    }
    for name, layer in moe_layers(network).items():
        experts = layer.experts
        state[f"{name}.in_projection.weight"] = experts.hidden_weight[0].t()
        state[f"{name}.in_projection.bias"] = experts.hidden_bias[0]
        state[f"{name}.out_projection.weight"] = experts.weight[0].t()
        state[f"{name}.out_projection.bias"] = experts.bias[0]
    other.load_state_dict(state)
    x = mixture()
    torch.testing.assert_close(network(x), other(x))


def test_a_choice_serves_a_sequence_a_step_or_a_token():
    frames, bands = 300 // 16 + 1, 7
    expected = {
        "seq": (bands, frames),
        "batch": (frames, bands),
        "token": (frames * bands, frames * bands),
    }
    for route, (time, frequency) in expected.items():
        network = sparse(route=route)
        network(mixture(batch=2))
        for name, layer in moe_layers(network).items():
            choices = 2 * (time if "time_layer" in name else frequency)
            assert layer.routing.load.sum() == choices, (route, name)


# ------------------------------------------------------------------------ laws


@every_route
def test_padding_and_batch_mates_change_nothing(route):
    network, lengths = sparse(route=route, top_k=2), [300, 171, 300, 1]
    x = mixture(4)
    with torch.no_grad():
        sources = network(x, lengths)
        for item, length, got in zip(x, lengths, sources, strict=True):
            alone = network(item[None, :length])[0]
            torch.testing.assert_close(got[:, :length], alone, rtol=0, atol=1e-9)


@every_route
@pytest.mark.parametrize("top_k", [1, 2])
def test_routers_and_chosen_experts_receive_gradients_like_all_else(route, top_k):
    network = sparse(route=route, top_k=top_k).train()
    network(mixture(3)).pow(3).sum().backward()
    loads = {name: layer.routing.load for name, layer in moe_layers(network).items()}
    assert len(loads) == 8
    for name, parameter in network.named_parameters():
        grad = parameter.grad
        assert grad is not None and grad.isfinite().all(), name
        if ".experts." in name:
            chosen = loads[name.partition(".experts.")[0]] > 0
            moved = grad.flatten(1).abs().amax(1) > 0
            assert torch.equal(moved, chosen), name
        # The batch norm takes away what a bias before it adds.
        elif not name.endswith("filters.bias"):
            assert grad.abs().max() > 0, name


@pytest.mark.parametrize("network", [dense, sparse])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 300])
def test_sources_are_as_long_as_the_mixture(network, length):
    with torch.no_grad():
        sources = network(num_sources=3)(mixture(1, length))
    assert sources.shape == (1, 3, length)
    assert sources.isfinite().all()


@every_route
def test_a_gain_on_the_mixture_is_the_same_gain_on_the_sources(route):
    network, x = sparse(route=route), mixture()
    torch.testing.assert_close(network(1e-3 * x), 1e-3 * network(x), rtol=1e-6, atol=0)


def test_silence_gives_zeros():
    assert not sparse()(torch.zeros(1, 300).double()).any()


def test_a_state_dict_makes_another_network_equal():
    network, other, x = sparse(), sparse(), mixture()
    # Batch norms have something to remember.
    network.train()(x)
    network.eval()
    assert not torch.equal(network(x), other(x))
    other.load_state_dict(network.state_dict())
    assert torch.equal(network(x), other(x))


def test_a_copy_after_a_training_step_is_equal():
    network, x = sparse().train(), mixture()
    network(x).square().sum().backward()
    twin = copy.deepcopy(network)
    assert torch.equal(twin.eval()(x), network.eval()(x))


def test_networks_learn_to_separate_two_tones():
    time = torch.arange(2000) / 8000
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (500, 1700)])
    network = TFMoE(**SIZES, num_experts=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(tones.sum(0, keepdim=True))[0], tones)
        loss.backward()
        optimizer.step()
    # 0.5 is the power of a tone: 15 dB less is left.
    assert loss < 0.5 * 10**-1.5
