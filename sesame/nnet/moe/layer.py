"""Layers with routed experts: what all share, and the feed-forward of SESAME."""

import torch
from einops import rearrange
from torch import nn

from sesame.nnet.feed_forward import RecurrentBackbone
from sesame.nnet.moe.experts import Experts
from sesame.nnet.moe.router import Routing, TopKRouter

__all__ = ["MoEFeedForward", "RoutedLayer"]


class RoutedLayer(nn.Module):
    """What every layer with a ``router`` and ``experts`` has in common.

    The attribute ``routing`` keeps the ``Routing`` of the last forward for losses and
    statistics; it is neither saved nor copied.

    Example
    -------
    >>> RoutedLayer().routing is None
    True
    """

    router: TopKRouter
    experts: Experts

    def __init__(self):
        super().__init__()
        self.routing: Routing | None = None

    def __getstate__(self) -> dict:
        # Tensors inside an autograd graph can be neither copied nor pickled.
        return {**super().__getstate__(), "routing": None}


class MoEFeedForward(RoutedLayer):
    """Feed-forward whose output projection is a mixture of experts.

    One backbone along the sequence serves all experts; each token's state then passes
    through the ``top_k`` experts its router chose. With one linear expert this is
    ``ProjectedBackbone``. The router reads the token itself, not the state.

    Shape: x (N, S, C), context (M, S', D) -> (N, S, C).

    Arguments
    ---------
    channels : int
        Width C of a token.
    num_experts : int
        Number of experts E, at least 1.
    top_k : int
        Number K of experts per token, in [1, num_experts].
    backbone : nn.Module | None
        Maps (N, S, C) to (N, S, ``out_channels``), an attribute of it; ``None`` is the
        bidirectional GRU of ``GRUFeedForward``.
    expert_hidden_dim : int | None
        Hidden units of each expert; ``None`` makes the experts linear.
    context_dim : int
        Width D of the noise context; 0 routes by the token alone.

    Example
    -------
    >>> layer = MoEFeedForward(channels=8, num_experts=4, top_k=2)
    >>> layer(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    >>> layer.routing.load.sum()
    tensor(20.)
    """

    def __init__(
        self,
        channels: int,
        num_experts: int,
        top_k: int,
        backbone: nn.Module | None = None,
        expert_hidden_dim: int | None = None,
        context_dim: int = 0,
    ):
        super().__init__()
        if backbone is None:
            backbone = RecurrentBackbone(channels)
        self.backbone = backbone
        self.router = TopKRouter(channels, num_experts, top_k, context_dim)
        self.experts = Experts(
            num_experts, self.backbone.out_channels, channels, expert_hidden_dim
        )

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Transforms each sequence and remembers the routing.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).
        context : torch.Tensor | None
            Noise context (M, S', D): each run of N / M consecutive sequences shares
            one; S' is S or 1. Required if ``context_dim`` is positive.

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        self.routing = self.router(x, context)
        states = rearrange(self.backbone(x), "n s c -> (n s) c")
        mixed = self.experts(states, self.routing.expert_ids, self.routing.weights)
        return rearrange(mixed, "(n s) c -> n s c", n=x.shape[0])
