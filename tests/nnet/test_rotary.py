"""Rotary attention: turns by position, sees distances only, ignores padding."""

import math

import pytest
import torch

from sesame.nnet.rotary import RotarySelfAttention, rotate


def reference(layer, x):
    """Every rotation as a matrix, every weight written down."""
    heads, width = layer.num_heads, layer.out_projection.in_features // layer.num_heads
    query, key, value = (
        layer.in_projection(x).unflatten(-1, (3, heads, width)).unbind(-3)
    )
    turns = []
    for step in range(x.shape[1]):
        turn = torch.zeros(width, width, dtype=x.dtype)
        for pair in range(width // 2):
            angle = step * 1e4 ** (-2 * pair / width)
            cos, sin = math.cos(angle), math.sin(angle)
            block = torch.tensor([[cos, -sin], [sin, cos]], dtype=x.dtype)
            turn[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = block
        turns.append(turn)
    turns = torch.stack(turns)
    query = torch.einsum("sij,nshj->nshi", turns, query)
    key = torch.einsum("sij,nshj->nshi", turns, key)
    weights = torch.einsum("nshi,nthi->nhst", query, key) / math.sqrt(width)
    mixed = torch.einsum("nhst,nthi->nshi", weights.softmax(-1), value)
    return layer.out_projection(mixed.flatten(2))


def layer_and_input(steps=9):
    layer = RotarySelfAttention(6, num_heads=3, head_channels=4).double()
    return layer, torch.randn(2, steps, 6, dtype=torch.float64)


def test_equals_rotation_matrices_and_materialised_weights_with_gradients():
    layer, x = layer_and_input()
    x.requires_grad_()
    inputs = [x, *layer.parameters()]
    results = []
    for y in (layer(x), reference(layer, x)):
        results.append([y, *torch.autograd.grad(y.sin().sum(), inputs)])
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def test_rotation_keeps_lengths_and_leaves_the_first_step():
    x = torch.randn(2, 50, 3, 16, dtype=torch.float64)
    turned = rotate(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, 0], x[:, 0])
    assert not torch.allclose(turned[:, 1:], x[:, 1:])


def test_scores_depend_on_the_distance_alone():
    query, key = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)
    turned = [rotate(vector.expand(1, 30, 1, 16))[0, :, 0] for vector in (query, key)]
    scores = turned[0] @ turned[1].t()
    for distance in (-7, 0, 11):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (scores[0, 1:] - scores[0, 0]).abs().max() > 0.1


def test_order_of_the_steps_matters():
    layer, x = layer_and_input()
    assert not torch.allclose(layer(x.flip(1)), layer(x).flip(1))


def test_sequences_do_not_meet():
    layer, x = layer_and_input()
    torch.testing.assert_close(layer(x)[1:], layer(x[1:]), rtol=1e-12, atol=1e-12)


def test_steps_behind_the_mask_are_not_seen():
    layer, x = layer_and_input()
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[0, 5:] = False
    expected = layer(x[:1, :5])
    y = layer(x, mask)
    torch.testing.assert_close(y[:1, :5], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(y[1], layer(x)[1], rtol=1e-12, atol=1e-12)
    x[0, 5:] = 1e6
    torch.testing.assert_close(layer(x, mask)[:1, :5], expected, rtol=1e-12, atol=1e-12)


def test_angles_keep_float32_in_bfloat16():
    x = torch.randn(1, 1, 1, 16).expand(1, 400, 1, 16).bfloat16()
    turned = rotate(x)
    assert turned.dtype == torch.bfloat16
    torch.testing.assert_close(turned.float(), rotate(x.float()), rtol=0.01, atol=0.01)
    # Neighbours differ, which positions in bfloat16 would not do beyond 256.
    assert not torch.equal(turned[0, 300], turned[0, 301])


def test_autocast_agrees_with_float32():
    layer = RotarySelfAttention(8, 2, 4)
    x = torch.randn(3, 20, 8)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = layer(x)
    assert reduced.dtype == torch.bfloat16
    torch.testing.assert_close(reduced.float(), layer(x), rtol=0.03, atol=0.03)


def test_a_trace_serves_other_lengths():
    layer, x = layer_and_input()
    with torch.no_grad():
        traced = torch.jit.trace(layer, (x,), check_trace=False)
        for steps in (1, 9, 30):
            x = torch.randn(4, steps, 6, dtype=torch.float64)
            torch.testing.assert_close(traced(x), layer(x), rtol=1e-11, atol=1e-11)


def test_projection_in_has_no_bias_and_heads_have_their_own_width():
    layer = RotarySelfAttention(32, num_heads=4, head_channels=16)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 8224
    assert layer.in_projection.bias is None


@pytest.mark.parametrize("head_channels", [0, 3, -2])
def test_odd_heads_are_refused(head_channels):
    with pytest.raises(ValueError, match=rf"head_channels \({head_channels}\) must be"):
        RotarySelfAttention(8, 2, head_channels)


def test_no_heads_are_refused():
    with pytest.raises(ValueError, match=r"num_heads \(0\) must be at least 1"):
        RotarySelfAttention(8, 0)
