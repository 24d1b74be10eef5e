"""The frame shared by the networks that separate the sources of a mixture."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from sesame.features import STFT, normalize, rms
from sesame.nnet.band_split import BandMaskDecoder, BandSplit

__all__ = ["BandSplitSeparator"]


class BandSplitSeparator(nn.Module):
    """Band features of a spectrum, dual-path blocks, a mask and a residual per source.

    The level of each mixture is taken off before and put back after the network, so a
    gain on the mixture is the same gain on its sources, and silence gives zeros.

    Shape: mixture (B, L) -> (B, J, L), for every L >= 1.
    Source: arXiv:2209.15174 (band-split RNN).

    Arguments
    ---------
    stft : STFT
        Transform of the mixture.
    sample_rate : int
        Sampling rate the bands were made for [Hz].
    bands : Sequence[tuple[int, int]]
        First bin, and bin after the last, of each of G bands; together all bins.
    channels : int
        C, width of the features of a band.
    blocks : Iterable[nn.Module]
        Each maps (B, C, T, G), a context (None), and which frames are real, (B, 1),
        to (B, C, T, G).
    num_sources : int
        J, sources to estimate.

    Example
    -------
    >>> stft = STFT(n_fft=16, hop_length=4, win_length=16)
    >>> network = BandSplitSeparator(
    ...     stft, 16000, [(0, 4), (3, 9)], channels=4, blocks=[], num_sources=2
    ... )
    >>> network(torch.randn(3, 101)).shape
    torch.Size([3, 2, 101])
    """

    def __init__(
        self,
        stft: STFT,
        sample_rate: int,
        bands: Sequence[tuple[int, int]],
        channels: int,
        blocks: Iterable[nn.Module],
        num_sources: int,
    ):
        super().__init__()
        self.sample_rate = sample_rate
        self.num_sources = num_sources
        self.bands = tuple(bands)
        self.stft = stft
        self.band_split = BandSplit(bands, channels)
        self.blocks = nn.ModuleList(blocks)
        self.decoder = BandMaskDecoder(bands, channels, num_sources)

    def forward(
        self, mixture: Tensor, lengths: Sequence[int] | Tensor | None = None
    ) -> Tensor:
        """Separates mixtures.

        Normalisation, attention and routing span an utterance, and its end is mirrored
        by the transform. Mixtures of one length are separated together, those of
        another length after them: each gives what it gives alone.

        Arguments
        ---------
        mixture : Tensor
            Mixtures (B, L), padded at the right where they are shorter.
        lengths : Sequence[int] | Tensor | None
            Length of each [samples], 1 to L; ``None``: all are L. Training needs one
            length: losses read the routing of the last mixtures only.

        Returns
        -------
        Tensor
            Sources (B, J, L) in the dtype of the mixture, zero beyond the length.

        Raises
        ------
        ValueError
            If the mixture is not a floating-point (B, L) with L >= 1, or the lengths
            do not fit it.
        """
        if mixture.ndim != 2 or mixture.shape[1] == 0:
            raise ValueError(
                f"expected mixture (B, L) with L >= 1, got {tuple(mixture.shape)}"
            )
        if not mixture.is_floating_point():
            raise ValueError(f"expected a floating-point mixture, got {mixture.dtype}")
        if lengths is None:
            return self._separate(mixture)
        lengths = [int(length) for length in lengths]
        _check_lengths(lengths, mixture, self.training)
        sources = mixture.new_zeros(len(mixture), self.num_sources, mixture.shape[1])
        for length in sorted(set(lengths)):
            items = [index for index, own in enumerate(lengths) if own == length]
            sources[items, :, :length] = self._separate(mixture[items, :length])
        return sources

    def _separate(self, mixture):
        level = rms(mixture)
        spectrum = self.stft(normalize(mixture, level))
        mask, residual = self.estimate(spectrum)
        estimates = mask * spectrum.unsqueeze(1) + residual
        length = mixture.shape[1]
        sources = self.stft.inverse(estimates.flatten(0, 1), length)
        sources = sources.unflatten(0, (-1, self.num_sources))
        level = level.unsqueeze(1)
        # A mask and not only a product: 0 times what a network makes of silence may
        # be NaN.
        return (sources * level).masked_fill(level == 0, 0).to(mixture.dtype)

    def estimate(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates a mask and a residual for each source.

        Arguments
        ---------
        spectrum : Tensor
            Complex spectra (B, F, T) of mixtures of level 1.

        Returns
        -------
        tuple[Tensor, Tensor]
            Mask and residual, both complex (B, J, F, T).

        Example
        -------
        >>> stft = STFT(n_fft=16, hop_length=4, win_length=16)
        >>> network = BandSplitSeparator(stft, 16000, [(0, 9)], 4, [], num_sources=3)
        >>> mask, _ = network.estimate(torch.randn(2, 9, 5, dtype=torch.complex64))
        >>> mask.shape
        torch.Size([2, 3, 9, 5])
        """
        features = self.band_split(spectrum)
        real = torch.ones(len(features), 1, dtype=torch.bool, device=features.device)
        for block in self.blocks:
            features = block(features, None, real)
        return self.decoder(features)


def _check_lengths(lengths, mixture, training):
    if len(lengths) != len(mixture):
        raise ValueError(
            f"lengths ({len(lengths)}) must be as many as mixtures ({len(mixture)})"
        )
    if min(lengths) < 1 or max(lengths) > mixture.shape[1]:
        raise ValueError(f"lengths ({lengths}) must be in [1, L ({mixture.shape[1]})]")
    if training and len(set(lengths)) > 1:
        raise ValueError(f"lengths ({lengths}) must all be the same in training")
