"""The conformer: its parts, its sizes, and that padding and batch mates do nothing."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sesame.nnet.conformer import (
    ConformerBlock,
    ConformerModule,
    ConvModule,
    SwishFeedForward,
)
from sesame.nnet.dual_path import DualPathBlock
from sesame.nnet.moe import MoESwishFeedForward

C = 6


def feed_forward(route=None):
    if route is None:
        return SwishFeedForward(C)
    return MoESwishFeedForward(C, 3, expansion=2, route=route)


def module(route=None):
    layer = ConformerModule(C, [feed_forward(route), feed_forward(route)], 2, 4, 5)
    layer = layer.double()
    with torch.no_grad():
        for name, buffer in layer.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 2)
    return layer.eval()


def sequences(count=3, steps=12):
    return torch.randn(count, steps, C, dtype=torch.float64)


def test_feed_forward_is_its_formula_with_and_without_gradients():
    layer, x = SwishFeedForward(C), torch.randn(3, 5, C)
    hidden = F.linear(x, layer.in_projection.weight, layer.in_projection.bias)
    hidden = hidden * hidden.sigmoid()
    weight, bias = layer.out_projection.weight, layer.out_projection.bias
    expected = F.linear(hidden, weight, bias)
    torch.testing.assert_close(layer(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("training", [True, False])
def test_convolution_equals_the_layers_of_torch(training):
    """The order of the sheet, on tensors (N, C, S)."""
    ours = ConvModule(C, kernel_size=5).double().train(training)
    theirs = nn.Sequential(
        nn.Conv1d(C, 4 * C, 1),
        nn.GLU(dim=1),
        nn.Conv1d(2 * C, 2 * C, 5, padding=2, groups=2 * C),
        nn.BatchNorm1d(2 * C),
        nn.SiLU(),
        nn.Conv1d(2 * C, C, 1),
    )
    theirs.double().train(training)
    with torch.no_grad():
        for mine, index in (
            (ours.in_projection, 0),
            (ours.filters, 2),
            (ours.out_projection, 5),
        ):
            theirs[index].weight.copy_(mine.weight.view_as(theirs[index].weight))
            theirs[index].bias.copy_(mine.bias)
        for buffer in (ours.batch_norm.running_mean, ours.batch_norm.running_var):
            buffer.uniform_(0.5, 2)
    theirs[3].load_state_dict(ours.batch_norm.state_dict())
    x = sequences()
    expected = theirs(F.layer_norm(x, (C,)).mT).mT
    torch.testing.assert_close(ours(x), expected, rtol=1e-11, atol=1e-11)
    for name, buffer in ours.batch_norm.named_buffers():
        torch.testing.assert_close(buffer, theirs[3].get_buffer(name))


def test_a_filter_reaches_half_its_width_both_ways():
    layer = ConvModule(C, kernel_size=5).double().eval()
    x = sequences(1)
    y = x.clone()
    y[:, 6] += torch.randn(C, dtype=torch.float64)
    moved = (layer(x) - layer(y)).abs().amax((0, 2)) > 1e-12
    assert moved.nonzero().flatten().tolist() == [4, 5, 6, 7, 8]


class Recorder(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x, *arguments):
        self.x, self.arguments = x, arguments
        return self.factor * torch.ones_like(x)


def test_block_adds_two_halves_attention_and_convolution_in_order():
    parts = [Recorder(factor) for factor in (2.0, 4.0, 16.0, 64.0)]
    first, attention, convolution, second = parts
    block = ConformerBlock(C, attention, convolution, [first, second]).double()
    x = sequences()
    inputs = {"convolution": x + 1 + 4}
    total = x + 1 + 4 + 16 + 32
    torch.testing.assert_close(block(x), F.layer_norm(total, (C,)))
    torch.testing.assert_close(convolution.x, inputs["convolution"])
    # The others see the running sum through a norm.
    torch.testing.assert_close(second.x, F.layer_norm(x + 1 + 4 + 16, (C,)))
    torch.testing.assert_close(first.x, F.layer_norm(x, (C,)))


def test_feed_forwards_get_what_they_may_need_and_mixers_a_mask():
    parts = [Recorder(1.0) for _ in range(4)]
    first, attention, convolution, second = parts
    block = ConformerBlock(C, attention, convolution, [first, second]).double()
    context = torch.randn(2, 1, 3)
    valid = torch.arange(12)[None, None, :] < torch.tensor([12, 7])[:, None, None]
    block(sequences(6), context, valid)
    for layer in (first, second):
        assert layer.arguments[0] is context and layer.arguments[1] is valid
    for layer in (attention, convolution):
        (mask,) = layer.arguments
        assert mask.sum(1).tolist() == [12, 12, 12, 7, 7, 7]
    block(sequences(6), None, torch.ones(2, 3, 1, dtype=torch.bool))
    assert attention.arguments == (None,)


def test_sizes_are_those_of_the_published_model():
    def count(layer):
        return sum(parameter.numel() for parameter in layer.parameters())

    dense = ConformerModule(32, [SwishFeedForward(32), SwishFeedForward(32)])
    assert count(dense) == 34_784
    assert count(dense.conformer.convolution) == 8_544
    assert count(dense.conformer.attention) == 8_224
    assert count(dense.conformer.first_feed_forward) == 8_352
    sparse = ConformerModule(32, [MoESwishFeedForward(32, 12) for _ in range(2)])
    assert count(sparse) == 34_784 + 2 * (11 * 8352 + 32 * 12)


@pytest.mark.parametrize("route", [None, "seq", "batch", "token"])
def test_padding_and_batch_mates_change_nothing_along_both_axes(route):
    """Through the dual path, on planes (B, C, T, G) of 12 and of 7 frames."""
    block = DualPathBlock(module(route), module(route))
    plane = torch.randn(2, C, 12, 4, dtype=torch.float64)
    plane[1, :, 7:] = 1e3
    valid = torch.arange(12) < torch.tensor([[12], [7]])
    together = block(plane, None, valid)
    no_padding = torch.ones(1, 1, dtype=torch.bool)
    for index, frames in ((0, 12), (1, 7)):
        alone = block(plane[index : index + 1, :, :frames], None, no_padding)
        torch.testing.assert_close(
            together[index : index + 1, :, :frames], alone, rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("route", [None, "seq", "batch", "token"])
def test_every_parameter_receives_a_gradient(route):
    layer = module(route).train()
    valid = torch.ones(2, 1, 1, dtype=torch.bool)
    layer(sequences(20), None, valid).sin().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("route", [None, "seq"])
def test_autocast_trains(route):
    layer = module(route).float().train()
    x = sequences().float()
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = layer(x)
    reduced.float().square().mean().backward()
    assert (reduced.float() - exact).norm() < 0.1 * exact.norm()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("route", [None, "seq", "batch", "token"])
def test_a_trace_serves_other_sizes(route):
    layer = module(route)
    valid = torch.ones(1, 1, 1, dtype=torch.bool)
    x = sequences()
    with torch.no_grad():
        traced = torch.jit.trace(layer, (x, x, valid), check_trace=False)
        for count, steps in ((3, 12), (5, 4), (2, 30)):
            x = sequences(count, steps)
            torch.testing.assert_close(traced(x, x, valid), layer(x, None, valid))


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match=r"kernel_size \(30\) must be odd"):
        ConvModule(C, kernel_size=30)


def test_another_number_of_feed_forwards_is_refused():
    with pytest.raises(ValueError, match=r"feed_forwards \(1\) must be 2 layers"):
        ConformerModule(C, [SwishFeedForward(C)])
