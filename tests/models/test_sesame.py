"""SESAME: MP-SENet where it is not sparse, sparse where it is told to be."""

import pytest
import torch

from sesame.models import SESAME, MPSENet
from sesame.nnet import moe_layers

SIZES = {
    "num_bins": 17,
    "channels": 8,
    "num_blocks": 2,
    "num_heads": 2,
    "dense_depth": 2,
}


def small(**changes):
    sparse = {"moe_blocks": [1], "num_experts": 3, "top_k": 2, "noise_context_dim": 4}
    return SESAME(**(SIZES | sparse | changes)).double()


def test_without_sparse_blocks_it_is_mp_senet_bit_for_bit(laws):
    torch.manual_seed(7)
    dense = MPSENet(**SIZES).double()
    torch.manual_seed(7)
    network = small(moe_blocks=[])
    ours, theirs = network.state_dict(), dense.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    inputs = laws.spectra()
    for mine, reference in zip(network(*inputs), dense(*inputs), strict=True):
        assert torch.equal(mine, reference)


def test_one_expert_is_mp_senet_too(laws):
    dense = MPSENet(**SIZES).double()
    network = small(moe_blocks=[0, 1], num_experts=1, top_k=1, noise_context_dim=0)
    weights = dense.state_dict()
    for name in [name for name in weights if "feed_forward.projection" in name]:
        weight = weights.pop(name)
        name = name.replace("projection", "experts")
        weights[name] = weight.mT[None] if weight.dim() == 2 else weight[None]
    missing, unexpected = network.load_state_dict(weights, strict=False)
    assert all(".router." in name for name in missing)
    assert not unexpected
    inputs = laws.spectra()
    for mine, reference in zip(network(*inputs), dense(*inputs), strict=True):
        assert torch.allclose(mine, reference, atol=1e-9)


def test_defaults_add_experts_routers_and_context_to_mp_senet():
    expert, router, context = 256 * 64 + 64, 8 * (64 + 16), 201 * 16 + 3 * 16
    expected = 2_263_372 + 4 * (7 * expert + router) + context
    assert sum(p.numel() for p in SESAME().parameters()) == expected


@pytest.mark.parametrize("moe_blocks", [(), (0,), (1,), (0, 1)])
def test_sparse_blocks_are_sparse_along_both_axes_and_others_along_none(moe_blocks):
    expected = {
        f"blocks.{index}.{axis}_layer.feed_forward"
        for index in moe_blocks
        for axis in ("time", "frequency")
    }
    assert set(moe_layers(small(moe_blocks=moe_blocks))) == expected


def test_output_does_not_depend_on_batch_mates(laws):
    laws.batch_mates(small())


def test_every_parameter_receives_a_gradient(laws):
    network = small()
    laws.gradients(network)
    for layer in moe_layers(network).values():
        assert (layer.routing.load > 0).all()  # else the law would be an accident


def test_state_dict_survives_a_file(laws):
    laws.round_trip(small(), small())


def test_noise_context_sees_the_frame_that_the_token_is_in(laws):
    """Moves one frame's context: only tokens of that frame change their logits."""
    network = small(moe_blocks=[0])
    layers = moe_layers(network)
    inputs = laws.spectra(batch=2)
    network(*inputs)
    before = {name: layer.routing.logits for name, layer in layers.items()}

    def move_one_frame(module, received, context):
        context = context.clone()
        context[1, 5] += 1.0
        return context

    network.noise_context.register_forward_hook(move_one_frame)
    network(*inputs)
    name = "blocks.0.time_layer.feed_forward"
    moved = (layers[name].routing.logits != before[name]).any(1)
    moved = moved.reshape(2, 9, 12)  # tokens in order (b f) t
    assert moved[1, :, 5].all()
    assert moved.sum() == 9


@pytest.mark.parametrize(
    "changes", [{"noise_context_dim": 0}, {"moe_blocks": []}, {"moe_blocks": ()}]
)
def test_unused_noise_context_costs_no_parameters(changes):
    names = small(**changes).state_dict()
    assert not [name for name in names if "context" in name]


def test_expert_hidden_dim_reaches_the_experts():
    narrow, wide = small(expert_hidden_dim=2), small(expert_hidden_dim=32)
    assert sum(p.numel() for p in narrow.parameters()) < sum(
        p.numel() for p in wide.parameters()
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"moe_blocks": [2]}, r"moe_blocks \(\[2\]\) must be in \[0, num_blocks \(2\)"),
        ({"moe_blocks": [-1]}, r"moe_blocks \(\[-1\]\) must be in"),
        ({"moe_blocks": [1, 1]}, r"moe_blocks \(\[1, 1\]\) must not repeat"),
        ({"num_bins": 16}, r"num_bins \(16\) must be odd"),
        ({"top_k": 5}, r"top_k \(5\)"),
        ({"num_heads": 3}, r"num_heads \(3\)"),
    ],
)
def test_impossible_sizes_are_refused_with_rule_and_values(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)
