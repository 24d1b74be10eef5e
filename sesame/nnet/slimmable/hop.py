"""A dual-path block prepared for one frame after another."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sesame.nnet.streaming import write_slots

from .block import FlexDualPathBlock

__all__ = ["HopBlock"]


class HopBlock:
    """What ``FlexDualPathBlock.step`` gives for one frame, in a third of the time.

    A frame of a small network is bound by the number of operations, not by their size:
    here the gains of the norms are part of the weights, the features stay a matrix, and
    nothing is reshaped that need not be. The weights are copies, without gradients.

    Arguments
    ---------
    block : FlexDualPathBlock
        The block, used at its full width.

    Example
    -------
    >>> block = FlexDualPathBlock(8, num_heads=2, head_channels=4, context=3)
    >>> memory, past = torch.zeros(1, 5, 2, 2, 3, 4), torch.zeros(1, 5, 2, 16)
    >>> slots, bias = torch.tensor([[0]]), torch.zeros(1, 2, 1, 3)
    >>> HopBlock(block)(torch.randn(5, 8), memory, past, slots, bias)[0].shape
    torch.Size([5, 8])
    """

    @torch.no_grad()
    def __init__(self, block: FlexDualPathBlock):
        self.bands = _Half(
            block.band_attention_norm,
            block.band_attention,
            block.band_feed_forward_norm,
            block.band_feed_forward,
        )
        self.time = _Half(
            block.time_attention_norm,
            block.time_attention,
            block.time_feed_forward_norm,
            block.time_feed_forward,
        )
        channels = self.bands.out_bias.shape[0]
        # |x|^2 + C eps: the factor of the mean is in the weights.
        eps = torch.tensor(channels * block.band_attention_norm.eps).sqrt()
        self.least = eps.to(self.bands.out_bias)
        self.heads = block.band_attention.heads(channels)
        taps = block.time_feed_forward.conv.kernel_size
        self.taps = taps
        self.edge = self.bands.out_bias.new_zeros(1, taps // 2, 2 * channels)
        self.time_filter = block.time_feed_forward.conv.weight.t().contiguous()

    def __call__(
        self, x: Tensor, memory: Tensor, past: Tensor, slots: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Takes one frame of each stream.

        Arguments
        ---------
        x : Tensor
            Features (B * G, C).
        memory : Tensor
            (B, G, 2, H, S, D), written in place.
        past : Tensor
            (B, G, kernel_size - 1, 2 C).
        slots : Tensor
            Where the frame goes, (B, 1).
        bias : Tensor
            (1, H, 1, S) or (B * G, H, 1, S).

        Returns
        -------
        tuple[Tensor, Tensor]
            Features (B * G, C) and the new past.
        """
        batch, bands, _, heads, _, width = memory.shape
        half = self.bands
        parts = torch.mm(self._normalize(x), half.attention_in)
        parts = parts.view(batch, bands, 3, heads, width).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts.unbind(0))
        mixed = mixed.transpose(1, 2).reshape(x.shape)
        x = torch.addmm(x, mixed, half.out).add_(half.out_bias)
        gate, value = self._expand(half, x)
        edge = self.edge.expand(batch, -1, -1)
        window = torch.cat((edge, gate.view(batch, bands, -1), edge), dim=1)
        gate = (window.unfold(1, self.taps, 1) * half.filter).sum(-1).view(gate.shape)
        x = self._contract(half, x, gate, value)

        half = self.time
        parts = torch.mm(self._normalize(x), half.attention_in)
        query, new = parts.view(batch, bands, 3, heads, 1, width).split((1, 2), dim=2)
        # What scatters to the slots of several streams is twice as slow for one.
        if batch == 1:
            memory.index_copy_(4, slots[0], new)
        else:
            memory = write_slots(memory, slots, new)
        keys, values = memory.view(-1, *memory.shape[2:]).unbind(1)
        query = query.reshape(-1, heads, 1, width)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
        x = torch.addmm(x, mixed.view(x.shape), half.out).add_(half.out_bias)
        gate, value = self._expand(half, x)
        gate = gate.view(batch, bands, 1, -1)
        window = torch.cat((past, gate), dim=2)
        gate = (window * self.time_filter).sum(2).view(value.shape)
        return self._contract(half, x, gate, value), window[:, :, 1:]

    def _normalize(self, x):
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return x / torch.hypot(norm, self.least)

    def _expand(self, half, x):
        units = torch.addmm(half.expand_bias, self._normalize(x), half.expand)
        return units.chunk(2, dim=1)

    def _contract(self, half, x, gate, value):
        units = F.silu(gate).mul_(value)
        return torch.addmm(x, units, half.contract).add_(half.contract_bias)


class _Half:
    """Weights of an attention and a feed-forward, gains of their norms included."""

    def __init__(self, attention_norm, attention, feed_forward_norm, feed_forward):
        projections, expand = attention.in_projections, feed_forward.expand
        self.attention_in = _fold(projections.weight, attention_norm)
        self.out = attention.out_projection.weight.t().contiguous()
        self.out_bias = attention.out_projection.bias.detach().clone()
        self.expand = _fold(expand.weight, feed_forward_norm)
        self.expand_bias = expand.bias.detach().flatten().clone()
        self.filter = feed_forward.conv.weight.detach().clone()
        self.contract = feed_forward.contract.weight.t().contiguous()
        self.contract_bias = feed_forward.contract.bias.detach().clone()


def _fold(weight, norm):
    """(M, O, I) -> (I, M O), for inputs divided by their length."""
    gains = norm.weight * norm.channels**0.5
    return (weight * gains).flatten(0, 1).t().contiguous()
