"""Slimmable maps and norm: prefixes, plain modules at full width, idle gradients."""

import pytest
import torch
from torch import nn

from sesame.nnet.slimmable.linear import (
    FlexLinear,
    FlexLinearStack,
    FlexRMSNorm,
    prefix_state_dict,
)


def test_the_full_map_is_a_linear_layer_with_its_names():
    flex, plain = FlexLinear(6, 4), nn.Linear(6, 4)
    flex.load_state_dict(plain.state_dict())
    x = torch.randn(3, 6)
    assert torch.equal(flex(x), plain(x))


def test_a_slice_is_the_product_with_the_leading_block():
    flex = FlexLinear(6, 4).double()
    nn.init.normal_(flex.bias)
    x = torch.randn(3, 5, dtype=torch.float64)
    expected = x @ flex.weight[:2, :5].t() + flex.bias[:2]
    torch.testing.assert_close(flex(x, 2), expected)


def test_a_stack_is_its_maps_one_by_one():
    stack = FlexLinearStack(3, 6, 4).double()
    nn.init.normal_(stack.bias)
    for inputs, outputs in ((6, 4), (5, 2)):
        x = torch.randn(2, 7, inputs, dtype=torch.float64)
        expected = [
            x @ stack.weight[m, :outputs, :inputs].t() + stack.bias[m, :outputs]
            for m in range(3)
        ]
        torch.testing.assert_close(stack(x, outputs), torch.stack(expected, dim=-2))


@pytest.mark.parametrize("make", [FlexLinear, lambda *n: FlexLinearStack(2, *n)])
def test_idle_rows_and_columns_get_a_gradient_of_exactly_zero(make):
    flex = make(6, 4)
    flex(torch.randn(3, 5), 2).square().sum().backward()
    active = flex.weight.grad[..., :2, :5].clone()
    assert (active != 0).all()
    flex.weight.grad[..., :2, :5] = 0
    flex.bias.grad[..., :2] = 0
    assert not flex.weight.grad.any() and not flex.bias.grad.any()


@pytest.mark.parametrize(
    ("module", "smaller", "x"),
    [
        (FlexLinear(96, 64), FlexLinear(32, 16), torch.randn(27, 32)),
        (FlexLinear(96, 64, False), FlexLinear(32, 16, False), torch.randn(9, 32)),
        (FlexLinearStack(3, 96, 64), FlexLinearStack(3, 32, 16), torch.randn(27, 32)),
    ],
)
def test_a_prefix_on_its_own_gives_the_same_to_the_last_bit(module, smaller, x):
    smaller.load_state_dict(prefix_state_dict(module, smaller))
    assert torch.equal(smaller(x), module(x, 16))


def test_a_prefix_is_a_copy():
    module, smaller = FlexLinear(4, 4), FlexLinear(2, 2)
    prefix_state_dict(module, smaller)["weight"].zero_()
    assert module.weight.all()


def test_a_larger_or_foreign_module_is_no_prefix():
    with pytest.raises(ValueError, match=r"weight \(5, 4\) must fit into \(4, 4\)"):
        prefix_state_dict(FlexLinear(4, 4), FlexLinear(4, 5))
    with pytest.raises(ValueError, match="bias must be a tensor of both"):
        prefix_state_dict(FlexLinear(4, 4, bias=False), FlexLinear(2, 2))


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_the_norm_is_over_the_channels_that_are_there(channels):
    norm = FlexRMSNorm(8, eps=1e-3).double()
    nn.init.normal_(norm.weight)
    x = torch.randn(5, channels, dtype=torch.float64, requires_grad=True)
    expected = nn.functional.rms_norm(x, (channels,), norm.weight[:channels], 1e-3)
    torch.testing.assert_close(norm(x), expected)
    actual, expected = (
        torch.autograd.grad(y.sin().sum(), x) for y in (norm(x), expected)
    )
    torch.testing.assert_close(actual, expected)


def test_the_norm_of_silence_is_silence_with_finite_gradients():
    norm, x = FlexRMSNorm(4), torch.zeros(2, 4, requires_grad=True)
    y = norm(x)
    y.sum().backward()
    assert not y.any() and x.grad.isfinite().all()


@pytest.mark.parametrize("outputs", [0, 5])
def test_more_than_there_is_is_refused(outputs):
    for flex in (FlexLinear(6, 4), FlexLinearStack(2, 6, 4)):
        with pytest.raises(ValueError, match=rf"out_features \({outputs}\) must be"):
            flex(torch.zeros(1, 6), outputs)
        with pytest.raises(ValueError, match=r"inputs \(7\) must be in \[1, 6\]"):
            flex(torch.zeros(1, 7))
    with pytest.raises(ValueError, match=r"channels \(7\) must be in \[1, 6\]"):
        FlexRMSNorm(6)(torch.zeros(1, 7))
