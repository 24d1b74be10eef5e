"""DistillMOS: a predicted opinion score without a reference, weights included."""

import functools
import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np

from .score import Score, check_estimate

if TYPE_CHECKING:
    import torch

SAMPLE_RATE = 16000
MISSING_PACKAGE = "package distillmos is missing: pip install '.[eval]'"
# What the network was trained on, and the largest step between two such segments.
SEGMENT_LENGTH = 122_880
MAX_HOP = 16_000


def distillmos(estimate: np.ndarray, sample_rate: int) -> Score:
    """DistillMOS (MOS, 1 to 5) of one signal, through the package distillmos.

    The mean over segments of 7.68 s that start at most 1 s apart; a shorter signal is
    padded with zeros. The level does not matter. The weights come with the package
    (MIT); nothing is downloaded.

    Shape: estimate (L,) -> value.
    Source: Stahl and Gamper, arXiv:2502.05356; package distillmos 0.9.1.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    sample_rate : int
        Hz; must be 16000.

    Returns
    -------
    Score
        MOS, or NaN with the reason.

    Example
    -------
    >>> distillmos(np.zeros(16000), 16000)
    Score(value=nan, reason='estimate is silent')
    """
    samples, reason = check_estimate(estimate, sample_rate, SAMPLE_RATE)
    if reason:
        return Score.missing(reason)
    try:
        import torch

        network = _network()
    except ImportError as error:
        return Score.missing(f"{MISSING_PACKAGE} ({error})")
    waveform = torch.from_numpy(samples.astype(np.float32))
    try:
        # The package would put all segments into one batch: gigabytes for a minute.
        with torch.inference_mode():
            values = [network(segment[None]).item() for segment in _segments(waveform)]
    except RuntimeError as error:
        return Score.failed("DistillMOS", error)
    return Score.measured(np.mean(values), "DistillMOS")


@functools.cache
def _network() -> "torch.nn.Module":
    from distillmos import ConvTransformerSQAModel

    # It prints where its weights are, which is no result.
    with redirect_stdout(io.StringIO()):
        return ConvTransformerSQAModel(segmenting_in_forward=False).eval()


def _segments(waveform: "torch.Tensor") -> list["torch.Tensor"]:
    """Segments as the package cuts them, (SEGMENT_LENGTH,) each."""
    import torch

    padding = max(0, SEGMENT_LENGTH - len(waveform))
    waveform = torch.nn.functional.pad(waveform, (0, padding))
    last = len(waveform) - SEGMENT_LENGTH
    starts = np.linspace(0, 1, -(-last // MAX_HOP) + 1) * last
    return [waveform[int(start) :][:SEGMENT_LENGTH] for start in starts]
