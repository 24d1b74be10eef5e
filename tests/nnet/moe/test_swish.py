"""Laws of the feed-forward of TF-MoE in its three routes."""

import copy

import pytest
import torch
from torch.nn import functional as F

from sesame.losses.routing import sequence_balance_loss
from sesame.nnet.conformer import SwishFeedForward
from sesame.nnet.moe import moe_layers, swish
from sesame.nnet.moe.swish import MoESwishFeedForward, SwishExperts

ROUTES = ["seq", "batch", "token"]
every_route = pytest.mark.parametrize("route", ROUTES)
B, P, S, C = 2, 5, 7, 6  # utterances, sequences of each, steps, channels


def layer_and_input(route, num_experts=4, top_k=1, dtype=torch.float64):
    layer = MoESwishFeedForward(C, num_experts, top_k, expansion=2, route=route)
    x = torch.randn(B * P, S, C, dtype=dtype)
    return layer.to(dtype), x, torch.ones(B, 1, 1, dtype=torch.bool)


def descriptors_and_blocks(plane, route):
    """What the words of the route say, for one utterance (P, S, C)."""
    if route == "seq":
        return plane.mean(1), list(plane)
    if route == "batch":
        return plane.mean(0), list(plane.unbind(1))
    tokens = plane.flatten(0, 1)
    return tokens, list(tokens.unsqueeze(1))


def naive(layer, x):
    """One utterance, one descriptor, one expert at a time."""
    gate = layer.router.token_projection.weight
    top_k, outputs = layer.router.top_k, []
    experts = layer.experts
    for plane in x.view(B, P, S, C):
        descriptors, blocks = descriptors_and_blocks(plane, layer.route)
        mixed = []
        for descriptor, block in zip(descriptors, blocks, strict=True):
            probability = (gate @ descriptor).softmax(0)
            weights, ids = probability.topk(top_k)
            if top_k > 1:
                weights = weights / weights.sum()
            y = 0
            for weight, e in zip(weights, ids.tolist(), strict=True):
                hidden = F.silu(
                    block @ experts.hidden_weight[e] + experts.hidden_bias[e]
                )
                y = y + weight * (hidden @ experts.weight[e] + experts.bias[e])
            mixed.append(y)
        if layer.route == "batch":
            outputs.append(torch.stack(mixed, dim=1))
        else:
            outputs.append(torch.stack(mixed).view(P, S, C))
    return torch.cat(outputs)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)]
)
@pytest.mark.parametrize("top_k", [1, 2, 4])
@every_route
def test_layer_equals_the_naive_loop_with_all_gradients(route, top_k, dtype, tolerance):
    layer, x, valid = layer_and_input(route, top_k=top_k, dtype=dtype)
    x.requires_grad_()
    inputs = [x, *layer.parameters()]
    results = []
    for output in (layer(x, None, valid), naive(layer, x)):
        gradients = torch.autograd.grad(output.sin().mean(), inputs)
        results.append([output, *gradients])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@every_route
@pytest.mark.parametrize("top_k", [1, 3])
def test_equal_experts_of_weight_one_are_the_dense_feed_forward(
    route, top_k, monkeypatch
):
    layer, x, valid = layer_and_input(route, top_k=top_k)
    dense = SwishFeedForward(C, expansion=2).double()
    experts = layer.experts
    with torch.no_grad():
        experts.hidden_weight[:] = dense.in_projection.weight.t()
        experts.hidden_bias[:] = dense.in_projection.bias
        experts.weight[:] = dense.out_projection.weight.t()
        experts.bias[:] = dense.out_projection.bias
    if top_k == 1:
        choose = layer.router.forward

        def weigh_one(*arguments):
            routing = choose(*arguments)
            return routing._replace(weights=torch.ones_like(routing.weights))

        monkeypatch.setattr(layer.router, "forward", weigh_one)
    torch.testing.assert_close(layer(x, None, valid), dense(x), rtol=1e-12, atol=1e-12)


@every_route
def test_one_expert_is_the_dense_feed_forward(route):
    layer, x, valid = layer_and_input(route, num_experts=1)
    dense = SwishFeedForward(C, expansion=2).double()
    with torch.no_grad():
        layer.experts.hidden_weight[0] = dense.in_projection.weight.t()
        layer.experts.hidden_bias[0] = dense.in_projection.bias
        layer.experts.weight[0] = dense.out_projection.weight.t()
        layer.experts.bias[0] = dense.out_projection.bias
    torch.testing.assert_close(layer(x, None, valid), dense(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("top_k", [1, 2])
@every_route
def test_every_gate_and_expert_gets_a_gradient(route, top_k):
    layer, _, valid = layer_and_input(route, num_experts=3, top_k=top_k)
    x = torch.randn(B * 20, 20, C, dtype=torch.float64)
    layer(x, None, valid).square().sum().backward()
    assert (layer.routing.load > 0).all()
    for name, parameter in layer.named_parameters():
        rows = parameter.grad.flatten(1).abs().sum(1)
        assert (rows > 0).all(), name


def test_only_the_weight_of_a_single_choice_is_a_probability():
    x = torch.randn(4, 3, C)
    for top_k in (1, 2, 3):
        layer = MoESwishFeedForward(C, 3, top_k, route="token")
        layer(x)
        routing = layer.routing
        probability = routing.logits.softmax(1).gather(1, routing.expert_ids)
        expected = probability
        if top_k > 1:
            expected = probability / probability.sum(1, keepdim=True)
        torch.testing.assert_close(routing.weights, expected)
        assert top_k == 1 or (routing.weights.sum(1) - 1).abs().max() < 1e-6


@every_route
def test_routing_lists_the_descriptors_of_one_utterance_after_the_other(route):
    layer, x, valid = layer_and_input(route)
    layer(x, None, valid)
    expected = torch.cat(
        [descriptors_and_blocks(plane, route)[0] for plane in x.view(B, P, S, C)]
    )
    logits = layer.router.token_projection(expected)
    torch.testing.assert_close(layer.routing.logits, logits)
    assert layer.routing.load.sum() == len(expected)


@every_route
def test_uniform_probabilities_cost_one(route):
    layer, x, valid = layer_and_input(route)
    torch.nn.init.zeros_(layer.router.token_projection.weight)
    layer(x, None, valid)
    loss = sequence_balance_loss(layer.routing.logits, layer.routing.expert_ids, B)
    torch.testing.assert_close(loss.item(), 1.0)


@every_route
def test_output_does_not_depend_on_batch_mates(route):
    layer, x, valid = layer_and_input(route)
    together = layer(x, None, valid)
    alone = [layer(part, None, valid[:1]) for part in x.split(P)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padded_axis", ["sequences", "steps"])
@every_route
def test_padding_changes_nothing_however_large(route, padded_axis):
    layer, x, _ = layer_and_input(route)
    plane = x.view(B, P, S, C).clone()
    if padded_axis == "steps":
        short, valid = plane[:1, :, :4], torch.ones(B, 1, S, dtype=torch.bool)
        plane[0, :, 4:] = torch.inf
        valid[0, :, 4:] = False
    else:
        short, valid = plane[:1, :3], torch.ones(B, P, 1, dtype=torch.bool)
        plane[0, 3:] = torch.inf
        valid[0, 3:] = False
    y = layer(plane.flatten(0, 1), None, valid).view(B, P, S, C)
    every = torch.ones(1, 1, 1, dtype=torch.bool)
    alone = layer(short.flatten(0, 1), None, every).view_as(short)
    cut = y[:1, : short.shape[1], : short.shape[2]]
    torch.testing.assert_close(cut, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(y[1:].flatten(0, 1), layer(x[P:], None, every))


def test_batch_route_of_one_axis_is_seq_route_of_the_other():
    along_time, x, valid = layer_and_input("batch")
    along_frequency = MoESwishFeedForward(C, 4, expansion=2, route="seq").double()
    along_frequency.load_state_dict(along_time.state_dict())
    swapped = x.view(B, P, S, C).transpose(1, 2).reshape(B * S, P, C)
    y = along_frequency(swapped).view(B, S, P, C).transpose(1, 2).reshape_as(x)
    torch.testing.assert_close(along_time(x, None, valid), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_experts", [1, 3, 12])
def test_parameters_grow_by_8352_and_a_gate_row_per_expert(num_experts):
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    growth = count(MoESwishFeedForward(32, num_experts)) - count(SwishFeedForward(32))
    assert growth == (num_experts - 1) * 8352 + 32 * num_experts


@every_route
def test_autocast_routes_in_float32(route):
    layer, x, valid = layer_and_input(route, dtype=torch.float32)
    exact = layer(x, None, valid)
    ids = layer.routing.expert_ids
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = layer(x, None, valid)
    reduced.float().square().mean().backward()
    assert reduced.dtype == torch.bfloat16
    assert layer.routing.logits.dtype == layer.routing.weights.dtype == torch.float32
    assert torch.equal(layer.routing.expert_ids, ids)
    assert (reduced.float() - exact).norm() < 0.03 * exact.norm()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("top_k", [1, 2])
@every_route
def test_a_trace_serves_other_sizes_and_other_routings(route, top_k):
    layer, x, valid = layer_and_input(route, top_k=top_k)
    with torch.no_grad():
        traced = torch.jit.trace(layer, (x, x, valid), check_trace=False)
        for sequences, steps in ((P, S), (3, 11), (8, 2)):
            x = torch.randn(B * sequences, steps, C, dtype=torch.float64)
            torch.testing.assert_close(traced(x, x, valid), layer(x, None, valid))


@every_route
def test_the_device_alone_selects_the_formulation(route, monkeypatch):
    used = []
    for name in ("sliced_swish_experts", "tiled_swish_experts"):
        original = getattr(swish, name)

        def record(*arguments, name=name, original=original):
            used.append(name)
            return original(*arguments)

        monkeypatch.setattr(swish, name, record)
    layer, x, valid = layer_and_input(route)
    layer(x, None, valid)
    # Meta tensors stand for an accelerator: anything that waits for values raises.
    layer.to("meta")(x.to("meta"), None, valid.to("meta"))
    assert used == ["sliced_swish_experts", "tiled_swish_experts"]


def test_layer_is_found_and_copied_as_every_routed_layer():
    layer, x, _ = layer_and_input("seq")
    layer(x)
    assert list(moe_layers(torch.nn.Sequential(layer))) == ["0"]
    twin = copy.deepcopy(layer)
    assert twin.routing is None
    assert torch.equal(twin(x), layer(x))


def test_experts_start_as_linear_layers_and_gates_too():
    layer = MoESwishFeedForward(64, 50)
    bounds = {
        "router.token_projection.weight": 64**-0.5,
        "experts.hidden_weight": 64**-0.5,
        "experts.hidden_bias": 64**-0.5,
        "experts.weight": 256**-0.5,
        "experts.bias": 256**-0.5,
    }
    for name, parameter in layer.named_parameters():
        assert 0.98 * bounds[name] < parameter.abs().max() <= bounds[name]
    assert isinstance(layer.experts, SwishExperts)


def test_unknown_route_is_refused():
    with pytest.raises(ValueError, match=r"route \('frame'\) must be in"):
        MoESwishFeedForward(C, 4, route="frame")


def test_batch_route_must_know_the_utterances():
    layer, x, _ = layer_and_input("batch")
    with pytest.raises(ValueError, match="needs valid"):
        layer(x)


@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 4, 1), (2, 1, 6)])
def test_utterances_that_do_not_fit_are_refused(shape):
    layer, x, _ = layer_and_input("seq")
    with pytest.raises(ValueError, match=r"valid .* must be \(a divisor B of 10"):
        layer(x, None, torch.ones(shape, dtype=torch.bool))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_route
def test_cuda_equals_cpu_without_synchronisation(route):
    layer, x, valid = layer_and_input(route, top_k=2)
    layer(x, None, valid).sin().sum().backward()
    twin = copy.deepcopy(layer).cuda()
    twin.zero_grad()
    there, valid = x.cuda(), valid.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        twin(there, None, valid).sin().sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for left, right in zip(twin.parameters(), layer.parameters(), strict=True):
        torch.testing.assert_close(left.grad.cpu(), right.grad)
