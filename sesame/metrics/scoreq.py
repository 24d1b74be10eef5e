"""SCOREQ: a predicted opinion score without a reference, from an ONNX file."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .score import Score, check_estimate

if TYPE_CHECKING:
    import onnxruntime

SAMPLE_RATE = 16000
MISSING_PACKAGE = "package onnxruntime is missing: pip install '.[eval]'"
MISSING_WEIGHTS = (
    "the weights are missing: download adapt_nr_telephone.onnx from "
    "https://zenodo.org/records/15739280 and name it with --scoreq-weights FILE"
)
# Samples per frame of the network's wav2vec 2.0 encoder.
FRAME = 320


def scoreq(estimate: np.ndarray, sample_rate: int, weights: str | Path | None) -> Score:
    """SCOREQ for natural speech, without a reference, of one signal.

    Zeros are appended up to a multiple of 320 samples, as the authors do. Not measured
    with the published weights here (about 0.4 GB): tested with a small network of the
    same inputs and outputs.

    Shape: estimate (L,) -> value.
    Source: Ragano et al., arXiv:2410.06675; package scoreq 1.0.1.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    sample_rate : int
        Hz; must be 16000.
    weights : str | Path | None
        The authors' ``adapt_nr_telephone.onnx``; never downloaded.

    Returns
    -------
    Score
        MOS, or NaN with the reason.

    Example
    -------
    >>> scoreq(np.ones(16000), 16000, None).reason.partition(":")[0]
    'the weights are missing'
    """
    if weights is None:
        return Score.missing(MISSING_WEIGHTS)
    if not Path(weights).is_file():
        return Score.missing(f"there is no file {weights}: {MISSING_WEIGHTS}")
    samples, reason = check_estimate(estimate, sample_rate, SAMPLE_RATE)
    if reason:
        return Score.missing(reason)
    padded = np.pad(samples, (0, -samples.size % FRAME)).astype(np.float32)
    try:
        session = _session(str(weights))
        (name,) = [node.name for node in session.get_inputs()]
        answer = np.asarray(session.run(None, {name: padded[None]})[0])
    except ImportError as error:
        return Score.missing(f"{MISSING_PACKAGE} ({error})")
    except Exception as error:  # onnxruntime raises types of its own
        return Score.failed("SCOREQ", error)
    if answer.size != 1:
        return Score.missing(
            f"{weights} answers {answer.shape}, not one number, as the models that "
            "need a reference do: use adapt_nr_telephone.onnx"
        )
    return Score.measured(answer.item(), "SCOREQ")


@functools.lru_cache(maxsize=1)
def _session(weights: str) -> "onnxruntime.InferenceSession":
    import onnxruntime

    return onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
