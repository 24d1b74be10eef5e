"""Log-likelihood ratio between the linear predictors of two frames."""

import numpy as np

# Loizou's rule: 10 coefficients below 10 kHz, else 16.
NARROW_BAND_RATE = 10000


def lpc_order(sample_rate: int) -> int:
    """Order of the predictor for a sample rate.

    Arguments
    ---------
    sample_rate : int
        Hz.

    Returns
    -------
    int
        Number of predictor coefficients.

    Example
    -------
    >>> lpc_order(16000), lpc_order(8000)
    (16, 10)
    """
    return 10 if sample_rate < NARROW_BAND_RATE else 16


def autocorrelation(frames: np.ndarray, order: int) -> np.ndarray:
    """Autocorrelation of each frame at lags 0 to ``order``.

    Shape: frames (T, frame length) -> (T, order + 1).

    Arguments
    ---------
    frames : np.ndarray
        Windowed frames.
    order : int
        Largest lag, samples.

    Returns
    -------
    np.ndarray
        Not normalised.

    Example
    -------
    >>> autocorrelation(np.array([[1.0, 2.0, 3.0]]), 2)
    array([[14.,  8.,  3.]])
    """
    length = frames.shape[-1]
    # Sums, not an FFT: predictors of smooth frames need every digit of the lags.
    lags = [
        np.einsum("tn,tn->t", frames[:, : length - lag], frames[:, lag:])
        for lag in range(order + 1)
    ]
    return np.stack(lags, axis=-1)


def prediction_filter(lags: np.ndarray) -> np.ndarray:
    """Prediction-error filters of all frames by the Levinson-Durbin recursion.

    Shape: lags (T, order + 1) -> (T, order + 1), first coefficient 1.

    Arguments
    ---------
    lags : np.ndarray
        Autocorrelation at lags 0 to order.

    Returns
    -------
    np.ndarray
        Filter coefficients; NaN where a frame has no predictor.

    Example
    -------
    >>> prediction_filter(np.array([[1.0, 0.5, 0.25]]))
    array([[ 1. , -0.5,  0. ]])
    """
    order = lags.shape[-1] - 1
    taps = np.zeros_like(lags)
    taps[:, 0] = 1.0
    error = lags[:, 0].copy()
    with np.errstate(all="ignore"):
        for i in range(1, order + 1):
            reflection = np.einsum("tk,tk->t", taps[:, :i], lags[:, i:0:-1]) / error
            taps[:, 1 : i + 1] -= reflection[:, None] * taps[:, i - 1 :: -1][:, :i]
            error = error * (1 - reflection**2)
    return taps


def log_likelihood_ratio(
    estimate_frames: np.ndarray, target_frames: np.ndarray, order: int
) -> np.ndarray:
    """How much worse the estimate's predictor predicts the target, per frame.

    The ratio is not clipped at 2: the composite measures need it as it is.

    Shape: both (T, frame length) -> (T,).
    Source: Hu and Loizou, IEEE TASL 16(1), 2008; comp_llr in Loizou's composite.m.

    Arguments
    ---------
    estimate_frames : np.ndarray
        Windowed frames of the signal under test.
    target_frames : np.ndarray
        Windowed frames of the clean reference.
    order : int
        Order of the predictor.

    Returns
    -------
    np.ndarray
        Natural logarithm of the ratio of residual energies; not finite where a frame
        is so smooth that its predictor leaves no residual.

    Example
    -------
    >>> frames = np.random.default_rng(0).standard_normal((2, 480))
    >>> log_likelihood_ratio(3 * frames, frames, 16).round(12) + 0
    array([0., 0.])
    """
    target_lags = autocorrelation(target_frames, order)
    index = np.arange(order + 1)
    covariance = target_lags[:, np.abs(index[:, None] - index)]
    with np.errstate(all="ignore"):
        residuals = [
            np.einsum("ti,tij,tj->t", taps, covariance, taps, optimize=True)
            for taps in (
                prediction_filter(autocorrelation(estimate_frames, order)),
                prediction_filter(target_lags),
            )
        ]
        return np.log(residuals[0] / residuals[1])
