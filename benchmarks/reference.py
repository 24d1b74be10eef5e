"""The dense network in the formulation of its authors, to be measured against.

The same layers with the same weights compute the same function:

* attention is ``nn.MultiheadAttention`` called with ``need_weights=True``, its default,
  which materialises the weights of every pair of steps;
* the GRU reads all sequences of the folded batch at once;
* a dense block stacks and pads all its inputs for every convolution.

Only the axes differ from yxlu-0102/MP-SENet@89932cf: there, attention and GRU run over
the folded batch (see ``sesame.models.MPSENet``).
"""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from sesame.nnet import DenseBlock, GRUFeedForward, SelfAttention

__all__ = [
    "ReferenceAttention",
    "ReferenceDenseBlock",
    "ReferenceFeedForward",
    "reference_network",
]


class ReferenceAttention(nn.Module):
    """``SelfAttention`` as ``nn.MultiheadAttention`` with materialised weights."""

    def __init__(self, ours: SelfAttention):
        super().__init__()
        weight = ours.out_projection.weight
        self.attention = nn.MultiheadAttention(
            weight.shape[0],
            ours.num_heads,
            batch_first=True,
            device=weight.device,
            dtype=weight.dtype,
        )
        self.attention.in_proj_weight.data.copy_(ours.in_projection.weight)
        self.attention.in_proj_bias.data.copy_(ours.in_projection.bias)
        self.attention.out_proj.load_state_dict(ours.out_projection.state_dict())

    def forward(self, x):
        mixed, _ = self.attention(x, x, x, need_weights=True)
        return mixed


class ReferenceFeedForward(nn.Module):
    """``GRUFeedForward`` with one call of the GRU."""

    def __init__(self, ours: GRUFeedForward):
        super().__init__()
        self.gru = ours.backbone.gru
        self.projection = ours.projection

    def forward(self, x, context=None):
        states, _ = self.gru(x)
        return self.projection(F.leaky_relu(states, 0.01))


class ReferenceDenseBlock(nn.Module):
    """``DenseBlock``, causal, that stacks and pads whole planes."""

    def __init__(self, ours: DenseBlock):
        super().__init__()
        if not ours.causal:
            raise ValueError("only the causal dense block has a reference")
        self.layers = ours.layers

    def forward(self, x):
        stacked = x
        for layer in self.layers:
            padding = (0, 0, layer.conv.dilation[0], 0)
            x = layer(F.pad(stacked, padding))
            stacked = torch.cat([x, stacked], dim=1)
        return x


_REFERENCES = {
    SelfAttention: ReferenceAttention,
    GRUFeedForward: ReferenceFeedForward,
    DenseBlock: ReferenceDenseBlock,
}


def reference_network(network: nn.Module, attention_only: bool = False) -> nn.Module:
    """Copies a dense network and puts the authors' formulations into the copy.

    Arguments
    ---------
    network : nn.Module
        ``MPSENet`` or a part of it; is not changed.
    attention_only : bool
        True replaces the attention and leaves the other layers as ours.

    Returns
    -------
    nn.Module
        A network with the same weights and the same function.
    """
    network = copy.deepcopy(network)
    references = dict(_REFERENCES)
    if attention_only:
        references = {SelfAttention: ReferenceAttention}
    if type(network) in references:
        return references[type(network)](network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in references:
                setattr(parent, name, references[type(child)](child))
    return network
