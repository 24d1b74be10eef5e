"""MP-SENet: the dense baseline."""

from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.nnet import (
    DenseEncoder,
    DualPathBlock,
    GRUFeedForward,
    MagnitudeMaskDecoder,
    PhaseDecoder,
    SelfAttention,
    TransformerLayer,
)

__all__ = ["MPSENet"]


class MPSENet(MagPhaseEnhancer):
    """MP-SENet with transformer blocks, its time and frequency axes put right.

    2 263 372 parameters with the defaults.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced;
    magnitudes compressed.
    Source: arXiv:2308.08926 and yxlu-0102/MP-SENet@89932cf, which runs attention and
    GRU along the folded batch instead of the sequence.

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
    axis_order : str
        "time_frequency", or "frequency_time" for the authors' weights (see
        ``sesame.compat.mp_senet``).

    Raises
    ------
    ValueError
        If ``num_bins`` is not an odd number of at least 3.

    Example
    -------
    >>> import torch
    >>> network = MPSENet(num_bins=9, channels=4, num_blocks=1, num_heads=2)
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
        axis_order: str = "time_frequency",
    ):
        if num_bins < 3 or num_bins % 2 == 0:
            raise ValueError(f"num_bins ({num_bins}) must be odd and at least 3")

        def sequence_layer() -> TransformerLayer:
            return TransformerLayer(
                channels,
                attention=SelfAttention(channels, num_heads),
                feed_forward=GRUFeedForward(channels),
            )

        super().__init__(
            encoder=DenseEncoder(channels, dense_depth),
            blocks=[
                DualPathBlock(sequence_layer(), sequence_layer(), axis_order)
                for _ in range(num_blocks)
            ],
            mask_decoder=MagnitudeMaskDecoder(channels, num_bins, dense_depth),
            phase_decoder=PhaseDecoder(channels, dense_depth),
        )
