"""Signal-to-distortion ratio of BSS Eval, through the package torchmetrics."""

import numpy as np

from .score import Score, check_pair

MISSING_PACKAGE = "package torchmetrics is missing: pip install '.[eval]'"
FILTER_LENGTH = 512


def sdr(estimate: np.ndarray, target: np.ndarray, sample_rate: int) -> Score:
    """SDR of BSS Eval: what a filter of 512 taps makes of the target is no distortion.

    One filter for the whole signal, as in BSS Eval version 3 and in the tables of
    LibriMix; museval's version 4 takes the median over windows of such ratios.

    Shape: estimate (L,), target (L,) -> one value.
    Source: Vincent et al., IEEE TASLP 14(4), 2006; Scheibler, SDR - medium rare with
    fast computations, ICASSP 2022; torchmetrics 1.9.0.

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
    >>> target, noise = np.random.default_rng(0).standard_normal((2, 16000))
    >>> round(sdr(target + 0.1 * noise, target, 16000).value)
    20
    """
    pair = check_pair(estimate, target, sample_rate)
    if pair.reason:
        return Score.missing(pair.reason)
    try:
        import torch
        from torchmetrics.functional.audio import signal_distortion_ratio
    except ImportError:
        return Score.missing(MISSING_PACKAGE)
    # Peaks of 1: below a norm of 1e-6 the package does not normalise.
    signals = [
        torch.from_numpy(signal / np.abs(signal).max())
        for signal in (pair.estimate, pair.target)
    ]
    try:
        value = signal_distortion_ratio(*signals, filter_length=FILTER_LENGTH)
    except torch.linalg.LinAlgError as error:
        return Score.failed("SDR", error)
    return Score.measured(value.item(), "SDR")
