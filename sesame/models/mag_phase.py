"""The frame shared by all networks that enhance a magnitude and a phase."""

from collections.abc import Iterable

import torch
from torch import nn

__all__ = ["MagPhaseEnhancer"]


class MagPhaseEnhancer(nn.Module):
    """Encoder, dual-path blocks, and one decoder each for magnitude mask and phase.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced.
    Magnitudes are compressed (see ``sesame.features``) on both sides.
    Source: arXiv:2305.13686 (MP-SENet), figure 1.

    Arguments
    ---------
    encoder : nn.Module
        Maps (B, 2, T, F), magnitude and phase as channels, to (B, C, T, F').
    blocks : Iterable[nn.Module]
        Each maps (B, C, T, F') and a context (B, T, D) or None to (B, C, T, F').
    mask_decoder : nn.Module
        Maps (B, C, T, F') to a mask (B, F, T) for the compressed magnitude.
    phase_decoder : nn.Module
        Maps (B, C, T, F') to a phase (B, F, T), in radians.
    noise_context : nn.Module | None
        Maps the magnitude (B, F, T) to the context (B, T, D) of the blocks.

    Example
    -------
    >>> from sesame.nnet import DenseEncoder, MagnitudeMaskDecoder, PhaseDecoder
    >>> network = MagPhaseEnhancer(
    ...     encoder=DenseEncoder(channels=4, depth=1),
    ...     blocks=[],
    ...     mask_decoder=MagnitudeMaskDecoder(channels=4, num_bins=9, depth=1),
    ...     phase_decoder=PhaseDecoder(channels=4, depth=1),
    ... )
    >>> magnitude, phase = network(torch.rand(2, 9, 6), torch.zeros(2, 9, 6))
    >>> magnitude.shape, phase.shape
    (torch.Size([2, 9, 6]), torch.Size([2, 9, 6]))
    """

    def __init__(
        self,
        encoder: nn.Module,
        blocks: Iterable[nn.Module],
        mask_decoder: nn.Module,
        phase_decoder: nn.Module,
        noise_context: nn.Module | None = None,
    ):
        super().__init__()
        self.noise_context = noise_context
        self.encoder = encoder
        self.blocks = nn.ModuleList(blocks)
        self.mask_decoder = mask_decoder
        self.phase_decoder = phase_decoder

    def forward(
        self, magnitude: torch.Tensor, phase: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Enhances a batch of spectra.

        Arguments
        ---------
        magnitude : torch.Tensor
            Noisy compressed magnitude (B, F, T).
        phase : torch.Tensor
            Noisy phase (B, F, T), in radians.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            Enhanced compressed magnitude and phase, both (B, F, T).

        Raises
        ------
        ValueError
            If the inputs are not two tensors of one shape (B, F, T).
        """
        if magnitude.dim() != 3 or magnitude.shape != phase.shape:
            raise ValueError(
                "expected magnitude and phase of one shape (B, F, T), got "
                f"{tuple(magnitude.shape)} and {tuple(phase.shape)}"
            )
        context = None
        if self.noise_context is not None:
            context = self.noise_context(magnitude)
        # (B, F, T) -> (B, 2, T, F)
        features = torch.stack((magnitude, phase), dim=1).transpose(2, 3)
        features = self.encoder(features)
        for block in self.blocks:
            features = block(features, context)
        # The blocks may leave channels innermost, where convolutions are slower.
        features = features.contiguous()
        return self.mask_decoder(features) * magnitude, self.phase_decoder(features)
