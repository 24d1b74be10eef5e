"""Sparse mixture of experts: context, router, experts, layer, balance."""

from sesame.nnet.moe.balance import moe_layers, routing_summary, update_expert_bias
from sesame.nnet.moe.context import NoiseContext
from sesame.nnet.moe.experts import Experts
from sesame.nnet.moe.layer import MoEFeedForward, RoutedLayer
from sesame.nnet.moe.router import Routing, TopKRouter
from sesame.nnet.moe.swish import MoESwishFeedForward, SwishExperts

__all__ = [
    "Experts",
    "MoEFeedForward",
    "MoESwishFeedForward",
    "NoiseContext",
    "RoutedLayer",
    "Routing",
    "SwishExperts",
    "TopKRouter",
    "moe_layers",
    "routing_summary",
    "update_expert_bias",
]
