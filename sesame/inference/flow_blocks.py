"""Signals of any length and rate through SEFlow, as streams, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch

from sesame.models.seflow import SEFlow

from .flow_sizes import native_rate
from .network_rate import Blocks, RateBridge, finite_samples, measure_peak
from .overlap import BlockQueue
from .prior_inputs import FarEnd, Voice, level_scale

__all__ = ["enhance_stream"]

# Frames of 10 ms that go through the network at once. With more of them the network
# does less in vain at their borders, and needs more memory.
FRAMES_AT_ONCE = 100
# Channels are streams of their own, each of which takes memory while it is worked on.
CHANNELS_AT_ONCE = 2


def enhance_stream(
    network: SEFlow,
    device: torch.device,
    signal: Blocks,
    sample_rate: int,
    width: float | None = None,
    depth: int | None = None,
    voice: Voice | None = None,
    far_end: FarEnd | None = None,
    dry: float = 0.0,
    keep_highband: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Iterator[np.ndarray]:
    """Enhances a signal of any length; what ``SEFlow.forward`` gives, without delay.

    Every channel is a stream of its own. The level of the signal stays as it is, unless
    its peak is 2 or more, where full scale is 1. A silent channel stays silent.

    Arguments
    ---------
    network : SEFlow
        The network, in evaluation mode.
    device : torch.device
        Where it is.
    signal : Blocks
        Gives the finite signal from its beginning each time it is called, as arrays
        (channels, n) of float64 with one number of channels, full scale 1.
    sample_rate : int
        Its rate, Hz; where ``native_rate`` is another, it is resampled.
    width : float | None
        Share of the network's channels to use.
    depth : int | None
        Blocks of the network to use.
    voice : Voice | None
        Of the speaker to extract.
    far_end : FarEnd | None
        What a loudspeaker plays; for all channels.
    dry : float
        Share of the noisy signal in the result, 0 to 1.
    keep_highband : bool
        Whether what lies above half of the network's rate passes unchanged.
    progress : Callable[[float], None] | None
        Is told the fraction that is done, 0 to 1, after each block.

    Yields
    ------
    np.ndarray
        Enhanced blocks (channels, n), float64, together as long as the signal.

    Raises
    ------
    ValueError
        If there is no such sub-network, or it gives a value that is not finite.

    Example
    -------
    >>> network = SEFlow(width=8, depth=1, head_channels=4).eval()
    >>> noisy = np.random.default_rng(0).standard_normal((2, 1234)) / 10
    >>> blocks = enhance_stream(network, torch.device("cpu"), lambda: [noisy], 22050)
    >>> np.concatenate(list(blocks), axis=-1).shape
    (2, 1234)
    """
    length, peak = measure_peak(signal)
    if length == 0:
        return
    rate = native_rate(sample_rate)
    bridge = RateBridge(signal, sample_rate, rate, length, level_scale(peak))
    far_blocks = None
    if far_end is not None:
        far_blocks = far_end.at_rate(rate, bridge.own_length)
    streams = _Streams(network, device, rate, width, depth, voice, far_end is not None)
    enhanced = _aligned(
        streams, bridge.forth(), far_blocks, bridge.own_length, progress
    )
    heard = peak > 0
    yield from bridge.back((block * heard for block in enhanced), dry, keep_highband)


class _Streams:
    """Takes blocks of any number of channels through the network."""

    def __init__(self, network, device, rate, width, depth, voice, has_far_end):
        self.network, self.device = network, device
        self.open = {
            "sample_rate": rate,
            "width": width,
            "depth": depth,
            "far_end": has_far_end,
        }
        stft = network.front_ends(rate, device).stft
        self.hop, self.delay = stft.hop_length, stft.delay
        if voice is not None:
            self.open["enrollment"] = voice.enroll(network, rate, width, depth)
        self.states = {}

    @torch.inference_mode()
    def __call__(self, noisy: np.ndarray, far: np.ndarray | None) -> np.ndarray:
        enhanced = [
            self._step(noisy[first : first + CHANNELS_AT_ONCE], far, first)
            for first in range(0, len(noisy), CHANNELS_AT_ONCE)
        ]
        return finite_samples(torch.cat(enhanced))

    def _step(self, noisy, far, first):
        x = torch.from_numpy(np.ascontiguousarray(noisy)).to(self.device)
        if far is not None:
            far = torch.from_numpy(np.ascontiguousarray(far)).to(x).expand_as(x)
        if first not in self.states:
            self.states[first] = self.network.initial_state(len(x), **self.open)
        y, self.states[first] = self.network.step(x, self.states[first], far)
        return y


def _aligned(
    streams: _Streams,
    blocks: Iterable[np.ndarray],
    far_blocks: Iterable[np.ndarray] | None,
    length: int,
    progress: Callable[[float], None] | None,
) -> Iterator[np.ndarray]:
    """What the streams make of a signal, in step with it and as long."""
    noisy = BlockQueue(blocks)
    far = None if far_blocks is None else BlockQueue(far_blocks)
    total = -(-(length + streams.delay) // streams.hop) * streams.hop
    size = FRAMES_AT_ONCE * streams.hop
    for start in range(0, total, size):
        stop = min(start + size, total)
        enhanced = streams(
            _take(noisy, stop - start),
            None if far is None else _take(far, stop - start),
        )
        begin = max(streams.delay - start, 0)
        yield enhanced[:, begin : length + streams.delay - start]
        if progress is not None:
            progress(stop / total)


def _take(queue: BlockQueue, length: int) -> np.ndarray:
    """The next samples, and zeros after the last one."""
    samples = queue.take(length)
    return np.pad(samples, ((0, 0), (0, length - samples.shape[-1])))
