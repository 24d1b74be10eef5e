"""UTMOS22: a predicted opinion score without a reference, in a process of its own.

Its package and Microsoft's, which DNSMOS needs, share the import name ``speechmos``:
one process cannot have both.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from .score import Score, check_estimate

SAMPLE_RATE = 16000
MISSING_REPO = (
    "the code is missing: git clone https://github.com/tarepan/SpeechMOS and name the "
    "folder with --utmos-repo DIR"
)
MISSING_WEIGHTS = (
    "the weights are missing: download utmos22_strong_step7459_v1.pt from "
    "https://github.com/tarepan/SpeechMOS/releases and name it with "
    "--utmos-weights FILE"
)
PROCESS = Path(__file__).with_name("utmos_process.py")


def utmos(
    estimate: np.ndarray,
    sample_rate: int,
    repo: str | Path | None,
    weights: str | Path | None,
) -> Score:
    """UTMOS22 strong learner (MOS, 1 to 5) of one signal.

    Runs the code in ``repo``, so that must be trusted. The process stays and is used
    again while repo and weights stay the same; it ends with this one, and each worker
    of ``score_pairs`` has its own. Not measured with the published weights here (103
    million parameters, 0.4 GB): tested with a small repository of the same form.

    Shape: estimate (L,) -> value.
    Source: Saeki et al., arXiv:2204.02152; repository tarepan/SpeechMOS, v1.1.0.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    sample_rate : int
        Hz; must be 16000.
    repo : str | Path | None
        A copy of tarepan/SpeechMOS, the folder with ``hubconf.py``.
    weights : str | Path | None
        Its ``utmos22_strong_step7459_v1.pt``; never downloaded.

    Returns
    -------
    Score
        MOS, or NaN with the reason.

    Example
    -------
    >>> utmos(np.ones(16000), 16000, None, None).reason.partition(":")[0]
    'the code is missing'
    """
    if repo is None:
        return Score.missing(MISSING_REPO)
    if not Path(repo, "hubconf.py").is_file():
        return Score.missing(f"{repo} has no hubconf.py: {MISSING_REPO}")
    if weights is None:
        return Score.missing(MISSING_WEIGHTS)
    if not Path(weights).is_file():
        return Score.missing(f"there is no file {weights}: {MISSING_WEIGHTS}")
    samples, reason = check_estimate(estimate, sample_rate, SAMPLE_RATE)
    if reason:
        return Score.missing(reason)
    child = _child(str(Path(repo).resolve()), str(Path(weights).resolve()))
    try:
        child.stdin.write(samples.size.to_bytes(8, "little"))
        child.stdin.write(samples.astype("<f4").tobytes())
        child.stdin.flush()
        answer = json.loads(child.stdout.readline())
    except (OSError, ValueError):
        _child.cache_clear()
        return Score.missing("UTMOS failed: its process died, perhaps out of memory")
    if "error" in answer:
        return Score.missing(f"UTMOS failed: {answer['error']}")
    return Score.measured(answer["score"], "UTMOS")


@functools.lru_cache(maxsize=1)
def _child(repo: str, weights: str) -> subprocess.Popen:
    # -P: the folder of the script holds modules named like packages it needs.
    return subprocess.Popen(
        [sys.executable, "-P", str(PROCESS), repo, weights],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
