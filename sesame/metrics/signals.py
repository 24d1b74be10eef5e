"""Signals made comparable before they are scored: another rate, another start."""

import numpy as np
import soxr

from .score import check_signal

# What audio equipment uses; a header may claim up to 2**31 - 1 Hz.
MIN_RATE, MAX_RATE = 4_000, 384_000
RESAMPLING_QUALITY = "VHQ"
MAX_DELAY = 1.0  # seconds


def resample(signal: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples a signal.

    Shape: signal (L,) -> (ceil(L * target_rate / source_rate),).

    Arguments
    ---------
    signal : np.ndarray
        float32, float64 or int16.
    source_rate : int
        Hz.
    target_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        The same dtype.

    Example
    -------
    >>> resample(np.zeros(48_001), 48_000, 16_000).shape
    (16001,)
    """
    if source_rate == target_rate:
        return signal
    length = -(-len(signal) * target_rate // source_rate)
    out = soxr.resample(signal, source_rate, target_rate, RESAMPLING_QUALITY)
    # soxr rounds to the nearest length; two signals of one length must stay so.
    return np.pad(out, (0, max(0, length - len(out))))[:length]


def align(
    estimate: np.ndarray,
    target: np.ndarray,
    sample_rate: int,
    max_delay: float = MAX_DELAY,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Undoes the delay at which two signals correlate best; both are cut to one length.

    Signals that cannot be scored (silent, NaN, not mono) are returned as they are.

    Shape: estimate (L,), target (L',) -> both (L'',).

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, float with full scale 1 or int16.
    sample_rate : int
        Rate of both signals, Hz.
    max_delay : float
        Longest delay that is looked for, seconds.

    Returns
    -------
    tuple[np.ndarray, np.ndarray, int]
        Estimate and target from the first sample they share, and how many samples the
        estimate was late (negative: early).

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(1000)
    >>> estimate, cut, delay = align(np.r_[np.zeros(5), target], target, 16000)
    >>> delay, bool((estimate == cut).all()), len(cut)
    (5, True, 1000)
    """
    # Half a second that only this function is worth.
    import scipy.signal

    samples, estimate_reason = check_signal(estimate, "estimate")
    reference, target_reason = check_signal(target, "target")
    if estimate_reason or target_reason:
        return estimate, target, 0
    # A constant would correlate best where the overlap is longest.
    correlation = scipy.signal.correlate(
        samples - samples.mean(), reference - reference.mean(), method="fft"
    )
    lags = scipy.signal.correlation_lags(len(samples), len(reference))
    near = np.abs(lags) <= max_delay * sample_rate
    delay = int(lags[near][np.argmax(correlation[near])])
    estimate, target = estimate[max(0, delay) :], target[max(0, -delay) :]
    length = min(len(estimate), len(target))
    return estimate[:length], target[:length], delay
