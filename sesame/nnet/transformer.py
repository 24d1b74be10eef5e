"""Pre-norm transformer layer of MP-SENet."""

import torch
from torch import nn

from sesame.nnet.feed_forward import GRUFeedForward

__all__ = ["TransformerLayer"]


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each normalised before and added after; then a norm.

    Shape: x (N, S, C) -> (N, S, C).
    Source: yxlu-0102/MP-SENet@89932cf, models/transformer.py, with the sequence on
    dimension 1.

    Arguments
    ---------
    channels : int
        Width C.
    attention : nn.Module
        Maps (N, S, C) to (N, S, C), each sequence on its own.
    feed_forward : nn.Module
        Maps (N, S, C) and a context (or None) to (N, S, C).

    Example
    -------
    >>> from sesame.nnet import GRUFeedForward, SelfAttention
    >>> layer = TransformerLayer(8, SelfAttention(8, num_heads=2), GRUFeedForward(8))
    >>> layer(torch.randn(3, 5, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, channels: int, attention: nn.Module, feed_forward: nn.Module):
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = attention
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.feed_forward = feed_forward
        self.output_norm = nn.LayerNorm(channels)

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Transforms each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        context : torch.Tensor | None
            Handed to the feed-forward: (M, S or 1, D), M a divisor of N; runs of
            N / M consecutive sequences share one.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        if not isinstance(self.feed_forward, GRUFeedForward):
            return self._transform(x, context)
        # A dense layer keeps sequences apart: each run of them can go all the way
        # while it is in the cache. The routing of a sparse layer spans the batch.
        runs = self.feed_forward.backbone.split(x)
        transformed = [self._transform(run) for run in runs]
        return transformed[0] if len(runs) == 1 else torch.cat(transformed)

    def _transform(self, x, context=None):
        x = x + self.attention(self.attention_norm(x))
        x = x + self.feed_forward(self.feed_forward_norm(x), context)
        return self.output_norm(x)
