"""Laws of the convolutions: what an output may depend on, how bins are ordered."""

import pytest
import torch
from torch import nn

from sesame.nnet import ConvUnit, DenseBlock, SubPixelConv, conv


def bare_block(depth, causal):
    """A dense block without the normalisation, whose statistics see all frames."""
    block = DenseBlock(3, depth, causal).double()
    for layer in block.layers:
        layer.norm = nn.Identity()
    return block


def frames_changed(module, frames, at):
    """Frames of the output that move when frame ``at`` of the input does."""
    x = torch.randn(1, 3, frames, 5, dtype=torch.float64)
    y = x.clone()
    y[:, :, at] += 1.0
    moved = (module(x) - module(y)).abs().amax((0, 1, 3)) > 1e-12
    return moved.nonzero().flatten().tolist()


def test_unit_ignores_gain_and_offset_of_its_convolution():
    unit = ConvUnit(2, 4, (1, 1)).double()
    unit.norm.eps = 0.0
    x = torch.randn(2, 2, 6, 5, dtype=torch.float64)
    before = unit(x)
    with torch.no_grad():
        unit.conv.weight *= 7.0
        unit.conv.bias += 3.0
    assert torch.allclose(unit(x), before)


def test_unit_standardises_each_item_and_channel():
    unit = ConvUnit(2, 4, (1, 3)).double()
    nn.init.ones_(unit.activation.weight)
    y = unit(torch.randn(3, 2, 20, 9, dtype=torch.float64) * 5 + 2)
    assert torch.allclose(y.mean((2, 3)), torch.zeros(3, 4).double(), atol=1e-12)
    assert torch.allclose(y.var((2, 3), correction=0), torch.ones(3, 4).double(), 1e-4)


def test_causal_convolutions_leave_the_past_alone():
    assert frames_changed(bare_block(4, causal=True), 40, at=10) == list(range(10, 26))


def test_symmetric_convolutions_reach_as_far_back_as_ahead():
    changed = frames_changed(bare_block(4, causal=False), 45, at=20)
    assert changed == list(range(5, 36))


def test_symmetric_block_commutes_with_time_reversal_of_input_and_kernels():
    block = DenseBlock(3, 3, causal=False).double()
    x = torch.randn(2, 3, 12, 5, dtype=torch.float64)
    expected = block(x).flip(2)
    with torch.no_grad():
        for layer in block.layers:
            layer.conv.weight.copy_(layer.conv.weight.flip(2))
    assert torch.allclose(block(x.flip(2)), expected)


@pytest.mark.parametrize("causal", [True, False])
def test_every_layer_reads_all_earlier_outputs(causal):
    block = DenseBlock(3, 4, causal).double()
    block(torch.randn(1, 3, 20, 5, dtype=torch.float64)).square().sum().backward()
    for index, layer in enumerate(block.layers):
        gradient = layer.conv.weight.grad.abs().amax((0, 2, 3))
        assert gradient.shape == (3 * (index + 1),)
        assert (gradient > 1e-9).all()


def test_newest_output_comes_first_in_the_stack():
    block = bare_block(2, causal=True)
    x = torch.randn(1, 3, 8, 5, dtype=torch.float64)
    with torch.no_grad():
        block.layers[1].conv.weight[:, :3] = 0.0  # cuts off layer 0, keeps the input
        expected = block(x)
        block.layers[0].conv.weight.normal_()
        assert torch.equal(block(x), expected)
        block.layers[1].conv.weight[:, :3] = 1.0
        assert not torch.allclose(block(x), expected)


@pytest.mark.parametrize("causal", [True, False])
def test_training_and_evaluation_give_the_same(causal):
    block = DenseBlock(3, 4, causal).double()
    x = torch.randn(1, 3, 20, 5, dtype=torch.float64)
    with torch.no_grad():
        quiet = block.eval()(x)
    assert torch.equal(block.train()(x), quiet)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("frames", [1, 7, 20])
def test_pieces_of_the_plane_give_the_same_as_the_whole(monkeypatch, causal, frames):
    block = DenseBlock(3, 4, causal).double()
    x = torch.randn(2, 3, frames, 5, dtype=torch.float64)
    whole = block(x)
    lengths = []
    for layer in block.layers:
        layer.conv.register_forward_hook(
            lambda module, inputs, output: lengths.append(output.shape[2])
        )
    monkeypatch.setattr(conv, "_STACK_BYTES", 8 * x[:, :, 0].nbytes)
    with torch.no_grad():
        pieces = block(x)
    assert len(lengths) > 4 or frames == 1
    assert sum(lengths) == 4 * frames
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3])
def test_new_bins_of_a_bin_are_the_channel_groups_in_order(factor):
    layer = SubPixelConv(1, 2, factor).double()
    nn.init.zeros_(layer.conv.weight)
    with torch.no_grad():
        layer.conv.weight[:, 0, 0, 1] = 10.0  # the bin itself
        layer.conv.bias.copy_(torch.arange(2 * factor))
    x = torch.arange(4, dtype=torch.float64).reshape(1, 1, 1, 4)
    y = layer(x)[0, :, 0]
    for channel in range(2):
        for position in range(factor):
            bins = y[channel, position::factor]
            assert torch.equal(bins, 10 * x[0, 0, 0] + 2 * position + channel)


def test_up_sampling_keeps_frames_apart():
    layer = SubPixelConv(3, 3).double()
    assert frames_changed(layer, 6, at=2) == [2]
