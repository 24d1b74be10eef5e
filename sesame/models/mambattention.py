"""MambAttention: bidirectional Mamba with attention shared by time and frequency."""

from collections.abc import Callable, Sequence

from torch import nn

from sesame.models.attentive import attentive_block
from sesame.models.codec_2023 import Codec2023Enhancer
from sesame.models.directions import bidirectional_mamba
from sesame.models.sparse import noise_context
from sesame.nnet import MoEFeedForward, ProjectedBackbone

__all__ = ["MambAttention"]


class MambAttention(Codec2023Enhancer):
    """MambAttention, its ablations, and its sparse form, on the codec of 2023.

    2 325 841 parameters with the defaults. In the blocks listed in ``moe_blocks`` the
    linear map behind the two Mamba directions becomes a mixture of experts, as the one
    behind the recurrent backbone does in ``SESAME``.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2507.00966; NikolaiKyhne/MambAttention@7096765, models/generator.py.
    The sparse form is of this project.

    Arguments
    ---------
    num_bins : int
        F, odd: n_fft // 2 + 1 with n_fft a multiple of 4.
    channels : int
        C, width of every layer.
    num_blocks : int
        Dual-path blocks.
    num_heads : int
        Attention heads, a divisor of ``channels``.
    dense_depth : int
        Layers of each dense block.
    expand : int
        Inner channels of a Mamba mixer per channel.
    state_size : int
        P, states of each inner channel.
    conv_width : int
        Taps of the convolution of a Mamba mixer.
    attention_position : str | None
        Attention "before" or "after" Mamba in each half; ``None``: no attention, which
        is SEMamba.
    shared_attention : bool
        One attention layer per block for time and frequency, or one for each.
    axis_order : str
        Which half comes first: "time_frequency" or "frequency_time".
    moe_blocks : Sequence[int]
        Numbers of the sparse blocks, each in [0, num_blocks).
    num_experts : int
        E, experts of each sparse layer.
    top_k : int
        K, experts per token, 1 <= K <= E.
    expert_hidden_dim : int | None
        Width inside an expert; ``None`` makes each expert one linear map.
    noise_context_dim : int
        D, width of the noise context; 0 routes on the tokens alone.

    Example
    -------
    >>> import torch
    >>> network = MambAttention(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape
    torch.Size([2, 9, 6])
    """

    def __init__(
        self,
        num_bins: int = 201,
        channels: int = 64,
        num_blocks: int = 4,
        num_heads: int = 8,
        dense_depth: int = 4,
        expand: int = 4,
        state_size: int = 16,
        conv_width: int = 4,
        attention_position: str | None = "before",
        shared_attention: bool = True,
        axis_order: str = "time_frequency",
        moe_blocks: Sequence[int] = (),
        num_experts: int = 8,
        top_k: int = 2,
        expert_hidden_dim: int | None = None,
        noise_context_dim: int = 16,
    ):
        def layer_of_block(index: int) -> Callable[[], nn.Module]:
            def layer() -> nn.Module:
                backbone = bidirectional_mamba(channels, expand, state_size, conv_width)
                if index not in moe_blocks:
                    return ProjectedBackbone(backbone, channels)
                return MoEFeedForward(
                    channels,
                    num_experts,
                    top_k,
                    backbone,
                    expert_hidden_dim=expert_hidden_dim,
                    context_dim=noise_context_dim,
                )

            return layer

        context = noise_context(moe_blocks, num_blocks, num_bins, noise_context_dim)
        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[
                attentive_block(
                    layer_of_block(index),
                    channels,
                    num_heads,
                    attention_position,
                    shared_attention,
                    axis_order,
                )
                for index in range(num_blocks)
            ],
            noise_context=context,
        )
