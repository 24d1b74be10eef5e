"""Short-time objective intelligibility, plain and extended."""

import warnings

import numpy as np

from .score import Score, check_pair

MISSING_PACKAGE = "package pystoi is missing: pip install '.[eval]'"
# 30 frames of 256 samples, 128 apart, at pystoi's internal 10 kHz.
MIN_DURATION = 0.4
# The highest band ends at 4.3 kHz; far lower rates would also explode in resampling.
MIN_RATE = 8000


def stoi(estimate: np.ndarray, target: np.ndarray, sample_rate: int) -> Score:
    """Short-time objective intelligibility (package pystoi), 1 for equal signals.

    Silent parts of the target are removed first; where fewer than 30 frames (0.4 s)
    remain the answer is NaN, not pystoi's 1e-5.

    Shape: estimate (L,), target (L,) -> one value.
    Source: Taal et al., IEEE TASLP 19(7), 2011.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz, at least 8000 (pystoi resamples to 10 kHz).

    Returns
    -------
    Score
        Correlation in [-1, 1], or NaN with the reason.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> round(stoi(target, target, 16000).value, 6)
    1.0
    """
    return _stoi(estimate, target, sample_rate, extended=False)


def estoi(estimate: np.ndarray, target: np.ndarray, sample_rate: int) -> Score:
    """Extended STOI (package pystoi), which also hears modulated maskers.

    pystoi adds noise of one float64 epsilon from numpy's global generator; it is
    seeded for the call and put back afterwards, so the value is reproducible.

    Shape: estimate (L,), target (L,) -> one value.
    Source: Jensen and Taal, IEEE/ACM TASLP 24(11), 2016.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz, at least 8000 (pystoi resamples to 10 kHz).

    Returns
    -------
    Score
        Correlation in [-1, 1], or NaN with the reason.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> round(estoi(target, target, 16000).value, 6)
    1.0
    """
    return _stoi(estimate, target, sample_rate, extended=True)


def _stoi(
    estimate: np.ndarray, target: np.ndarray, sample_rate: int, extended: bool
) -> Score:
    pair = check_pair(estimate, target, sample_rate, min_duration=MIN_DURATION)
    if pair.reason:
        return Score.missing(pair.reason)
    if sample_rate < MIN_RATE:
        return Score.missing(f"sample rate is {sample_rate} Hz, min {MIN_RATE} Hz")
    try:
        from pystoi import stoi as pystoi
    except ImportError:
        return Score.missing(MISSING_PACKAGE)
    state = np.random.get_state()
    np.random.seed(0)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.filterwarnings("error", message="Not enough STFT frames")
            value = pystoi(pair.target, pair.estimate, sample_rate, extended=extended)
    except RuntimeWarning:
        return Score.missing(f"target has less than {MIN_DURATION:g} s of speech")
    except ValueError as error:
        return Score.missing(f"pystoi: {error}")
    finally:
        np.random.set_state(state)
    return Score.measured(value, "ESTOI" if extended else "STOI")
