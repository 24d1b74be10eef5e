"""BSRNN: the band-split recurrent separator, the baseline of TF-MoE."""

import math

from sesame.features import STFT
from sesame.models.separator import BandSplitSeparator
from sesame.nnet import DualPathBlock
from sesame.nnet.band_rnn import BandRNN

__all__ = ["BSRNN", "hertz_bands"]

# Widths of the lowest bands [Hz], and how many there are of each.
_WIDTHS = ((200, 20), (500, 6))


class BSRNN(BandSplitSeparator):
    """Band-split RNN: LSTMs along time and along the bands in turn.

    2 427 692 parameters with the defaults (published: 2.4 M, without the sizes).

    Shape: mixture (B, L) -> (B, J, L), for every L >= 1.
    Source: arXiv:2209.15174; sizes fitted to the baseline of the TF-MoE paper
    (arXiv:2606.29575).

    Arguments
    ---------
    num_sources : int
        J, sources to estimate.
    sample_rate : int
        Sampling rate [Hz].
    n_fft : int
        Length of the Fourier transform and of its window [samples].
    hop_length : int
        Distance between frames [samples].
    num_bands : int
        G, bands as ``hertz_bands`` makes them.
    channels : int
        C, width of the features of a band.
    num_blocks : int
        Dual-path blocks.
    hidden_channels : int | None
        Width of the state of each LSTM; ``None`` is ``2 * channels``.

    Example
    -------
    >>> import torch
    >>> network = BSRNN(channels=4, num_blocks=1)
    >>> network(torch.randn(1, 1000)).shape
    torch.Size([1, 2, 1000])
    """

    def __init__(
        self,
        num_sources: int = 2,
        sample_rate: int = 16000,
        n_fft: int = 512,
        hop_length: int = 128,
        num_bands: int = 28,
        channels: int = 44,
        num_blocks: int = 6,
        hidden_channels: int | None = None,
    ):
        def layer() -> BandRNN:
            return BandRNN(channels, hidden_channels)

        super().__init__(
            STFT(n_fft, hop_length, win_length=n_fft),
            sample_rate,
            hertz_bands(n_fft, sample_rate, num_bands),
            channels,
            [DualPathBlock(layer(), layer()) for _ in range(num_blocks)],
            num_sources,
        )


def hertz_bands(n_fft: int, sample_rate: int, num_bands: int) -> list[tuple[int, int]]:
    """Divides the bins of a one-sided spectrum: 20 x 200 Hz, 6 x 500 Hz, the rest.

    The bands above 7 kHz share the rest evenly, two of 500 Hz for 28 bands at 16 kHz.
    A lower sampling rate has the bands below half of it only: 20 at 8 kHz.

    Source: arXiv:2209.15174, section III; the rest as the size of the baseline of the
    TF-MoE paper suggests.

    Arguments
    ---------
    n_fft : int
        Length of the Fourier transform [samples], even.
    sample_rate : int
        Sampling rate [Hz].
    num_bands : int
        Number of bands G.

    Returns
    -------
    list[tuple[int, int]]
        First bin, and bin after the last, of each band; rising, without overlap.

    Raises
    ------
    ValueError
        If so many bands do not fit, or one would have no bin.

    Example
    -------
    >>> hertz_bands(n_fft=512, sample_rate=16000, num_bands=28)[-3:]
    [(208, 224), (224, 240), (240, 257)]
    >>> len(hertz_bands(n_fft=256, sample_rate=8000, num_bands=20))
    20
    """
    highest = sample_rate / 2
    edges = [0.0]
    for width, count in _WIDTHS:
        edges += [edges[-1] + width * (index + 1) for index in range(count)]
    edges = [edge for edge in edges if edge < highest]
    fewest = len(edges)
    if num_bands < fewest:
        raise ValueError(f"num_bands ({num_bands}) must be at least {fewest}")
    rest = num_bands - fewest + 1
    width = (highest - edges[-1]) / rest
    edges += [edges[-1] + width * (index + 1) for index in range(rest)]
    starts = [math.ceil(edge * n_fft / sample_rate) for edge in edges[:-1]]
    bands = list(zip(starts, [*starts[1:], n_fft // 2 + 1], strict=True))
    if any(start >= stop for start, stop in bands):
        raise ValueError(
            f"num_bands ({num_bands}) must leave each band one of the bins of n_fft "
            f"({n_fft})"
        )
    return bands
