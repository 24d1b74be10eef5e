"""Slimmable attention: weights written down, heads, context, tokens, long sequences."""

import math

import pytest
import torch

from sesame.nnet.slimmable import (
    FlexAttention,
    FlexContextAttention,
    prefix_state_dict,
)


def reference(layer, x, tokens=None):
    """Every weight written down, head by head, key by key."""
    channels = x.shape[-1]
    heads = channels * layer.num_heads // layer.channels
    width = layer.head_channels
    query, key, value = (
        (x @ layer.in_projections.weight[m, : heads * width, :channels].t())
        .unflatten(-1, (heads, width))
        .transpose(1, 2)
        for m in range(3)
    )
    count = 0
    if tokens is not None:
        count = tokens.shape[3]
        key = torch.cat((tokens[:, 0], key), dim=2)
        value = torch.cat((tokens[:, 1], value), dim=2)
    scores = query @ key.transpose(-1, -2) / math.sqrt(width)
    if isinstance(layer, FlexContextAttention):
        for head in range(heads):
            scores[:, head, :, :count] += layer.biases[head, layer.context]
            for i in range(x.shape[1]):
                for j in range(x.shape[1]):
                    near = 0 <= i - j < layer.context
                    bias = layer.biases[head, i - j] if near else -torch.inf
                    scores[:, head, i, count + j] += bias
    mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
    out = layer.out_projection
    return mixed @ out.weight[:channels, : heads * width].t() + out.bias[:channels]


def context_layer(context=4, **sizes):
    sizes = {"channels": 6, "num_heads": 3, "head_channels": 2} | sizes
    layer = FlexContextAttention(**sizes, context=context).double()
    torch.nn.init.normal_(layer.biases)
    torch.nn.init.normal_(layer.out_projection.bias)
    return layer


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_equals_materialised_weights_at_every_width(channels):
    layer = FlexAttention(6, 3, 5).double()
    x = torch.randn(2, 7, channels, dtype=torch.float64)
    torch.testing.assert_close(layer(x), reference(layer, x))


def test_heads_and_width_are_chosen_separately():
    layer = FlexAttention(6, 3, 5).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    one = FlexAttention(6, 1, 5).double()
    one.load_state_dict(prefix_state_dict(layer, one))
    torch.testing.assert_close(layer(x, num_heads=1), one(x))


@pytest.mark.parametrize("steps", [1, 3, 8, 9, 12, 15])
@pytest.mark.parametrize("num_tokens", [0, 3])
@pytest.mark.parametrize("channels", [4, 6])
def test_context_equals_materialised_weights_at_every_length(
    steps, num_tokens, channels
):
    layer = context_layer()
    x = torch.randn(2, steps, channels, dtype=torch.float64)
    tokens = None
    if num_tokens:
        _, tokens = layer.project(torch.randn(2, num_tokens, channels).double())
    inputs = [x.requires_grad_(), layer.biases]
    results = []
    for y in (layer(x, tokens), reference(layer, x, tokens)):
        results.append([y, *torch.autograd.grad(y.sin().sum(), inputs)])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def test_a_step_sees_its_context_and_no_more():
    layer = context_layer(context=3)
    x = torch.randn(1, 20, 6, dtype=torch.float64)
    changed = x.clone()
    changed[:, 10] += 1
    different = (layer(x) - layer(changed)).abs().amax((0, 2)) > 0
    assert different.nonzero().flatten().tolist() == [10, 11, 12]


@pytest.mark.parametrize("steps", [7, 30])
def test_a_prefix_on_its_own_gives_the_same_to_the_last_bit(steps):
    layer = FlexContextAttention(96, 6, 16, context=8)
    torch.nn.init.normal_(layer.biases)
    smaller = FlexContextAttention(32, 2, 16, context=8)
    smaller.load_state_dict(prefix_state_dict(layer, smaller))
    x = torch.randn(3, steps, 32)
    assert torch.equal(smaller(x), layer(x))


def test_idle_heads_get_a_gradient_of_exactly_zero():
    layer = context_layer()
    layer(torch.randn(2, 9, 4).double()).square().sum().backward()
    weight = layer.in_projections.weight.grad
    assert weight[:, :4, :4].any()
    assert not weight[:, 4:].any() and not weight[:, :, 4:].any()
    assert layer.biases.grad[:2, :4].all()
    assert not layer.biases.grad[2:].any()


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match=r"num_heads \(0\) must be at least 1"):
        FlexAttention(6, 0, 2)
    with pytest.raises(ValueError, match=r"context \(0\) must be at least 1"):
        FlexContextAttention(6, 3, 2, context=0)
    with pytest.raises(ValueError, match=r"channels \(5\) must be a multiple"):
        FlexAttention(6, 3, 2)(torch.zeros(1, 4, 5))
    with pytest.raises(ValueError, match=r"out_features \(8\) must be in"):
        FlexAttention(6, 3, 2)(torch.zeros(1, 4, 6), num_heads=4)


@pytest.mark.parametrize("kind", ["bands", "time"])
def test_bfloat16_learns_what_float32_learns(kind):
    """Its gradients do not come from the fused kernel, which is slow there."""
    torch.manual_seed(0)
    layer = (
        FlexAttention(8, 2, 4) if kind == "bands" else FlexContextAttention(8, 2, 4, 5)
    )
    x = torch.randn(3, 13, 8)
    gradients = []
    for half in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = layer(x)
        y.float().square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in layer.parameters()]))
    exact, found = gradients
    assert exact.norm() > 1e-2
    assert (found - exact).norm() < 0.03 * exact.norm()
