"""Attention: equal to the one of torch, permutation-equivariant."""

import pytest
import torch
from torch import nn

from sesame.nnet import CrossAttention, PreNormAttention, SelfAttention
from sesame.nnet.attention import attend


def pair(channels=8, num_heads=2, kind=SelfAttention):
    """Ours and torch's with the same weights, none of them zero."""
    ours = kind(channels, num_heads).double()
    theirs = nn.MultiheadAttention(channels, num_heads, batch_first=True).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.5)
        theirs.in_proj_weight.copy_(ours.in_projection.weight)
        theirs.in_proj_bias.copy_(ours.in_projection.bias)
        theirs.out_proj.load_state_dict(ours.out_projection.state_dict())
    return ours, theirs


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_equals_multihead_attention_with_materialised_weights(num_heads):
    ours, theirs = pair(num_heads=num_heads)
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    assert torch.allclose(ours(x), theirs(x, x, x)[0], atol=1e-12)


def test_gradients_equal_those_of_multihead_attention():
    ours, theirs = pair()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    ours(x).square().sum().backward()
    theirs(x, x, x)[0].square().sum().backward()
    assert torch.allclose(ours.in_projection.weight.grad, theirs.in_proj_weight.grad)
    assert torch.allclose(ours.out_projection.weight.grad, theirs.out_proj.weight.grad)


def test_starts_like_multihead_attention():
    torch.manual_seed(3)
    theirs = nn.MultiheadAttention(64, 4, batch_first=True)
    ours = SelfAttention(64, 4)
    assert torch.equal(ours.in_projection.bias, theirs.in_proj_bias)
    assert torch.equal(ours.out_projection.bias, theirs.out_proj.bias)
    for mine, reference in (
        (ours.in_projection.weight, theirs.in_proj_weight),
        (ours.out_projection.weight, theirs.out_proj.weight),
    ):
        ratios = mine.abs().max() / reference.abs().max(), mine.std() / reference.std()
        assert all(0.97 < ratio < 1.03 for ratio in ratios)


def test_autocast_on_a_cpu_computes_the_core_in_float32(monkeypatch):
    dtypes = []
    core = nn.functional.scaled_dot_product_attention

    def recording(query, key, value):
        dtypes.append({query.dtype, key.dtype, value.dtype})
        return core(query, key, value)

    monkeypatch.setattr(
        "sesame.nnet.attention.F.scaled_dot_product_attention", recording
    )
    layer = SelfAttention(8, 2)
    x = torch.randn(3, 5, 8)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = layer(x)
    assert dtypes == [{torch.float32}] * 2
    assert reduced.dtype == torch.bfloat16
    torch.testing.assert_close(reduced.float(), expected, rtol=0.02, atol=0.02)


def test_permuting_the_steps_permutes_the_output():
    layer = SelfAttention(8, 2).double()
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    order = torch.randperm(6)
    assert torch.allclose(layer(x[:, order]), layer(x)[:, order], atol=1e-12)


def test_sequences_do_not_meet():
    layer = SelfAttention(8, 2).double()
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    y = x.clone()
    y[0] += 1.0
    moved = (layer(x) - layer(y)).abs().amax((1, 2)) > 1e-9
    assert moved.tolist() == [True, False, False]


@pytest.mark.parametrize("num_heads", [0, 3, 16])
def test_heads_must_divide_the_channels(num_heads):
    with pytest.raises(ValueError, match=rf"num_heads \({num_heads}\).*channels \(8\)"):
        SelfAttention(8, num_heads)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_cross_attention_equals_multihead_attention_to_another_sequence(num_heads):
    ours, theirs = pair(num_heads=num_heads, kind=CrossAttention)
    x, other = (torch.randn(3, n, 8, dtype=torch.float64) for n in (5, 7))
    ours_y, theirs_y = ours(x, other), theirs(x, other, other)[0]
    assert torch.allclose(ours_y, theirs_y, atol=1e-12)
    ours_y.square().sum().backward()
    theirs_y.square().sum().backward()
    assert torch.allclose(ours.in_projection.weight.grad, theirs.in_proj_weight.grad)
    assert torch.allclose(ours.in_projection.bias.grad, theirs.in_proj_bias.grad)


def test_attention_to_itself_is_self_attention():
    cross = CrossAttention(8, 2).double()
    own = SelfAttention(8, 2).double()
    own.load_state_dict(cross.state_dict())
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    assert torch.allclose(cross(x, x), own(x), atol=1e-12)


def test_scale_of_a_token_is_forgotten_before_attention():
    layer = PreNormAttention(8, 2).double()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    assert torch.allclose(layer(1000 * x), layer(x), atol=1e-4)
    assert torch.equal(layer(x), layer.attention(layer.norm(x)))


@pytest.mark.parametrize("num_heads", [0, 3, 16])
def test_heads_must_divide_the_channels_of_cross_attention(num_heads):
    with pytest.raises(ValueError, match=rf"num_heads \({num_heads}\).*channels \(8\)"):
        CrossAttention(8, num_heads)


def test_masked_keys_are_not_seen():
    query, key, value = torch.randn(3, 2, 2, 5, 4, dtype=torch.float64)
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    mask[1, ..., 3:] = False
    attended = attend(query, key, value, mask)
    expected = attend(query[1:], key[1:, :, :3], value[1:, :, :3])
    torch.testing.assert_close(attended[1:], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(attended[:1], attend(query, key, value)[:1])
    with torch.autocast("cpu", torch.bfloat16):
        reduced = attend(*(part.bfloat16() for part in (query, key, value)), mask)
    torch.testing.assert_close(reduced.double(), attended, rtol=0.03, atol=0.03)
