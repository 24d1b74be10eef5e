"""The dual path: each half stays on its axis, residuals, and where contexts go."""

import pytest
import torch
from torch import nn

from sesame.nnet import (
    AttentiveDualPathBlock,
    DualPathBlock,
    GRUFeedForward,
    ParallelDualPathBlock,
    SelfAttention,
    TransformerLayer,
)


class Silence(nn.Module):
    def forward(self, x, context=None):
        return torch.zeros_like(x)


class Recorder(nn.Module):
    """Returns the mean of its context and remembers its inputs."""

    def forward(self, x, context=None):
        self.x, self.context = x, context
        return torch.zeros_like(x)


def transformer():
    return TransformerLayer(4, SelfAttention(4, 2), GRUFeedForward(4))


def plane(batch=2):
    return torch.randn(batch, 4, 6, 5, dtype=torch.float64)


def cells_moved(block, x):
    """Cells (b, t, f) that move with the cell (1, 3, 2)."""
    y = x.clone()
    y[1, :, 3, 2] += torch.randn(4).double()
    return ((block(x) - block(y)).abs() > 1e-12).any(1)


@pytest.mark.parametrize("axis_order", ["time_frequency", "frequency_time"])
def test_time_half_touches_only_the_bin_that_changed(axis_order):
    block = DualPathBlock(transformer(), Silence(), axis_order).double()
    expected = torch.zeros(2, 6, 5, dtype=torch.bool)
    expected[1, :, 2] = True
    assert torch.equal(cells_moved(block, plane()), expected)


@pytest.mark.parametrize("axis_order", ["time_frequency", "frequency_time"])
def test_frequency_half_touches_only_the_frame_that_changed(axis_order):
    block = DualPathBlock(Silence(), transformer(), axis_order).double()
    expected = torch.zeros(2, 6, 5, dtype=torch.bool)
    expected[1, 3, :] = True
    assert torch.equal(cells_moved(block, plane()), expected)


def test_both_halves_reach_every_cell_of_the_item_and_no_other():
    moved = cells_moved(DualPathBlock(transformer(), transformer()).double(), plane())
    assert moved[1].all()
    assert not moved[0].any()


def test_transposing_the_plane_swaps_the_halves():
    first, second = transformer(), transformer()
    x = plane()
    block = DualPathBlock(first, second).double()
    swapped = DualPathBlock(second, first, "frequency_time").double()
    assert torch.allclose(block(x).mT, swapped(x.mT), atol=1e-12)


def test_order_of_the_halves_matters():
    first, second = transformer(), transformer()
    x = plane()
    orders = ("time_frequency", "frequency_time")
    ours, theirs = (DualPathBlock(first, second, o).double()(x) for o in orders)
    assert not torch.allclose(ours, theirs)


def test_each_half_adds_its_input():
    class Double(nn.Module):
        def forward(self, x, context=None):
            return 2.0 * x

    x = plane()
    assert torch.allclose(DualPathBlock(Double(), Silence())(x), 3.0 * x)
    assert torch.allclose(DualPathBlock(Silence(), Double())(x), 3.0 * x)
    assert torch.allclose(DualPathBlock(Double(), Double())(x), 9.0 * x)


def test_each_token_meets_the_context_of_its_frame():
    """Follows the rule: runs of N / M sequences share one context."""
    block = DualPathBlock(Recorder(), Recorder())
    index = torch.arange(2 * 6, dtype=torch.float64).reshape(2, 6)  # (B, T)
    x = index[:, None, :, None].expand(2, 4, 6, 5).contiguous()
    block(x, index[..., None].expand(2, 6, 3))
    for layer, context_shape in (
        (block.time_layer, (2, 6, 3)),
        (block.frequency_layer, (12, 1, 3)),
    ):
        assert layer.context.shape == context_shape
        runs = layer.x.shape[0] // layer.context.shape[0]
        per_sequence = layer.context.repeat_interleave(runs, 0)
        met = per_sequence.expand(-1, layer.x.shape[1], -1)
        assert torch.equal(met[..., 0], layer.x[..., 0])


def test_without_context_the_layers_get_none():
    block = DualPathBlock(Recorder(), Recorder())
    block(plane())
    assert block.time_layer.context is None
    assert block.frequency_layer.context is None


def test_unknown_axis_order_is_refused():
    with pytest.raises(ValueError, match=r"axis_order \('freq_time'\) must be"):
        DualPathBlock(Silence(), Silence(), "freq_time")


class Scale(nn.Module):
    """Multiplies by a number and notes the order in which it was asked."""

    def __init__(self, factor, log=None, name=""):
        super().__init__()
        self.factor, self.log, self.name = factor, log, name

    def forward(self, x, context=None):
        if self.log is not None:
            self.log.append((self.name, tuple(x.shape)))
        return self.factor * x


@pytest.mark.parametrize("axis_order", ["time_frequency", "frequency_time"])
@pytest.mark.parametrize("position", ["before", "after"])
def test_attention_runs_along_both_axes_beside_each_layer(position, axis_order):
    log = []
    layers = [Scale(1.0, log, name) for name in ("time", "frequency", "attention")]
    block = AttentiveDualPathBlock(
        layers[0], layers[1], layers[2:], position, axis_order
    )
    x = plane()
    assert torch.equal(block(x), 16.0 * x)
    along = {"time": (10, 6, 4), "frequency": (12, 5, 4)}
    expected = []
    for axis in axis_order.split("_"):
        half = [("attention", along[axis]), (axis, along[axis])]
        expected += half if position == "before" else half[::-1]
    assert log == expected


def test_two_attentions_serve_one_axis_each():
    log = []
    attentions = [Scale(0.0, log, "of time"), Scale(0.0, log, "of frequency")]
    block = AttentiveDualPathBlock(Silence(), Silence(), attentions)
    block(plane())
    assert log == [("of time", (10, 6, 4)), ("of frequency", (12, 5, 4))]


def test_shared_attention_stands_once_in_the_state_dict():
    shared = SelfAttention(4, 2)
    block = AttentiveDualPathBlock(Silence(), Silence(), [shared])
    assert len(block.state_dict()) == len(shared.state_dict())


@pytest.mark.parametrize("count", [0, 3])
def test_other_numbers_of_attentions_are_refused(count):
    with pytest.raises(ValueError, match=rf"attentions \({count}\) must be 1 or 2"):
        AttentiveDualPathBlock(Silence(), Silence(), [Silence()] * count)


def test_unknown_position_of_attention_is_refused():
    with pytest.raises(ValueError, match=r"attention_position \('beside'\) must be"):
        AttentiveDualPathBlock(Silence(), Silence(), [Silence()], "beside")


class Combine(nn.Module):
    def forward(self, first, second):
        self.shape = first.shape
        return 2.0 * first + 3.0 * second


def test_parallel_branches_get_the_same_input_and_are_merged_frame_by_frame():
    merge = Combine()
    block = ParallelDualPathBlock(Scale(5.0), Scale(7.0), merge)
    x = plane()
    assert torch.allclose(block(x), (1 + 2 * 5 + 3 * 7) * x)
    assert merge.shape == (12, 5, 4)


def test_both_parallel_branches_get_the_context():
    first, second = Recorder(), Recorder()
    context = torch.randn(2, 6, 3)
    ParallelDualPathBlock(first, second, Combine())(plane(), context)
    assert first.context is context and second.context is context


class ValidRecorder(nn.Module):
    def forward(self, x, context, valid):
        self.x, self.valid = x, valid
        return torch.zeros_like(x)


def test_valid_frames_follow_their_sequences():
    """(B, P, S) of a layer: B utterances of N / B sequences next to each other."""
    time_layer, frequency_layer = ValidRecorder(), ValidRecorder()
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    x = valid[:, None, :, None].expand(2, 4, 6, 5).double()
    DualPathBlock(time_layer, frequency_layer)(x, None, valid)
    for layer, shape in ((time_layer, (2, 1, 6)), (frequency_layer, (2, 6, 1))):
        assert layer.valid.shape == shape
        tokens = layer.x.unflatten(0, (2, -1))[..., 0]
        assert torch.equal(layer.valid.expand_as(tokens), tokens > 0)


def test_one_column_of_valid_counts_the_utterances():
    time_layer, frequency_layer = ValidRecorder(), ValidRecorder()
    valid = torch.ones(2, 1, dtype=torch.bool)
    DualPathBlock(time_layer, frequency_layer)(plane(), None, valid)
    assert time_layer.valid.shape == frequency_layer.valid.shape == (2, 1, 1)
