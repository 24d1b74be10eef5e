"""SEFlow block by block: what a stream remembers, and a step."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from sesame.features.continuation import Continuation
from sesame.models.seflow_enrollment import Enrollment
from sesame.models.seflow_flow import SEFlowSteps
from sesame.nnet.slimmable import HopBlock
from sesame.nnet.streaming import RingBiases, Stream, StreamState

__all__ = ["SEFlowStreams", "Stream", "StreamState"]


class SEFlowStreams(SEFlowSteps):
    """The methods of ``SEFlow`` that take signals block by block.

    A state has the tensors "seen", frames so far, "mixture" and "far_end", the last
    samples, "last", "pair" and "gap", see ``Continuation``, "tail", what the next
    output overlaps with, "enrolled", tokens of the enrollment, and for each block
    "memory_0" ... and "past_0" ..., the inputs of its attention and its filter along
    time. With flow matching in several steps each step has such tensors of its own;
    those of step S are numbered from S * depth on.

    Example
    -------
    >>> from sesame.models.seflow import SEFlow
    >>> network = SEFlow(width=8, depth=1, head_channels=4, context=5)
    >>> state = network.initial_state(batch_size=2, sample_rate=8000)
    >>> {name: tuple(tensor.shape) for name, tensor in state.tensors.items()}
    {'seen': (2,), 'mixture': (2, 80), 'last': (2, 81, 2), 'pair': (2, 2, 81, 2),
    'gap': (2,), 'tail': (2, 80), 'enrolled': (2,), 'memory_0': (2, 20, 2, 2, 5, 4),
    'past_0': (2, 20, 2, 16)}
    """

    @torch.no_grad()
    def initial_state(
        self,
        batch_size: int,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        enrollment: Tensor | Enrollment | None = None,
        far_end: bool = False,
    ) -> StreamState:
        """State of streams before their first sample.

        Arguments
        ---------
        batch_size : int
            Number of streams.
        sample_rate : int
            Sampling rate [Hz].
        width : float | None
            Fraction of the channels.
        depth : int | None
            Blocks.
        enrollment : Tensor | Enrollment | None
            Voices of the speakers to extract; computed once.
        far_end : bool
            Whether blocks come with a far-end signal.

        Returns
        -------
        StreamState
            The state.

        Raises
        ------
        ValueError
            If an argument is out of its range.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size ({batch_size}) must be at least 1")
        channels, depth = self.size(width, depth)
        stft, bands = self.front_ends(sample_rate, self.role.device)
        tokens = self._tokens(enrollment, batch_size, sample_rate, channels, depth)
        num_slots = 0 if enrollment is None else self.num_tokens
        zeros = self.role.new_zeros
        counts = torch.zeros(batch_size, dtype=torch.int64, device=self.role.device)
        tensors = {"seen": counts, "mixture": zeros(batch_size, stft.delay)}
        if far_end:
            tensors["far_end"] = zeros(batch_size, stft.delay)
        silence = zeros(batch_size, stft.num_bins, 2)
        tensors |= Continuation.initial(silence)._asdict()
        tensors["tail"] = zeros(batch_size, stft.hop_length)
        filled = tokens[0].shape[-2] if num_slots else 0
        tensors["enrolled"] = torch.full_like(counts, filled)
        head = self.head_channels
        slots = num_slots + self.context
        for block in range(depth * self.num_steps):
            memory = zeros(
                batch_size, bands.num_bands, 2, channels // head, slots, head
            )
            if num_slots:
                memory[..., :filled, :] = tokens[block % depth]
            tensors[f"memory_{block}"] = memory
            shape = (self.kernel_size - 1, 2 * channels)
            tensors[f"past_{block}"] = zeros(batch_size, bands.num_bands, *shape)
        settings = {
            "sample_rate": sample_rate,
            "channels": channels,
            "depth": depth,
            "num_slots": num_slots,
            "far_end": far_end,
        }
        if self.num_steps > 1:
            settings["num_steps"] = self.num_steps
        constants = {n: num_slots for n in tensors if n.startswith("memory_")}
        return StreamState(tensors, settings, {"enrolled": None, **constants})

    def step(
        self, x: Tensor, state: StreamState, far_end: Tensor | None = None
    ) -> tuple[Tensor, StreamState]:
        """Takes the next block of each stream: together, what ``forward`` gives.

        Arguments
        ---------
        x : Tensor
            Samples (B, M * hop) for any M >= 1; the hop is 10 ms.
        state : StreamState
            What the step before returned, or ``initial_state``. It is written to:
            clone it to use it again.
        far_end : Tensor | None
            Samples of the same shape, if the streams were opened with a far end.

        Returns
        -------
        tuple[Tensor, StreamState]
            Samples (B, M * hop), 10 ms late, and the state to go on with; they are
            inference tensors, which no gradient passes.

        Raises
        ------
        ValueError
            If the block or the far end does not fit the state.

        Example
        -------
        >>> from sesame.models.seflow import SEFlow
        >>> network = SEFlow(width=16, depth=2, head_channels=4)
        >>> state = network.initial_state(1, sample_rate=16000, width=0.5)
        >>> enhanced, state = network.step(torch.zeros(1, 160), state)
        """
        return self._advance(x, state, far_end)

    @torch.no_grad()
    def _ring_biases(self, channels, depth):
        """Biases of blocks: per distance, that of tokens, and -inf."""
        blocks = self.blocks[:depth]
        tables = torch.stack([block.time_attention.biases for block in blocks])
        tables = tables[:, : channels // self.head_channels]
        return RingBiases(F.pad(tables, (0, 1), value=-torch.inf))

    @torch.inference_mode()
    def _advance(self, x, state, far_end, hop_blocks=None, ring_biases=None):
        settings, tensors = state.settings, dict(state.tensors)
        stft, bands = self.front_ends(settings["sample_rate"], x.device)
        _check_block(x, state, far_end, stft.hop_length)
        samples, tensors["mixture"] = _extend(tensors["mixture"], x)
        spectrum = stft.analyze(samples)
        continuation = Continuation(*(tensors[name] for name in Continuation._fields))
        continued, continuation = continuation.step(spectrum, stft.heard(samples))
        tensors |= continuation._asdict()
        reference = None
        if far_end is not None:
            samples, tensors["far_end"] = _extend(tensors["far_end"], far_end)
            reference = stft.analyze(samples)
        frames, depth = spectrum.shape[1], settings["depth"]
        if ring_biases is None:
            ring_biases = self._ring_biases(settings["channels"], depth)
        slots, biases = ring_biases(
            tensors["seen"], frames, tensors["enrolled"], settings["num_slots"]
        )
        # Prepared weights are not cast, and the memory would not take what is.
        hop = frames == 1 and hop_blocks is not None
        hop = hop and not torch.is_autocast_enabled(x.device.type)

        def predict(place, time, step):
            features = self._encode(
                spectrum, reference, bands, settings["channels"], place, time
            )
            shape = features.shape
            if hop:
                features = features.view(-1, shape[-1])
            for number in range(depth):
                own = step * depth + number
                memory, past = f"memory_{own}", f"past_{own}"
                bias = biases[number]
                if x.shape[0] > 1:
                    bias = bias.repeat_interleave(bands.num_bands, dim=0)
                if hop:
                    features, tensors[past] = hop_blocks[number](
                        features, tensors[memory], tensors[past], slots, bias
                    )
                else:
                    features, tensors[memory], tensors[past] = self.blocks[number].step(
                        features, tensors[memory], tensors[past], slots, bias
                    )
            features = self.exits[str(depth)](features.view(shape))
            return self.decoder(features, spectrum, continued, bands)

        enhanced = self._follow(spectrum, predict, settings.get("num_steps", 1))
        y, tensors["tail"] = stft.synthesize(enhanced, tensors["tail"])
        tensors["seen"] = tensors["seen"] + frames
        return y.to(x.dtype), StreamState(tensors, settings, state.constants)

    def open_stream(
        self,
        batch_size: int,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        enrollment: Tensor | Enrollment | None = None,
        far_end: bool = False,
    ) -> Stream:
        """Opens streams; the sub-network is cut out once, with the weights of now.

        Arguments
        ---------
        batch_size : int
            Number of streams.
        sample_rate : int
            Sampling rate [Hz].
        width : float | None
            Fraction of the channels.
        depth : int | None
            Blocks.
        enrollment : Tensor | Enrollment | None
            Voices of the speakers to extract.
        far_end : bool
            Whether blocks come with a far-end signal.

        Returns
        -------
        Stream
            Call it with blocks (B, M * hop), and blocks of the far end.

        Raises
        ------
        ValueError
            If an argument is out of its range.
        """
        network = self.subnet(width, depth)
        state = network.initial_state(
            batch_size, sample_rate, enrollment=enrollment, far_end=far_end
        )
        hop_blocks = [HopBlock(block) for block in network.blocks]
        ring_biases = network._ring_biases(network.width, network.depth)

        def step(x, state, far_end=None):
            return network._advance(x, state, far_end, hop_blocks, ring_biases)

        return Stream(step, state)

    @contextmanager
    def streaming(
        self,
        batch_size: int,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        enrollment: Tensor | Enrollment | None = None,
        far_end: bool = False,
    ) -> Iterator[Stream]:
        """Opens streams for the time of a block of code, as ``open_stream`` does.

        Arguments
        ---------
        batch_size : int
            Number of streams.
        sample_rate : int
            Sampling rate [Hz].
        width : float | None
            Fraction of the channels.
        depth : int | None
            Blocks.
        enrollment : Tensor | Enrollment | None
            Voices of the speakers to extract.
        far_end : bool
            Whether blocks come with a far-end signal.

        Yields
        ------
        Stream
            Call it with blocks (B, M * hop), and blocks of the far end.

        Raises
        ------
        ValueError
            If an argument is out of its range.

        Example
        -------
        >>> from sesame.models.seflow import SEFlow
        >>> network = SEFlow(width=16, depth=2, head_channels=4)
        >>> with network.streaming(1, sample_rate=16000, width=0.5) as stream:
        ...     enhanced = stream(torch.zeros(1, 320))
        """
        yield self.open_stream(
            batch_size, sample_rate, width, depth, enrollment, far_end
        )


def _extend(past, x):
    samples = torch.cat((past, x.to(past.dtype)), dim=1)
    return samples, samples[:, -past.shape[1] :]


def _check_block(x, state, far_end, hop_length):
    batch = state.batch_size
    if x.ndim != 2 or len(x) != batch or x.shape[1] % hop_length or not x.shape[1]:
        raise ValueError(
            f"block {tuple(x.shape)} must be (B, M * hop) with B = {batch}, "
            f"hop = {hop_length} and M >= 1"
        )
    for name, signal in (("block", x), ("far_end", far_end)):
        if signal is not None and not signal.is_floating_point():
            raise ValueError(f"expected a floating-point {name}, got {signal.dtype}")
    expected = state.settings["far_end"]
    if (far_end is not None) != expected:
        rule = "must be given" if expected else "must be None"
        raise ValueError(f"far_end {rule}: the streams were opened so")
    if far_end is not None and far_end.shape != x.shape:
        raise ValueError(
            f"far_end {tuple(far_end.shape)} must have the shape of the block "
            f"{tuple(x.shape)}"
        )
