"""Slimmable feed-forward: filters written down, prefixes, streams."""

import pytest
import torch
from torch.nn import functional as F

from sesame.nnet.slimmable import FlexConv, FlexFeedForward, prefix_state_dict


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("shape", [(2, 9, 3), (40, 90, 5)])
def test_filters_are_those_of_a_depthwise_convolution(causal, shape):
    conv = FlexConv(5, kernel_size=5, causal=causal).double()
    x = torch.randn(shape, dtype=torch.float64)
    weight = conv.weight[: shape[2], None]
    padded = F.pad(x.transpose(1, 2), (4, 0) if causal else (2, 2))
    expected = F.conv1d(padded, weight, groups=shape[2]).transpose(1, 2)
    torch.testing.assert_close(conv(x), expected)


def test_layer_is_the_formula():
    layer = FlexFeedForward(4).double()
    torch.nn.init.normal_(layer.expand.bias)
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    first, second = layer.expand.weight
    gate = layer.conv(x @ first.t() + layer.expand.bias[0])
    value = x @ second.t() + layer.expand.bias[1]
    torch.testing.assert_close(layer(x), layer.contract(F.silu(gate) * value))


@pytest.mark.parametrize("blocks", [[1] * 7, [3, 1, 3], [7]])
def test_steps_are_the_whole(blocks):
    layer = FlexFeedForward(8, causal=True).double()
    x = torch.randn(2, 7, 4, dtype=torch.float64)
    past, outputs = torch.zeros(2, 2, 8, dtype=torch.float64), []
    for block in x.split(blocks, dim=1):
        y, past = layer.step(block, past)
        assert past.shape == (2, 2, 8)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x), rtol=1e-12, atol=1e-12)


def test_a_causal_layer_does_not_see_ahead_and_the_other_does():
    x = torch.randn(1, 9, 4)
    changed = x.clone()
    changed[:, 5:] += 1
    for causal, first in ((True, 5), (False, 4)):
        layer = FlexFeedForward(4, causal=causal)
        different = (layer(x) - layer(changed)).abs().amax((0, 2)) > 0
        assert different.nonzero()[0] == first


@pytest.mark.parametrize("frames", [9, 900])
def test_a_prefix_on_its_own_gives_the_same_to_the_last_bit(frames):
    layer, smaller = FlexFeedForward(96), FlexFeedForward(32)
    smaller.load_state_dict(prefix_state_dict(layer, smaller))
    x = torch.randn(2, frames, 32)
    assert torch.equal(smaller(x), layer(x))


def test_idle_units_get_a_gradient_of_exactly_zero():
    layer = FlexFeedForward(8)
    layer(torch.randn(2, 5, 4)).square().sum().backward()
    assert layer.conv.weight.grad[:8].all() and not layer.conv.weight.grad[8:].any()
    for weight in (layer.expand.weight.grad[0], layer.contract.weight.grad.t()):
        assert weight[:8, :4].any()
        assert not weight[8:].any() and not weight[:, 4:].any()


def test_bad_sizes_are_refused():
    for taps in (1, 2, 4):
        with pytest.raises(ValueError, match=rf"kernel_size \({taps}\) must be odd"):
            FlexConv(4, taps)
    with pytest.raises(ValueError, match=r"channels \(5\) must be in \[1, 4\]"):
        FlexConv(4)(torch.zeros(1, 3, 5))
