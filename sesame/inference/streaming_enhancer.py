"""Enhancement of signals that are still being recorded, block by block."""

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sesame.models.seflow_enrollment import Enrollment
from sesame.models.seflow_stream import Stream

from .flow_sizes import native_rate
from .resampling import (
    StreamResampler,
    resample,
    resampled_length,
    resampling_lag,
)
from .waveforms import check_rate

__all__ = ["StreamingEnhancer", "StreamingNetwork"]

HOPS_PER_SECOND = 100
# Of a long block, so many are taken at once: more would cost memory, not save time.
MOST_HOPS = 50


class StreamingNetwork(Protocol):
    """What a network must have to be streamed: ``SEFlow`` and ``OnnxStream`` do."""

    def open_stream(
        self,
        batch_size: int,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        enrollment: Tensor | Enrollment | None = None,
        far_end: bool = False,
    ) -> Stream:
        """Opens streams that are called with blocks of whole hops of 10 ms."""


class StreamingEnhancer:
    """Takes blocks of any size at any sampling rate, and gives what is ready.

    All outputs together are what the network makes of the whole signal, 10 ms late, or
    with ``aligned`` at their places; there are as many samples as came in. Rates at
    which the network does not work are resampled on the way in and out, which takes
    time: ``latency`` says how much.

    Arguments
    ---------
    network : StreamingNetwork
        ``SEFlow`` or ``OnnxStream``.
    sample_rate : int
        Sampling rate of the blocks [Hz].
    width : float | None
        Fraction of the network's channels.
    depth : int | None
        Blocks of the network.
    enrollment : np.ndarray | Enrollment | None
        Voice of the speaker to extract, (L,), at ``sample_rate``, or what the network
        has made of it.
    far_end : bool
        Whether each block comes with what a loudspeaker plays meanwhile.
    channels : int | None
        With a number, blocks are (channels, n), each channel by itself; ``None``: (n,).
    aligned : bool
        Whether output samples are at the places of those of the input, not 10 ms later.
        They are not given sooner.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Example
    -------
    >>> from sesame.models.seflow import SEFlow
    >>> network = SEFlow(width=16, depth=2, head_channels=4)
    >>> enhancer = StreamingEnhancer(network, sample_rate=16000)
    >>> enhancer.latency
    0.02
    >>> blocks = np.zeros(100), np.zeros(100), np.zeros(1)
    >>> [len(enhancer.push(block)) for block in blocks], len(enhancer.flush())
    ([0, 160, 0], 41)
    """

    def __init__(
        self,
        network: StreamingNetwork,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        enrollment: np.ndarray | Enrollment | None = None,
        far_end: bool = False,
        channels: int | None = None,
        aligned: bool = False,
    ):
        if channels is not None and channels < 1:
            raise ValueError(f"channels ({channels}) must be at least 1")
        self.network_rate = native_rate(check_rate(sample_rate))
        self.sample_rate = int(sample_rate)
        self.channels = channels
        self.far_end = far_end
        self.aligned = aligned
        self._hop = self.network_rate // HOPS_PER_SECOND
        streams = channels or 1
        self._device = _device_of(network)
        if enrollment is not None and not isinstance(enrollment, Enrollment):
            voice = _check_samples("enrollment", enrollment, None)[None]
            if voice.size == 0:
                raise ValueError("enrollment (0 samples) must have at least 1")
            voice = resample(voice, self.sample_rate, self.network_rate)
            enrollment = torch.from_numpy(voice).to(self._device)
        self._stream = network.open_stream(
            streams, self.network_rate, width, depth, enrollment, far_end
        )
        rates = self.sample_rate, self.network_rate
        self._inputs = [StreamResampler(streams, *rates) for _ in range(1 + far_end)]
        self._output = StreamResampler(streams, *rates[::-1])
        self.latency_samples = self._find_latency()
        self._start()

    @property
    def delay(self) -> float:
        """By how much the output is later than the input, place by place [s]."""
        return 0.0 if self.aligned else 1 / HOPS_PER_SECOND

    @property
    def latency(self) -> float:
        """How long a sample is on its way at most [s]: 20 ms, more with resampling.

        Of ``latency_samples`` samples from one on, itself included, the last makes
        ``push`` return what belongs to it, if not one before. The time that the network
        needs, and that a block takes to be filled, come on top.
        """
        return self.latency_samples / self.sample_rate

    def push(self, block: np.ndarray, far_end: np.ndarray | None = None) -> np.ndarray:
        """Takes the next samples.

        Shape: block (n,) or (channels, n), n >= 0 -> (m,) or (channels, m).

        Arguments
        ---------
        block : np.ndarray
            float32 or float64.
        far_end : np.ndarray | None
            What a loudspeaker plays meanwhile, of the same shape, if it was announced.

        Returns
        -------
        np.ndarray
            The samples that are ready, float32; often none, or more than came in.

        Raises
        ------
        ValueError
            If the block has another shape or dtype or is not finite, if the far end
            does not fit, after ``flush``, or if the network returns what is not finite:
            then ``reset`` is needed.
        """
        if self._flushed:
            raise ValueError("push after flush: reset() starts anew")
        if (far_end is not None) != self.far_end:
            rule = "must be given" if self.far_end else "must be None"
            raise ValueError(f"far_end {rule}: the enhancer was made so")
        signals = [_check_samples("block", block, self.channels)]
        if far_end is not None:
            signals.append(_check_samples("far_end", far_end, self.channels))
            if far_end.shape != block.shape:
                raise ValueError(
                    f"far_end {far_end.shape} must have the shape of the block "
                    f"{block.shape}"
                )
        signals = [np.atleast_2d(signal) for signal in signals]
        self._num_taken += signals[0].shape[1]
        signals = [r.push(s) for r, s in zip(self._inputs, signals, strict=True)]
        return self._shaped(self._output.push(self._advance(signals)))

    def flush(self) -> np.ndarray:
        """Ends the signal; a second call returns nothing.

        Shape: -> (m,) or (channels, m).

        Returns
        -------
        np.ndarray
            The rest: all outputs together are as long as the input.

        Raises
        ------
        ValueError
            If the network returns what is not finite.
        """
        rest = np.zeros((self.channels or 1, 0), np.float32)
        if not self._flushed and self._num_taken:
            rates = self.sample_rate, self.network_rate
            length = resampled_length(self._num_taken, *rates)
            enhanced = self._end([r.flush() for r in self._inputs], length)
            parts = [self._output.push(enhanced), self._output.flush()]
            missing = self._num_taken - self._num_given
            rest = _fit(np.concatenate(parts, axis=1), missing)
        self._flushed = True
        return self._shaped(rest)

    def reset(self) -> None:
        """Forgets all samples, but not the enrollment."""
        self._stream.reset()
        for resampler in (*self._inputs, self._output):
            resampler.reset()
        self._start()

    def _start(self):
        nothing = np.zeros((self.channels or 1, 0), np.float32)
        self._waiting = [nothing] * len(self._inputs)
        # At the rate of the network, but for samples of the caller taken and given.
        self._num_skipped = self._hop if self.aligned else 0
        self._num_received = self._num_enhanced = 0
        self._num_taken = self._num_given = 0
        self._flushed = False

    def _advance(self, signals):
        """Enhances the hops that are complete."""
        self._num_received += signals[0].shape[1]
        pairs = zip(self._waiting, signals, strict=True)
        signals = [np.concatenate(pair, axis=1) for pair in pairs]
        whole = signals[0].shape[1] // self._hop * self._hop
        most = MOST_HOPS * self._hop
        outputs = [signals[0][:, :0]]
        for start in range(0, whole, most):
            part = slice(start, min(start + most, whole))
            blocks = [
                torch.from_numpy(signal[:, part]).to(self._device) for signal in signals
            ]
            outputs.append(self._stream(*blocks).cpu().numpy())
        self._waiting = [signal[:, whole:] for signal in signals]
        enhanced = np.concatenate(outputs, axis=1)
        if not np.isfinite(enhanced).all():
            raise ValueError("the network returned what is not finite")
        skipped = min(self._num_skipped, enhanced.shape[1])
        self._num_skipped -= skipped
        self._num_enhanced += enhanced.shape[1] - skipped
        return enhanced[:, skipped:]

    def _end(self, signals, length):
        """Enhances the rest, so that ``length`` samples have come out in all."""
        received = self._num_received + signals[0].shape[1]
        given = self._num_enhanced
        # Silence follows: what resampling lacks, what the output is late, a whole hop.
        needed = max(length - received, 0) + (self._hop if self.aligned else 0)
        needed += -(received + needed) % self._hop
        silence = np.zeros((len(signals[0]), needed), np.float32)
        signals = [np.concatenate((signal, silence), axis=1) for signal in signals]
        return self._advance(signals)[:, : length - given]

    def _shaped(self, enhanced):
        self._num_given += enhanced.shape[1]
        return enhanced[0] if self.channels is None else enhanced

    def _find_latency(self):
        if self.sample_rate == self.network_rate:
            return 2 * self._hop
        rates = self.sample_rate, self.network_rate
        lag = resampling_lag(*rates) + resampling_lag(*rates[::-1])
        return math.ceil((lag + 2 / HOPS_PER_SECOND) * self.sample_rate)


def _device_of(network):
    # ``OnnxStream`` has no parameters, and its tensors are on the CPU.
    parameters = network.parameters() if isinstance(network, nn.Module) else ()
    return next((p.device for p in parameters), torch.device("cpu"))


def _check_samples(name, samples, channels):
    """The samples, float32."""
    if not isinstance(samples, np.ndarray):
        raise ValueError(f"{name} ({type(samples).__name__}) must be a numpy array")
    if samples.dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype of {name} ({samples.dtype}) must be float32, float64")
    fits = samples.ndim == 1 if channels is None else samples.shape[:-1] == (channels,)
    if not fits:
        form = "(n,)" if channels is None else f"({channels}, n)"
        raise ValueError(f"{name} {samples.shape} must be {form}")
    with np.errstate(over="ignore"):
        samples = samples.astype(np.float32, copy=False)
    broken = int((~np.isfinite(samples)).sum())
    if broken:
        raise ValueError(
            f"{name} must be finite, {broken} of {samples.size} samples are not"
        )
    return samples


def _fit(signal, length):
    missing = max(0, length - signal.shape[1])
    return np.pad(signal, ((0, 0), (0, missing)))[:, :length]
