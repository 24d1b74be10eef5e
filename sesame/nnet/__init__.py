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
from sesame.nnet.flow_matching import FlowEncoder, TimeEmbedding, follow_flow
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
from sesame.nnet.rate_codec import RateBandDecoder, RateBandEncoder
from sesame.nnet.slimmable import (
    FlexAttention,
    FlexContextAttention,
    FlexConv,
    FlexDualPathBlock,
    FlexFeedForward,
    FlexLinear,
    FlexLinearStack,
    FlexRMSNorm,
    HopBlock,
    prefix_state_dict,
)
from sesame.nnet.streaming import (
    RingBiases,
    Stream,
    StreamState,
    ring_slots,
    write_slots,
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
    "FlexAttention",
    "FlexContextAttention",
    "FlexConv",
    "FlexDualPathBlock",
    "FlexFeedForward",
    "FlexLinear",
    "FlexLinearStack",
    "FlexRMSNorm",
    "FlowEncoder",
    "GRUFeedForward",
    "HopBlock",
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
    "RateBandDecoder",
    "RateBandEncoder",
    "RecurrentBackbone",
    "RingBiases",
    "Routing",
    "SelfAttention",
    "Stream",
    "StreamState",
    "SubPixelConv",
    "TimeEmbedding",
    "TopKRouter",
    "TransformerLayer",
    "follow_flow",
    "moe_layers",
    "prefix_state_dict",
    "ring_slots",
    "routing_summary",
    "update_expert_bias",
    "write_slots",
]
