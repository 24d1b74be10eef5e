"""The transformer layer: order of its parts, and what reaches the feed-forward."""

import torch
from torch import nn

from sesame.nnet import (
    GRUFeedForward,
    MoEFeedForward,
    SelfAttention,
    TransformerLayer,
    feed_forward,
)


class Scale(nn.Module):
    """A stand-in for both parts: remembers what it was given."""

    def __init__(self, gain):
        super().__init__()
        self.gain = gain

    def forward(self, x, context=None):
        self.received = x
        self.context = context
        return self.gain * x


def test_parts_are_normalised_before_and_added_after():
    layer = TransformerLayer(8, Scale(2.0), Scale(3.0)).double()
    for norm in (layer.attention_norm, layer.feed_forward_norm, layer.output_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    middle = x + 2.0 * layer.attention_norm(x)
    final = middle + 3.0 * layer.feed_forward_norm(middle)
    assert torch.allclose(layer(x), layer.output_norm(final))
    assert torch.allclose(layer.attention.received, layer.attention_norm(x))


def test_silent_parts_leave_only_the_last_norm():
    layer = TransformerLayer(8, Scale(0.0), Scale(0.0))
    x = torch.randn(2, 5, 8)
    assert torch.equal(layer(x), nn.functional.layer_norm(x, (8,)))


def test_context_reaches_the_feed_forward():
    layer = TransformerLayer(8, Scale(1.0), Scale(1.0))
    context = torch.randn(1, 5, 3)
    layer(torch.randn(2, 5, 8), context)
    assert layer.feed_forward.context is context


def test_sequences_do_not_meet():
    layer = TransformerLayer(8, SelfAttention(8, 2), GRUFeedForward(8)).double()
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    assert torch.allclose(layer(x)[1:2], layer(x[1:2]), atol=1e-12)


def test_runs_of_sequences_give_the_same_as_the_whole(monkeypatch):
    layer = TransformerLayer(8, SelfAttention(8, 2), GRUFeedForward(8)).double()
    x = torch.randn(101, 6, 8, dtype=torch.float64)
    whole = layer(x)
    monkeypatch.setattr(feed_forward, "_GATE_BYTES", 1)
    sizes = []
    layer.attention.register_forward_hook(
        lambda module, inputs, output: sizes.append(len(output))
    )
    torch.testing.assert_close(layer(x), whole, rtol=0, atol=1e-12)
    assert sizes == [34, 34, 33]


def test_a_sparse_layer_routes_the_whole_batch_at_once(monkeypatch):
    monkeypatch.setattr(feed_forward, "_GATE_BYTES", 1)
    layer = TransformerLayer(8, SelfAttention(8, 2), MoEFeedForward(8, 4, 2))
    layer(torch.randn(101, 6, 8))
    assert len(layer.feed_forward.routing.logits) == 101 * 6


def test_published_number_of_parameters():
    layer = TransformerLayer(64, SelfAttention(64, 4), GRUFeedForward(64))
    assert sum(p.numel() for p in layer.parameters()) == 182_464
