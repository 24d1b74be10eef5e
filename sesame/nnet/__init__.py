"""Building blocks of the networks. Sequence layers take and return (N, S, C)."""

from sesame.nnet.activations import LearnableSigmoid
from sesame.nnet.attention import SelfAttention
from sesame.nnet.conv import ConvUnit, DenseBlock, SubPixelConv
from sesame.nnet.decoders import (
    MagnitudeMaskDecoder,
    MagnitudeMaskDecoder2023,
    PhaseDecoder,
    PhaseDecoder2023,
)
from sesame.nnet.dual_path import DualPathBlock
from sesame.nnet.encoder import DenseEncoder, DenseEncoder2023
from sesame.nnet.feed_forward import GRUFeedForward, RecurrentBackbone
from sesame.nnet.moe import (
    Experts,
    MoEFeedForward,
    NoiseContext,
    Routing,
    TopKRouter,
    moe_layers,
    routing_summary,
    update_expert_bias,
)
from sesame.nnet.transformer import TransformerLayer

__all__ = [
    "ConvUnit",
    "DenseBlock",
    "DenseEncoder",
    "DenseEncoder2023",
    "DualPathBlock",
    "Experts",
    "GRUFeedForward",
    "LearnableSigmoid",
    "MagnitudeMaskDecoder",
    "MagnitudeMaskDecoder2023",
    "MoEFeedForward",
    "NoiseContext",
    "PhaseDecoder",
    "PhaseDecoder2023",
    "RecurrentBackbone",
    "Routing",
    "SelfAttention",
    "SubPixelConv",
    "TopKRouter",
    "TransformerLayer",
    "moe_layers",
    "routing_summary",
    "update_expert_bias",
]
