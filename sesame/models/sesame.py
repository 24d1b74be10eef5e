"""SESAME: MP-SENet with a sparse, noise-conditioned mixture of experts."""

from collections.abc import Sequence

from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.models.sparse import noise_context, transformer_layer
from sesame.nnet import (
    DenseEncoder,
    DualPathBlock,
    MagnitudeMaskDecoder,
    PhaseDecoder,
    TransformerLayer,
)

__all__ = ["SESAME"]


class SESAME(MagPhaseEnhancer):
    """MP-SENet whose feed-forward is, in some blocks, a mixture of experts.

    In the blocks listed in ``moe_blocks``, both the time and the frequency layer route
    each token to ``top_k`` of ``num_experts`` projection heads behind one recurrent
    backbone. The router also sees the noisy magnitude of the token's frame. Without
    such blocks the network is ``MPSENet``, parameter by parameter.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: this project; dense parts as in ``MPSENet``.

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

    Raises
    ------
    ValueError
        If ``num_bins`` is not an odd number of at least 3, or if ``moe_blocks`` names
        a block twice or one that does not exist.

    Example
    -------
    >>> import torch
    >>> network = SESAME(
    ...     num_bins=9, channels=4, num_blocks=2, num_heads=2, moe_blocks=[1]
    ... )
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape
    torch.Size([2, 9, 6])
    """

    def __init__(
        self,
        num_bins: int = 201,
        channels: int = 64,
        num_blocks: int = 4,
        num_heads: int = 4,
        dense_depth: int = 4,
        moe_blocks: Sequence[int] = (1, 3),
        num_experts: int = 8,
        top_k: int = 2,
        expert_hidden_dim: int | None = None,
        noise_context_dim: int = 16,
    ):
        if num_bins < 3 or num_bins % 2 == 0:
            raise ValueError(f"num_bins ({num_bins}) must be odd and at least 3")

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

        context = noise_context(moe_blocks, num_blocks, num_bins, noise_context_dim)
        super().__init__(
            encoder=DenseEncoder(channels, dense_depth),
            blocks=[
                DualPathBlock(layer(index), layer(index)) for index in range(num_blocks)
            ],
            mask_decoder=MagnitudeMaskDecoder(channels, num_bins, dense_depth),
            phase_decoder=PhaseDecoder(channels, dense_depth),
            noise_context=context,
        )
