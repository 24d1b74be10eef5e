"""Building blocks of the networks. Sequence layers take and return (N, S, C)."""

from sesame.nnet.activations import LearnableSigmoid
from sesame.nnet.attention import CrossAttention, PreNormAttention, SelfAttention
from sesame.nnet.bidirectional import Bidirectional, PreNormResidual
from sesame.nnet.branch_merge import CrossAttentionMerge
from sesame.nnet.conv import ConvUnit, DenseBlock, SubPixelConv
from sesame.nnet.decoders import (
    MagnitudeMaskDecoder,
    MagnitudeMaskDecoder2023,
    PhaseDecoder,
    PhaseDecoder2023,
)
from sesame.nnet.dual_path import (
    AttentiveDualPathBlock,
    DualPathBlock,
    ParallelDualPathBlock,
)
from sesame.nnet.encoder import DenseEncoder, DenseEncoder2023
from sesame.nnet.feed_forward import (
    GRUFeedForward,
    ProjectedBackbone,
    RecurrentBackbone,
)
from sesame.nnet.lstm import LSTMMixer
from sesame.nnet.mamba import Mamba, MambaState
from sesame.nnet.mlstm import MLSTM, MLSTMState
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
    "MLSTM",
    "AttentiveDualPathBlock",
    "Bidirectional",
    "ConvUnit",
    "CrossAttention",
    "CrossAttentionMerge",
    "DenseBlock",
    "DenseEncoder",
    "DenseEncoder2023",
    "DualPathBlock",
    "Experts",
    "GRUFeedForward",
    "LSTMMixer",
    "LearnableSigmoid",
    "MLSTMState",
    "MagnitudeMaskDecoder",
    "MagnitudeMaskDecoder2023",
    "Mamba",
    "MambaState",
    "MoEFeedForward",
    "NoiseContext",
    "ParallelDualPathBlock",
    "PhaseDecoder",
    "PhaseDecoder2023",
    "PreNormAttention",
    "PreNormResidual",
    "ProjectedBackbone",
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
