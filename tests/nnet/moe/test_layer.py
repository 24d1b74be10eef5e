"""Laws of the mixture-of-experts feed-forward."""

import copy
import pickle

import pytest
import torch

from sesame.nnet.feed_forward import (
    GRUFeedForward,
    ProjectedBackbone,
    RecurrentBackbone,
)
from sesame.nnet.moe.layer import MoEFeedForward


def _gradients(layer, x):
    x = x.clone().requires_grad_()
    layer.zero_grad()
    layer(x).sin().sum().backward()
    return x.grad


class Doubled(torch.nn.Module):
    out_channels = 12

    def forward(self, x):
        return torch.cat((x, x.square()), dim=-1)


def test_one_expert_behind_any_backbone_equals_its_projection():
    dense = ProjectedBackbone(Doubled(), 6).double()
    sparse = MoEFeedForward(6, num_experts=1, top_k=1, backbone=Doubled()).double()
    with torch.no_grad():
        sparse.experts.weight[0] = dense.projection.weight.t()
        sparse.experts.bias[0] = dense.projection.bias
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(sparse(x), dense(x), rtol=0, atol=1e-12)


def test_one_expert_equals_the_dense_feed_forward():
    torch.manual_seed(0)
    dense = GRUFeedForward(6).double()
    sparse = MoEFeedForward(6, num_experts=1, top_k=1).double()
    sparse.backbone.load_state_dict(dense.backbone.state_dict())
    with torch.no_grad():
        sparse.experts.weight[0] = dense.projection.weight.t()
        sparse.experts.bias[0] = dense.projection.bias
    x = torch.randn(3, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(sparse(x), dense(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(_gradients(sparse, x), _gradients(dense, x))
    sparse_gru = dict(sparse.backbone.named_parameters())
    for name, parameter in dense.backbone.named_parameters():
        torch.testing.assert_close(sparse_gru[name].grad, parameter.grad)
    torch.testing.assert_close(
        sparse.experts.weight.grad[0].t(), dense.projection.weight.grad
    )
    torch.testing.assert_close(sparse.experts.bias.grad[0], dense.projection.bias.grad)
    # One expert always has weight 1: nothing to learn for the router.
    assert sparse.router.token_projection.weight.grad.abs().max() == 0


@pytest.mark.parametrize("expert_hidden_dim", [None, 5])
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_layer_equals_the_loop_over_its_tokens(loop_mixture, top_k, expert_hidden_dim):
    torch.manual_seed(0)
    layer = MoEFeedForward(
        6, 4, top_k, RecurrentBackbone(6, 5), expert_hidden_dim, context_dim=3
    ).double()
    x = torch.randn(4, 7, 6, dtype=torch.float64)
    context = torch.randn(2, 7, 3, dtype=torch.float64)
    names = ["weight", "bias"]
    if expert_hidden_dim:
        names = ["hidden_weight", "hidden_bias", *names]
    parameters = [getattr(layer.experts, name) for name in names]

    def looped():
        routing = layer.router(x, context)
        states = layer.backbone(x).flatten(0, 1)
        mixed = loop_mixture(states, parameters, routing.expert_ids, routing.weights)
        return mixed.view(4, 7, 6)

    inputs = list(layer.parameters())
    outputs, gradients = [], []
    for output in (layer(x, context), looped()):
        outputs.append(output)
        gradients.append(torch.autograd.grad(output.sin().sum(), inputs))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-11, atol=1e-11)
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-11)


def test_output_does_not_depend_on_batch_mates():
    torch.manual_seed(0)
    layer = MoEFeedForward(6, 4, 2).double()
    x = torch.randn(5, 7, 6, dtype=torch.float64)
    alone = torch.cat([layer(sequence) for sequence in x.split(1)])
    torch.testing.assert_close(layer(x), alone, rtol=1e-12, atol=1e-12)


def test_a_sequence_uses_the_context_of_its_own_run():
    torch.manual_seed(0)
    layer = MoEFeedForward(6, 4, 2, context_dim=3).double()
    x = torch.randn(6, 7, 6, dtype=torch.float64)
    context = torch.randn(2, 7, 3, dtype=torch.float64)
    before = layer(x, context)
    context[1, 2] += 5
    changed = (layer(x, context) - before).abs().sum(2) > 0
    assert changed[3:, 2].any()
    changed[3:, 2] = False
    assert not changed.any()


@pytest.mark.parametrize("expert_hidden_dim", [None, 5])
def test_every_parameter_receives_a_gradient(expert_hidden_dim):
    torch.manual_seed(0)
    layer = MoEFeedForward(
        6, 4, 2, RecurrentBackbone(6, 5), expert_hidden_dim, context_dim=3
    )
    layer(torch.randn(8, 20, 6), torch.randn(8, 20, 3)).sin().sum().backward()
    assert (layer.routing.load > 0).all()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_routing_covers_the_tokens_in_sequence_order():
    torch.manual_seed(0)
    layer = MoEFeedForward(6, 4, 2)
    assert layer.routing is None
    x = torch.randn(3, 7, 6)
    layer(x)
    torch.testing.assert_close(
        layer.routing.logits.view(3, 7, 4), layer.router.token_projection(x)
    )
    layer(x[:1, :2])
    assert layer.routing.load.sum() == 4


def test_routing_is_neither_saved_nor_copied():
    layer = MoEFeedForward(6, 4, 2)
    names = set(layer.state_dict())
    layer(torch.randn(3, 7, 6))
    assert set(layer.state_dict()) == names
    assert {n for n in names if n.startswith("router")} == {
        "router.token_projection.weight",
        "router.expert_bias",
    }
    twins = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    x = torch.randn(2, 5, 6)
    for twin in twins:
        assert twin.routing is None
        assert torch.equal(twin(x), layer(x))
    assert layer.routing is not None


def test_state_dict_round_trip_is_exact():
    torch.manual_seed(0)
    layer = MoEFeedForward(6, 4, 2, context_dim=3)
    layer.router.expert_bias.normal_()
    twin = MoEFeedForward(6, 4, 2, context_dim=3)
    twin.load_state_dict(layer.state_dict())
    x, context = torch.randn(2, 5, 6), torch.randn(2, 1, 3)
    assert torch.equal(twin(x, context), layer(x, context))


def test_autocast_trains_with_the_routing_in_float32():
    torch.manual_seed(0)
    layer = MoEFeedForward(8, 4, 2)
    x = torch.randn(4, 9, 8)
    exact = layer(x)
    ids = layer.routing.expert_ids
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = layer(x)
        loss = reduced.float().square().mean()
    loss.backward()
    assert layer.routing.logits.dtype == torch.float32
    assert torch.equal(layer.routing.expert_ids, ids)
    assert (reduced.float() - exact).norm() < 0.05 * exact.norm()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def test_tokens_that_are_not_numbers_do_not_crash_or_spread_to_other_sequences():
    torch.manual_seed(0)
    layer = MoEFeedForward(6, 4, 2)
    x = torch.randn(3, 7, 6)
    clean = layer(x)
    x[1, 3, 2] = torch.nan
    output = layer(x)
    assert output[1].isnan().any()
    torch.testing.assert_close(output[[0, 2]], clean[[0, 2]])
