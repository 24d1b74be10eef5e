"""An audio file taken block by block, as a device would take a microphone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sesame.models.seflow import SEFlow

from .file_enhancement import AudioSource, FileReport, process_file
from .flow_sizes import native_rate
from .overlap import BlockQueue
from .prior_inputs import FarEnd, Voice
from .streaming_enhancer import StreamingEnhancer

__all__ = ["StreamReport", "block_length", "stream_file"]


class StreamReport(NamedTuple):
    """How a file was streamed.

    Arguments
    ---------
    file : FileReport
        What was found in the file.
    latency : float
        How long a sample is on its way at most [s], by ``StreamingEnhancer.latency``.
    block_seconds : float
        Length of a block [s].
    times : tuple[float, ...]
        What each block took [s].

    Example
    -------
    >>> report = StreamReport(None, 0.02, 0.01, (0.001, 0.002, 0.006))
    >>> f"{report.percentile(50):.3f} {report.real_time_factor:.1f}"
    '0.002 0.3'
    """

    file: FileReport
    latency: float
    block_seconds: float
    times: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Time that so many of the blocks do not exceed.

        Arguments
        ---------
        percent : float
            0 to 100.

        Returns
        -------
        float
            Seconds; NaN if there was no block.
        """
        return float(np.percentile(self.times, percent)) if self.times else np.nan

    @property
    def real_time_factor(self) -> float:
        """Seconds per second of audio; NaN if there was no block."""
        if not self.times:
            return np.nan
        return sum(self.times) / (len(self.times) * self.block_seconds)


def block_length(milliseconds: float, sample_rate: int) -> int:
    """Samples of a block.

    Arguments
    ---------
    milliseconds : float
        Its length [ms].
    sample_rate : int
        Hz.

    Returns
    -------
    int
        The nearest whole number.

    Raises
    ------
    ValueError
        If it has no sample, or lasts more than 10 s.

    Example
    -------
    >>> block_length(20, 44100)
    882
    """
    if not 0 < milliseconds <= 10_000:
        raise ValueError(f"length of a block ({milliseconds} ms) must be in (0, 10000]")
    length = round(milliseconds * sample_rate / 1000)
    if length < 1:
        raise ValueError(
            f"length of a block ({milliseconds} ms) must be at least one sample at "
            f"{sample_rate} Hz"
        )
    return length


def stream_file(
    network: SEFlow,
    source: str | Path,
    target: str | Path,
    block_ms: float = 20.0,
    *,
    width: float | None = None,
    depth: int | None = None,
    voice: Voice | None = None,
    far_end: FarEnd | None = None,
    overwrite: bool = False,
    repair_nonfinite: bool = False,
) -> StreamReport:
    """Streams a file; the result is in step with it, and of the same kind and length.

    Arguments
    ---------
    network : SEFlow
        The network.
    source : str | Path
        Noisy file.
    target : str | Path
        File to make.
    block_ms : float
        Length of a block [ms].
    width : float | None
        Fraction of the channels.
    depth : int | None
        Blocks of the network.
    voice : Voice | None
        Of the speaker to extract.
    far_end : FarEnd | None
        What a loudspeaker plays; cut, or followed by silence.
    overwrite : bool
        Whether an existing target is replaced.
    repair_nonfinite : bool
        Whether NaN and infinity are set to 0; they are refused else.

    Returns
    -------
    StreamReport
        Latency and times. The first block, which is slower, is among them.

    Raises
    ------
    ValueError
        If a file cannot be read or made, or an argument is out of its range.

    Example
    -------
    >>> network = SEFlow(width=8, depth=1, head_channels=4)
    >>> stream_file(network, "no/such.wav", "out.wav")
    Traceback (most recent call last):
    ValueError: cannot read no/such.wav: there is no such file
    """
    times: list[float] = []
    facts = {}

    def process(audio: AudioSource) -> Iterator[np.ndarray]:
        info = audio.info
        rate, channels = info.sample_rate, info.channels
        inner = native_rate(rate)
        size = block_length(block_ms, rate)
        enhancer = StreamingEnhancer(
            network,
            rate,
            width,
            depth,
            None if voice is None else voice.enroll(network, inner, width, depth),
            far_end is not None,
            channels,
            aligned=True,
        )
        facts.update(latency=enhancer.latency, block_seconds=size / rate)
        queue = BlockQueue(audio.blocks())
        far_queue = None
        if far_end is not None:
            far_queue = BlockQueue(far_end.at_rate(rate, audio.num_frames))
        while (block := queue.take(size)).size:
            far_block = None
            if far_queue is not None:
                far_block = far_queue.take(block.shape[1])
                missing = block.shape[1] - far_block.shape[1]
                far_block = np.pad(far_block, ((0, 0), (0, missing)))
                far_block = np.repeat(far_block, channels, axis=0)
            start = time.perf_counter()
            enhanced = enhancer.push(block, far_block)
            times.append(time.perf_counter() - start)
            yield enhanced
        yield enhancer.flush()

    report = process_file(process, source, target, overwrite, repair_nonfinite)
    return StreamReport(report, times=tuple(times), **facts)
