"""The evaluation protocol of published tables: pieces that do not overlap."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from sesame.features import CompressedSTFT

from .enhancer import Enhancer
from .long_audio import Blocks, enhance_blocks

__all__ = ["ChunkedEnhancer"]


class ChunkedEnhancer(Enhancer):
    """Enhances every 10 s of a signal as if they were a file, and joins the results.

    This is for comparison with published tables, not for listening: each piece has a
    level of its own, none hears its neighbours, and the joins are plain, so there are
    audible seams. For listening there is ``Enhancer``; of a signal of up to 12 s that
    fits into one piece, both make the same.

    The last piece is enhanced as long or short as it is. Whether the published
    evaluations padded it is not documented; that is an assumption.

    Arguments
    ---------
    network : nn.Module
        As for ``Enhancer``.
    transform : CompressedSTFT
        As for ``Enhancer``.
    sample_rate : int
        As for ``Enhancer``.
    device : str | torch.device
        As for ``Enhancer``.
    chunk_seconds : float
        Length of the pieces [s]; rounded to samples at the network's rate.

    Raises
    ------
    ValueError
        If ``chunk_seconds`` is not positive and finite, or as for ``Enhancer``.

    Example
    -------
    >>> from sesame.models import MPSENet
    >>> network = MPSENet(num_bins=9, channels=4, num_blocks=1, num_heads=2)
    >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    >>> noisy = np.random.default_rng(0).standard_normal(250)
    >>> whole = Enhancer(network, transform, 16000, device="cpu")
    >>> pieces = ChunkedEnhancer(network, transform, 16000, "cpu", 100 / 16000)
    >>> alone = [whole(noisy[start : start + 100], 16000) for start in (0, 100, 200)]
    >>> np.array_equal(pieces(noisy, 16000), np.concatenate(alone))
    True
    """

    def __init__(
        self,
        network: nn.Module,
        transform: CompressedSTFT,
        sample_rate: int,
        device: str | torch.device = "auto",
        chunk_seconds: float = 10.0,
    ):
        if not 0 < chunk_seconds < math.inf:
            raise ValueError(
                f"chunk_seconds ({chunk_seconds}) must be positive and finite"
            )
        super().__init__(network, transform, sample_rate, device)
        self.chunk_seconds = chunk_seconds

    def enhance_blocks(
        self,
        signal: Blocks,
        sample_rate: int,
        dry: float = 0.0,
        keep_highband: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """Enhances a signal that does not fit into memory.

        Arguments
        ---------
        signal : Blocks
            As for ``Enhancer``.
        sample_rate : int
            Its rate, Hz.
        dry : float
            Share of the noisy signal in the result, 0 to 1.
        keep_highband : bool
            As for ``Enhancer``.
        progress : Callable[[float], None] | None
            Is told the fraction that is done, 0 to 1.

        Returns
        -------
        Iterator[np.ndarray]
            Enhanced blocks (channels, n) of float64, together as long as the signal.
        """
        return enhance_blocks(
            self.network,
            self.transform,
            self.sample_rate,
            self.device,
            signal,
            sample_rate,
            dry,
            keep_highband,
            progress,
            self.chunk_seconds,
        )
