"""Scale-invariant signal-to-distortion ratio."""

import numpy as np

from .score import SILENCE_PEAK, Score, check_pair

# Power ratio (-250 dB) that float64 rounding alone leaves between scaled copies.
ROUNDING_ERROR = 1e-25


def si_sdr(estimate: np.ndarray, target: np.ndarray, sample_rate: int) -> Score:
    """SI-SDR of an estimate, after the mean of both signals is removed.

    The zero-mean form is that of SpeechBrain, asteroid and torchmetrics
    (``zero_mean=True``); a constant offset therefore costs nothing. An estimate that
    is a scaled copy of the target has no finite SI-SDR: NaN with that reason.

    Shape: estimate (L,), target (L,) -> one value.
    Source: Le Roux et al., SDR - half-baked or well done?, arXiv:1811.02508, eq. 5.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz; any.

    Returns
    -------
    Score
        dB, or NaN with the reason.

    Example
    -------
    >>> target = np.array([1.0, -1.0, 1.0, -1.0])
    >>> error = np.array([0.1, 0.1, -0.1, -0.1])
    >>> round(si_sdr(target + error, target, 16000).value, 6)
    20.0
    """
    pair = check_pair(estimate, target, sample_rate)
    if pair.reason:
        return Score.missing(pair.reason)
    # Peaks of 1 keep the energies of very quiet and very loud signals in range.
    estimate = pair.estimate / np.abs(pair.estimate).max()
    target = pair.target / np.abs(pair.target).max()
    estimate = estimate - estimate.mean()
    target = target - target.mean()
    if np.abs(target).max() < SILENCE_PEAK:
        return Score.missing("target is constant")
    if np.abs(estimate).max() < SILENCE_PEAK:
        return Score.missing("estimate is constant")
    # Sums, not dot products: those depend on the number of BLAS threads in the last
    # digit, and workers have one thread.
    projection = np.sum(estimate * target) / np.sum(target**2) * target
    signal = np.sum(projection**2)
    noise = np.sum((estimate - projection) ** 2)
    if noise <= ROUNDING_ERROR * signal:
        return Score.missing("estimate is a scaled copy of target: SI-SDR unbounded")
    if signal <= ROUNDING_ERROR * noise:
        return Score.missing("estimate is orthogonal to target: SI-SDR unbounded")
    return Score.measured(10 * np.log10(signal / noise), "SI-SDR")
