"""The proof that an exported step of a stream is the step of the network."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from sesame.models.seflow import SEFlow

from .onnx_stream import OnnxStream

__all__ = ["StreamParity", "check_stream_onnx"]

# More than the frames that a state remembers, so that it has begun to forget.
CHECKED_SECONDS = 1.5
LEVEL = 0.1  # of the noise, where full scale is 1


class StreamParity(NamedTuple):
    """Largest difference of an exported step from its original, in one stream.

    Arguments
    ---------
    voice : bool
        Whether a voice was enrolled.
    num_hops : int
        Hops of 10 ms, one after the other.
    difference : float
        Of any sample, relative to the largest one.

    Example
    -------
    >>> StreamParity(False, 150, float("nan")).within(1e-4)
    False
    """

    voice: bool
    num_hops: int
    difference: float

    def within(self, tolerance: float) -> bool:
        """Tells whether no sample differs by more than that.

        Arguments
        ---------
        tolerance : float
            Largest difference that passes.

        Returns
        -------
        bool
            False also for a difference that is not a number.
        """
        return self.difference <= tolerance


def check_stream_onnx(
    network: SEFlow,
    path: str | Path,
    width: float | None = None,
    depth: int | None = None,
    signal: np.ndarray | None = None,
    seconds: float = CHECKED_SECONDS,
) -> list[StreamParity]:
    """Compares an exported step with its original, hop by hop from the first one on.

    A file with a far end is given one; a file with room for a voice is compared
    without a voice and with one.

    Arguments
    ---------
    network : SEFlow
        The original.
    path : str | Path
        File that ``export_stream_onnx`` wrote.
    width : float | None
        Share of the channels it was written with.
    depth : int | None
        Blocks it was written with.
    signal : np.ndarray | None
        Speech (L,) at the sampling rate of the file, repeated where it is too short:
        signal, far end and voice are three parts of it. ``None`` is noise.
    seconds : float
        Length to compare over [s].

    Returns
    -------
    list[StreamParity]
        One, or two where there is room for a voice.

    Raises
    ------
    ImportError
        If onnx or onnxruntime is not installed.
    ValueError
        If the file cannot be loaded, or the voice does not fit into it.

    Example
    -------
    >>> network = SEFlow(width=8, depth=1, head_channels=4)
    >>> check_stream_onnx(network, "no/such/model.onnx")
    Traceback (most recent call last):
    ValueError: there is no file no/such/model.onnx
    """
    model = OnnxStream(path)
    rate, has_far_end = model.settings["sample_rate"], model.settings["far_end"]
    hop = network.front_ends(rate, "cpu").stft.hop_length
    num_hops = max(1, round(seconds * rate / hop))
    if signal is None:
        signal = LEVEL * np.random.default_rng(0).standard_normal(3 * num_hops * hop)
    parts = np.resize(signal, (3, 1, num_hops * hop)).astype(np.float32)
    noisy, far, voice = torch.from_numpy(parts)
    far_end = far if has_far_end else None
    results = []
    for enrolled in (False, True) if model.settings["num_slots"] else (False,):
        with torch.inference_mode():
            tokens = network.enroll(voice, rate, width, depth) if enrolled else None
            state = network.initial_state(
                1, rate, width, depth, enrollment=tokens, far_end=has_far_end
            )
            expected, _ = network.step(noisy, state, far_end)
            actual, _ = model.step(noisy, model.initial_state(tokens), far_end)
            # If silence is expected, it must be given.
            scale = expected.abs().max().clamp(min=torch.finfo().tiny)
            difference = (actual - expected).abs().max() / scale
        results.append(StreamParity(enrolled, num_hops, float(difference)))
    return results
