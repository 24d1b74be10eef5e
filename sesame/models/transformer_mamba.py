"""Transformer-Mamba: both kinds of layer side by side, merged by cross-attention."""

from collections.abc import Sequence

from sesame.models.codec_2023 import Codec2023Enhancer
from sesame.models.directions import bidirectional_mamba
from sesame.models.sparse import noise_context, transformer_layer
from sesame.nnet import (
    CrossAttentionMerge,
    DualPathBlock,
    ParallelDualPathBlock,
    ProjectedBackbone,
    TransformerLayer,
)

__all__ = ["TransformerMamba"]


class TransformerMamba(Codec2023Enhancer):
    """Parallel transformer and Mamba branches, on the codec of MP-SENet 2023.

    Each block sends its input through a transformer branch and a bidirectional Mamba
    branch (time, then frequency); the output of each queries the other's within the
    frame, and what both have become is merged and added to the input. In the blocks
    listed in ``moe_blocks`` the feed-forward of the transformer branch is a mixture of
    experts, as in ``SESAME``.

    5 954 385 parameters with the defaults (published: 5.95 M, without the sizes).

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: the sizes and the wiring are of this project, see docs/deviations.md.

    Arguments
    ---------
    num_bins : int
        F, odd: n_fft // 2 + 1 with n_fft a multiple of 4.
    channels : int
        C, width of every layer.
    num_blocks : int
        Parallel blocks.
    num_heads : int
        Heads of every attention, a divisor of ``channels``.
    dense_depth : int
        Layers of each dense block.
    expand : int
        Inner channels of a Mamba mixer per channel.
    state_size : int
        P, states of each inner channel.
    conv_width : int
        Taps of the convolution of a Mamba mixer.
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
    >>> network = TransformerMamba(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape
    torch.Size([2, 9, 6])
    """

    def __init__(
        self,
        num_bins: int = 201,
        channels: int = 64,
        num_blocks: int = 8,
        num_heads: int = 4,
        dense_depth: int = 4,
        expand: int = 3,
        state_size: int = 8,
        conv_width: int = 4,
        moe_blocks: Sequence[int] = (),
        num_experts: int = 8,
        top_k: int = 2,
        expert_hidden_dim: int | None = None,
        noise_context_dim: int = 16,
    ):
        def layer(index: int) -> TransformerLayer:
            return transformer_layer(
                channels,
                num_heads,
                index in moe_blocks,
                num_experts,
                top_k,
                expert_hidden_dim,
                noise_context_dim,
            )

        def mamba_layer() -> ProjectedBackbone:
            backbone = bidirectional_mamba(channels, expand, state_size, conv_width)
            return ProjectedBackbone(backbone, channels)

        context = noise_context(moe_blocks, num_blocks, num_bins, noise_context_dim)
        super().__init__(
            num_bins,
            channels,
            dense_depth,
            blocks=[
                ParallelDualPathBlock(
                    DualPathBlock(layer(index), layer(index)),
                    DualPathBlock(mamba_layer(), mamba_layer()),
                    CrossAttentionMerge(channels, num_heads),
                )
                for index in range(num_blocks)
            ],
            noise_context=context,
        )
