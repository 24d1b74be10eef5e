"""Layers whose first channels are a smaller layer: one set of weights, any width."""

from .attention import FlexAttention, FlexContextAttention
from .block import FlexDualPathBlock
from .feed_forward import FlexConv, FlexFeedForward
from .hop import HopBlock
from .linear import FlexLinear, FlexLinearStack, FlexRMSNorm, prefix_state_dict

__all__ = [
    "FlexAttention",
    "FlexContextAttention",
    "FlexConv",
    "FlexDualPathBlock",
    "FlexFeedForward",
    "FlexLinear",
    "FlexLinearStack",
    "FlexRMSNorm",
    "HopBlock",
    "prefix_state_dict",
]
