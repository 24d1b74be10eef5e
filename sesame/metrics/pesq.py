"""Wide-band PESQ, through the package pesq."""

import subprocess
import sys

import numpy as np

from .score import Score, check_pair

SAMPLE_RATE = 16000
MISSING_PACKAGE = "package pesq is missing: pip install '.[eval]'"
# The ITU code keeps 50 utterances (each at least 0.2 s, more than 0.2 s apart) in fixed
# arrays and overruns them without a check: longer files can crash their process.
LONGEST_IN_PROCESS = 19.0
MIN_DURATION = 0.25

_CHILD = """
import sys
import numpy as np
from pesq import pesq
target, estimate = np.frombuffer(sys.stdin.buffer.read()).reshape(2, -1)
try:
    print(repr(float(pesq(16000, target, estimate, "wb"))))
except Exception as error:
    print(type(error).__name__)
"""


def pesq_wb(estimate: np.ndarray, target: np.ndarray, sample_rate: int) -> Score:
    """Wide-band PESQ (MOS-LQO), 4.6439 for equal signals.

    Not thread safe: the ITU code keeps its state in C globals. Files above 19 s are
    scored in a process of their own, because that code may crash on them.

    Shape: estimate (L,), target (L,) -> one value.
    Source: ITU-T P.862.2; package pesq 0.0.4, mode "wb".

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz; must be 16000.

    Returns
    -------
    Score
        MOS-LQO in [1.04, 4.64], or NaN with the reason.

    Example
    -------
    >>> time = np.arange(16000) / 16000
    >>> target = np.sin(2 * np.pi * 300 * time) * np.sin(2 * np.pi * 2 * time)
    >>> round(pesq_wb(target, target, 16000).value, 4)
    4.6439
    """
    pair = check_pair(estimate, target, sample_rate, SAMPLE_RATE, MIN_DURATION)
    if pair.reason:
        return Score.missing(pair.reason)
    try:
        from pesq import PesqError, pesq
    except ImportError:
        return Score.missing(MISSING_PACKAGE)
    if pair.target.size > LONGEST_IN_PROCESS * SAMPLE_RATE:
        return _pesq_in_child(pair.estimate, pair.target)
    try:
        value = pesq(SAMPLE_RATE, pair.target, pair.estimate, "wb")
    except (PesqError, ValueError, RuntimeError) as error:
        return Score.missing(f"PESQ failed: {type(error).__name__}")
    return Score.measured(value, "PESQ")


def _pesq_in_child(estimate: np.ndarray, target: np.ndarray) -> Score:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=np.stack([target, estimate]).tobytes(),
        capture_output=True,
        check=False,
    )
    answer = child.stdout.decode().strip()
    if child.returncode != 0 or not answer:
        return Score.missing(
            "PESQ crashed: more than 50 utterances in a file above "
            f"{LONGEST_IN_PROCESS:g} s"
        )
    try:
        value = float(answer)
    except ValueError:
        return Score.missing(f"PESQ failed: {answer}")
    return Score.measured(value, "PESQ")
