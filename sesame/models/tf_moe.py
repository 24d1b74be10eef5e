"""TF-MoE and TF-Conformer: conformers over mel bands and time, sparse and dense."""

from torch import nn

from sesame.features import STFT
from sesame.features.mel_bands import mel_bands
from sesame.models.separator import BandSplitSeparator
from sesame.nnet import DualPathBlock
from sesame.nnet.band_rnn import BandRNN
from sesame.nnet.conformer import ConformerModule, SwishFeedForward
from sesame.nnet.moe import MoESwishFeedForward

__all__ = ["TFConformer", "TFMoE"]

LAYERS = ("moe", "conformer", "rnn")
# Bands first, then time.
_AXIS_ORDER = "frequency_time"


class TFMoE(BandSplitSeparator):
    """Conformers over mel bands and over time whose feed-forwards are sparse experts.

    4 563 148 parameters with the defaults; 2 752 204, 3 355 852 and 6 977 740 with 3, 6
    and 24 experts, at the cost of the dense ``TFConformer``. Each axis may have another
    kind of layer, as in the ablations of the paper (table 2): the network without
    "moe" is ``TFConformer``.

    Shape: mixture (B, L) -> (B, J, L), for every L >= 1.
    Source: arXiv:2606.29575 (TF-MoE); sizes that the paper leaves out are fitted to the
    counts it prints.

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
        G, mel bands.
    channels : int
        C, width of the features of a band.
    num_blocks : int
        Blocks of one layer along the bands and one along time.
    num_heads : int
        Attention heads.
    head_channels : int
        Width of an attention head, even.
    kernel_size : int
        Taps of the convolutions, odd.
    conv_expansion : int
        Filters of a convolution per channel.
    feed_forward_expansion : int
        Hidden units of a feed-forward, or of an expert, per channel.
    num_experts : int
        E, experts of each feed-forward.
    top_k : int
        K, experts that a choice takes, 1 <= K <= E.
    route : str
        What shares a choice of experts: "seq" a sequence (a band along time, a frame
        along the bands), "batch" a step of all sequences, "token" nothing.
    time_layer : str
        Layers along time: "moe", "conformer" (dense) or "rnn" (bidirectional LSTM).
    frequency_layer : str
        The same along the bands.

    Raises
    ------
    ValueError
        If a layer is none of the three.

    Example
    -------
    >>> import torch
    >>> network = TFMoE(channels=4, num_blocks=1, num_bands=8, num_experts=3)
    >>> network(torch.randn(1, 1000)).shape
    torch.Size([1, 2, 1000])
    """

    def __init__(
        self,
        num_sources: int = 2,
        sample_rate: int = 16000,
        n_fft: int = 512,
        hop_length: int = 128,
        num_bands: int = 80,
        channels: int = 32,
        num_blocks: int = 6,
        num_heads: int = 4,
        head_channels: int = 16,
        kernel_size: int = 31,
        conv_expansion: int = 2,
        feed_forward_expansion: int = 4,
        num_experts: int = 12,
        top_k: int = 1,
        route: str = "seq",
        time_layer: str = "moe",
        frequency_layer: str = "moe",
    ):
        def feed_forward(kind: str) -> nn.Module:
            if kind == "conformer":
                return SwishFeedForward(channels, feed_forward_expansion)
            return MoESwishFeedForward(
                channels, num_experts, top_k, feed_forward_expansion, route
            )

        def layer(kind: str) -> nn.Module:
            if kind == "rnn":
                return BandRNN(channels)
            return ConformerModule(
                channels,
                [feed_forward(kind) for _ in range(2)],
                num_heads,
                head_channels,
                kernel_size,
                conv_expansion,
            )

        _check_layer("time_layer", time_layer)
        _check_layer("frequency_layer", frequency_layer)
        super().__init__(
            STFT(n_fft, hop_length, win_length=n_fft),
            sample_rate,
            mel_bands(n_fft, sample_rate, num_bands),
            channels,
            [
                DualPathBlock(layer(time_layer), layer(frequency_layer), _AXIS_ORDER)
                for _ in range(num_blocks)
            ],
            num_sources,
        )


class TFConformer(TFMoE):
    """Conformers over mel bands and over time: the dense form of ``TFMoE``.

    2 349 004 parameters with the defaults.

    Shape: mixture (B, L) -> (B, J, L), for every L >= 1.
    Source: arXiv:2606.29575 (TF-Conformer).

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
        G, mel bands.
    channels : int
        C, width of the features of a band.
    num_blocks : int
        Blocks of one layer along the bands and one along time.
    num_heads : int
        Attention heads.
    head_channels : int
        Width of an attention head, even.
    kernel_size : int
        Taps of the convolutions, odd.
    conv_expansion : int
        Filters of a convolution per channel.
    feed_forward_expansion : int
        Hidden units of a feed-forward per channel.

    Example
    -------
    >>> import torch
    >>> network = TFConformer(channels=4, num_blocks=1, num_bands=8)
    >>> network(torch.randn(1, 1000)).shape
    torch.Size([1, 2, 1000])
    """

    def __init__(
        self,
        num_sources: int = 2,
        sample_rate: int = 16000,
        n_fft: int = 512,
        hop_length: int = 128,
        num_bands: int = 80,
        channels: int = 32,
        num_blocks: int = 6,
        num_heads: int = 4,
        head_channels: int = 16,
        kernel_size: int = 31,
        conv_expansion: int = 2,
        feed_forward_expansion: int = 4,
    ):
        super().__init__(
            num_sources,
            sample_rate,
            n_fft,
            hop_length,
            num_bands,
            channels,
            num_blocks,
            num_heads,
            head_channels,
            kernel_size,
            conv_expansion,
            feed_forward_expansion,
            time_layer="conformer",
            frequency_layer="conformer",
        )


def _check_layer(name: str, kind: str) -> None:
    if kind not in LAYERS:
        raise ValueError(f"{name} ({kind!r}) must be in {LAYERS}")
