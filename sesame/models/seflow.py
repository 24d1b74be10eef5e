"""SEFlow: one causal network for any sampling rate, any size and six tasks."""

from collections.abc import Collection
from fractions import Fraction

import torch
from torch import Tensor, nn

from sesame.features.continuation import continue_spectrum
from sesame.features.front_end import FrontEnds
from sesame.models.seflow_enrollment import Enrollment
from sesame.models.seflow_macs import count_macs
from sesame.models.seflow_stream import SEFlowStreams
from sesame.nnet.flow_matching import FlowEncoder
from sesame.nnet.rate_codec import RateBandDecoder, RateBandEncoder
from sesame.nnet.slimmable import FlexDualPathBlock, FlexRMSNorm, prefix_state_dict

__all__ = ["SEFlow"]


class SEFlow(SEFlowStreams):
    """Causal enhancement at any sampling rate, slimmable in width and depth.

    One set of weights serves every width that is a whole number of heads, and every
    depth. It denoises, dereverberates, declips and conceals lost packets without being
    told which; it extracts a speaker given an enrollment, and cancels echo given the
    far-end signal. Outputs are one hop (10 ms) late, and the latency is one frame (20
    ms). Level is not normalised.

    The largest sub-network has 11 058 956 parameters, the smallest 56 881; the network
    itself has a norm for each exit, the sub-networks one.

    Shape: mixture (B, L) -> (B, L), for every L >= 1.
    Source: only the idea is published (``docs/deviations.md``).

    Arguments
    ---------
    width : int
        C, channels of the full network: a multiple of ``head_channels``.
    depth : int
        Blocks of the full network.
    head_channels : int
        D, width of an attention head at every size, even.
    context : int
        W, frames that a frame attends to, itself among them; 100 are one second.
    num_tokens : int
        P, tokens kept of an enrollment in each band and block.
    kernel_size : int
        Taps of the filters in the feed-forwards, odd and at least 3.
    exponent : float
        Power to which the magnitudes of the input are raised, in (0, 1].
    early_exits : bool
        Whether the network may be left after any block, and not after the last alone.
    flow_matching : bool
        Whether the network also hears how far an enhanced signal has come, so that it
        can enhance in several steps.
    num_steps : int
        Steps in which it does; see ``SEFlowSteps.num_steps``.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Example
    -------
    >>> network = SEFlow(width=16, depth=3, head_channels=4)
    >>> noisy = torch.randn(1, 1600)
    >>> network(noisy, sample_rate=16000).shape
    torch.Size([1, 1600])
    >>> small = network.subnet(width=0.25, depth=2)
    >>> torch.equal(small(noisy, 16000), network(noisy, 16000, width=0.25, depth=2))
    True
    """

    def __init__(
        self,
        width: int = 256,
        depth: int = 8,
        head_channels: int = 32,
        context: int = 100,
        num_tokens: int = 32,
        kernel_size: int = 3,
        exponent: float = 0.5,
        early_exits: bool = True,
        flow_matching: bool = False,
        num_steps: int = 1,
    ):
        super().__init__()
        sizes = {"depth": depth, "head_channels": head_channels}
        for name, size in (sizes | {"num_tokens": num_tokens}).items():
            if size < 1:
                raise ValueError(f"{name} ({size}) must be at least 1")
        if head_channels % 2:
            raise ValueError(f"head_channels ({head_channels}) must be even")
        if width < 1 or width % head_channels:
            raise ValueError(
                f"width ({width}) must be a multiple of head_channels ({head_channels})"
            )
        self.width = width
        self.depth = depth
        self.head_channels = head_channels
        self.context = context
        self.num_tokens = num_tokens
        self.kernel_size = kernel_size
        self.exponent = exponent
        self.early_exits = early_exits
        self.flow_matching = flow_matching
        self.num_steps = num_steps
        self.encoder = RateBandEncoder(width, exponent)
        self.role = nn.Parameter(torch.randn(width) * 0.5)
        heads = width // head_channels
        self.blocks = nn.ModuleList(
            FlexDualPathBlock(width, heads, head_channels, context, kernel_size)
            for _ in range(depth)
        )
        exits = range(1, depth + 1) if early_exits else [depth]
        self.exits = nn.ModuleDict({str(exit): FlexRMSNorm(width) for exit in exits})
        self.decoder = RateBandDecoder(width)
        self.flow = FlowEncoder(width) if flow_matching else None
        self.front_ends = FrontEnds()

    def forward(
        self,
        mixture: Tensor,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        far_end: Tensor | None = None,
        enrollment: Tensor | Enrollment | None = None,
        all_exits: bool | Collection[int] = False,
        point: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor | list[Tensor]:
        """Enhances whole signals.

        Arguments
        ---------
        mixture : Tensor
            Signals (B, L), L >= 1.
        sample_rate : int
            Sampling rate [Hz], a multiple of 100 from 8000 to 48000.
        width : float | None
            Fraction of the channels to use, a whole number of heads; ``None``: 1.
        depth : int | None
            Blocks to use; ``None``: all.
        far_end : Tensor | None
            What a loudspeaker plays, in step with the mixture, (B, L).
        enrollment : Tensor | Enrollment | None
            Voice of the speaker to extract at the same rate, (B, L') or (1, L'), or
            what ``enroll`` made of it.
        all_exits : bool | Collection[int]
            Whether to return the output after each block, or after which of them.
        point : tuple[Tensor, Tensor] | None
            For training with flow matching: signals (B, L) and times (B). The targets
            are predicted in one step, from places on the way to them, 0 at the mixture.

        Returns
        -------
        Tensor | list[Tensor]
            (B, L) in the dtype of the mixture, 10 ms late; with ``all_exits`` one for
            each of these blocks, from the first on.

        Raises
        ------
        ValueError
            If an argument is out of its range, or shapes do not fit.
        """
        channels, depth = self.size(width, depth)
        exits = self._chosen_exits(all_exits, depth)
        _check_signal("mixture", mixture)
        if far_end is not None:
            _check_signal("far_end", far_end)
            if far_end.shape != mixture.shape:
                raise ValueError(
                    f"far_end {tuple(far_end.shape)} must have the shape of the "
                    f"mixture {tuple(mixture.shape)}"
                )
        stft, bands = self.front_ends(sample_rate, mixture.device)
        samples = stft.pad(mixture)
        spectrum = stft.analyze(samples)
        continued = continue_spectrum(spectrum, stft.heard(samples))
        reference = None if far_end is None else stft(far_end)
        # Blocks beyond the last exit are left out, of the enrollment, too.
        voice = enrollment, len(mixture), sample_rate, channels, max(exits)
        tokens = self._tokens(*voice)

        def predict(exits, place=None, times=0.0):
            x = self._encode(spectrum, reference, bands, channels, place, times)
            for number, block in enumerate(self.blocks[: max(exits)], start=1):
                x = block(x, tokens[number - 1])
                if number in exits:
                    features = self.exits[str(number)](x)
                    yield self.decoder(features, spectrum, continued, bands)

        if point is not None:
            spectra = predict(exits, *self._place(point, mixture, spectrum, stft))
        elif self.num_steps == 1:
            spectra = predict(exits)
        else:
            # Each exit is a network of its own, which is led by its own predictions.
            spectra = (
                self._follow(
                    spectrum,
                    lambda x, time, _, e=e: next(predict({e}, x, time)),
                    self.num_steps,
                )
                for e in sorted(exits)
            )
        outputs = [stft.inverse(y, mixture.shape[1]).to(mixture.dtype) for y in spectra]
        return outputs if all_exits else outputs[-1]

    def _chosen_exits(self, all_exits, depth):
        if all_exits is False:
            return {depth}
        if not self.early_exits:
            raise ValueError(
                f"all_exits ({all_exits}) must be False without early_exits"
            )
        exits = set(range(1, depth + 1) if all_exits is True else all_exits)
        if not exits <= set(range(1, depth + 1)) or not exits:
            raise ValueError(f"all_exits ({sorted(exits)}) must be in [1, {depth}]")
        return exits

    def enroll(
        self,
        waveform: Tensor,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
    ) -> Enrollment:
        """Summarises voices once, for any number of signals and streams.

        Arguments
        ---------
        waveform : Tensor
            One voice for each signal, (B, L), or one for all, (1, L).
        sample_rate : int
            Sampling rate [Hz], that of the signals.
        width : float | None
            Fraction of the channels, as for the signals.
        depth : int | None
            Blocks, at least those used for the signals.

        Returns
        -------
        Enrollment
            The enrollment.

        Raises
        ------
        ValueError
            If an argument is out of its range.

        Example
        -------
        >>> network = SEFlow(width=16, depth=2, head_channels=4)
        >>> voice = network.enroll(torch.randn(1, 24000), 8000)
        >>> network(torch.randn(3, 800), 8000, enrollment=voice).shape
        torch.Size([3, 800])
        """
        channels, depth = self.size(width, depth)
        _check_signal("enrollment", waveform)
        stft, bands = self.front_ends(sample_rate, waveform.device)
        x = self._encode(stft(waveform), None, bands, channels)
        x = x + self.role[:channels]
        tokens = []
        for block in self.blocks[:depth]:
            kept, x = block.enroll(x, self.num_tokens)
            tokens.append(kept)
        return Enrollment(tokens, sample_rate, channels)

    def _tokens(self, enrollment, batch_size, sample_rate, channels, depth):
        if enrollment is None:
            return [None] * depth
        if isinstance(enrollment, Tensor):
            width = channels / self.width
            enrollment = self.enroll(enrollment, sample_rate, width, depth)
        return enrollment.tokens_for(batch_size, sample_rate, channels, depth)

    def size(
        self, width: float | None = None, depth: int | None = None
    ) -> tuple[int, int]:
        """Channels and blocks of a sub-network.

        Arguments
        ---------
        width : float | None
            Fraction of the channels; ``None``: 1.
        depth : int | None
            Blocks; ``None``: all.

        Returns
        -------
        tuple[int, int]
            Channels and blocks.

        Raises
        ------
        ValueError
            If the channels are no whole number of heads, or the network cannot be left
            at this depth.

        Example
        -------
        >>> SEFlow().size(width=0.25, depth=6)
        (64, 6)
        """
        width = 1 if width is None else width
        heads = width * self.width / self.head_channels
        if not 0 < width <= 1 or abs(heads - round(heads)) > 1e-6 or heads < 0.5:
            step = Fraction(self.head_channels, self.width)
            raise ValueError(f"width ({width}) must be a multiple of {step} in (0, 1]")
        depth = self.depth if depth is None else depth
        if str(depth) not in self.exits:
            least = 1 if self.early_exits else self.depth
            raise ValueError(f"depth ({depth}) must be in [{least}, {self.depth}]")
        return round(heads) * self.head_channels, depth

    def macs_per_second(
        self,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        num_tokens: int = 0,
    ) -> int:
        """Multiply-accumulate operations for one second of a signal.

        Arguments
        ---------
        sample_rate : int
            Sampling rate [Hz].
        width : float | None
            Fraction of the channels.
        depth : int | None
            Blocks.
        num_tokens : int
            Tokens of an enrollment.

        Returns
        -------
        int
            Operations per second, as ``count_macs`` counts them.

        Raises
        ------
        ValueError
            If there is no such sub-network or rate.
        """
        channels, depth = self.size(width, depth)
        steps = self.num_steps if self.flow_matching else 0
        sizes = (self.context, num_tokens, self.kernel_size)
        return count_macs(channels, depth, sample_rate, *sizes, steps)

    def subnet(self, width: float | None = None, depth: int | None = None) -> "SEFlow":
        """Cuts out a stand-alone network, which gives the same to the last bit.

        Arguments
        ---------
        width : float | None
            Fraction of the channels; ``None``: 1.
        depth : int | None
            Blocks; ``None``: all.

        Returns
        -------
        SEFlow
            A network without early exits, with copies of the weights.

        Raises
        ------
        ValueError
            If there is no such sub-network.
        """
        channels, depth = self.size(width, depth)
        with torch.random.fork_rng(devices=[]):
            network = SEFlow(
                channels,
                depth,
                self.head_channels,
                self.context,
                self.num_tokens,
                self.kernel_size,
                self.exponent,
                early_exits=False,
                flow_matching=self.flow_matching,
                num_steps=self.num_steps,
            )
        network.load_state_dict(prefix_state_dict(self, network))
        return network.to(self.role).train(self.training)


def _check_signal(name, waveform):
    if waveform.ndim != 2 or 0 in waveform.shape:
        raise ValueError(
            f"expected {name} (B, L) with B and L >= 1, got {tuple(waveform.shape)}"
        )
    if not waveform.is_floating_point():
        raise ValueError(f"expected a floating-point {name}, got {waveform.dtype}")
