"""Depthwise convolution of the past: equal to torch's, blind to the future."""

import pytest
import torch
from torch.nn import functional as F

from sesame.nnet.causal_conv import CausalConv


@pytest.mark.parametrize("width", [1, 2, 4])
def test_equals_a_padded_convolution_with_the_channels_outside(width):
    conv = CausalConv(3, width).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    padded = F.pad(x.mT, (width - 1, 0))
    expected = F.conv1d(padded, conv.weight, conv.bias, groups=3).mT
    assert torch.allclose(conv(x), expected, rtol=0, atol=1e-12)


def test_no_step_hears_a_later_one_or_another_channel():
    conv = CausalConv(3, 4).double()
    x = torch.randn(1, 9, 3, dtype=torch.float64)
    y = x.clone()
    y[0, 4, 1] += 1.0
    moved = (conv(x) - conv(y)).abs()[0] > 1e-12
    expected = torch.zeros(9, 3, dtype=torch.bool)
    expected[4:8, 1] = True
    assert torch.equal(moved, expected)


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_the_second_half_after_the_first_equals_the_whole(cut):
    conv = CausalConv(3, 4).double()
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    past = F.pad(x, (0, 0, 3, 0))[:, cut : cut + 3]
    assert torch.allclose(conv(x[:, cut:], past), conv(x)[:, cut:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", [1, 4])
def test_reverse_is_the_same_filter_between_two_flips(width):
    ahead, back = (CausalConv(3, width, reverse=r).double() for r in (False, True))
    back.load_state_dict(ahead.state_dict())
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    expected = ahead(x.flip(1)).flip(1)
    assert torch.allclose(back(x), expected, rtol=0, atol=1e-12)
    past = torch.randn(2, width - 1, 3, dtype=torch.float64)
    expected = ahead(x.flip(1), past.flip(1)).flip(1)
    assert torch.allclose(back(x, past), expected, rtol=0, atol=1e-12)
