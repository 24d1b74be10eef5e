"""Stationary noise with the long-term spectrum of speech.

White Gaussian noise through the all-pole filter that linear prediction of the speech
gives. The filter's output has the autocorrelation of the speech up to the order of the
prediction, hence its level too.
"""

import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.signal import freqz, lfilter

ORDER = 12
_RUN_IN = 4096  # samples after which the filter has forgotten that it started at rest
_NUM_BINS = 512
_WHITENING = 1e-9  # of the power; keeps the equations of a pure tone solvable


def autocorrelation(waveform: np.ndarray, order: int = ORDER) -> np.ndarray:
    """Mean of products of samples 0, 1, ... ``order`` apart, over the whole signal.

    Shape: (L,) -> (order + 1,).

    Arguments
    ---------
    waveform : np.ndarray
        Samples, more than ``order`` of them.
    order : int
        Largest lag in samples.

    Returns
    -------
    np.ndarray
        float64. Each sum is divided by L, so that the filter made of it is stable.

    Raises
    ------
    ValueError
        If the signal is too short.

    Example
    -------
    >>> autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), order=1)
    array([ 1.  , -0.75])
    """
    if len(waveform) <= order:
        raise ValueError(
            f"a signal of {len(waveform)} samples must be longer than order ({order})"
        )
    samples = np.asarray(waveform, dtype=np.float64)
    length = len(samples)
    products = [samples[lag:] @ samples[: length - lag] for lag in range(order + 1)]
    return np.array(products) / length


def linear_prediction(correlation: np.ndarray) -> tuple[np.ndarray, float]:
    """Solve the normal equations of linear prediction.

    Shape: (order + 1,) -> (order + 1,), float.

    Arguments
    ---------
    correlation : np.ndarray
        See ``autocorrelation``.

    Returns
    -------
    tuple[np.ndarray, float]
        Coefficients 1, a_1, ... of the filter that leaves the prediction error, and the
        power of this error.

    Raises
    ------
    ValueError
        If the signal was silent.

    Example
    -------
    >>> coefficients, power = linear_prediction(np.array([1.0, 0.5, 0.25]))
    >>> bool(np.allclose(coefficients, [1, -0.5, 0], atol=1e-6)), round(power, 6)
    (True, 0.75)
    """
    if not correlation[0] > 0:
        raise ValueError("linear prediction needs speech that is not silent")
    correlation = correlation.copy()
    correlation[0] *= 1 + _WHITENING
    weights = solve_toeplitz(correlation[:-1], correlation[1:])
    power = correlation[0] - weights @ correlation[1:]
    return np.concatenate([[1.0], -weights]), float(power)


def speech_shaped_noise(
    speech: np.ndarray, num_samples: int, rng: np.random.Generator, order: int = ORDER
) -> np.ndarray:
    """Make noise with the spectral envelope and the level of speech.

    Shape: speech (L,) -> (num_samples,).

    Arguments
    ---------
    speech : np.ndarray
        Its source, not silent. Pauses lower the level, not the shape.
    num_samples : int
        Length of the noise.
    rng : np.random.Generator
        Source of chance.
    order : int
        Of the linear prediction.

    Returns
    -------
    np.ndarray
        float32.

    Example
    -------
    >>> speech = np.repeat([0.1, -0.1, 0.1, 0.3], 4000)
    >>> speech_shaped_noise(speech, 8000, np.random.default_rng(0)).shape
    (8000,)
    """
    coefficients, power = linear_prediction(autocorrelation(speech, order))
    white = np.sqrt(power) * rng.standard_normal(num_samples + _RUN_IN)
    return lfilter([1.0], coefficients, white)[_RUN_IN:].astype(np.float32)


def spectral_distance_db(
    noise: np.ndarray,
    speech: np.ndarray,
    order: int = ORDER,
    floor_power: float = 0.0,
) -> float:
    """How far the spectral envelope of noise is from that of its source.

    Both envelopes come from linear prediction. The source is scaled to the level of the
    noise, so only the shape counts.

    Shape: noise (L,), speech (M,) -> float.

    Arguments
    ---------
    noise : np.ndarray
        Noise to judge.
    speech : np.ndarray
        Its source.
    order : int
        Of the linear prediction.
    floor_power : float
        Power of white noise known to be in ``noise`` besides, such as that of rounding
        to 16 bits. It is added to the source.

    Returns
    -------
    float
        Root mean square over frequency of the difference of the envelopes, dB; NaN if
        one of the signals is silent or too short.

    Example
    -------
    >>> speech = np.random.default_rng(0).standard_normal(4000)
    >>> round(spectral_distance_db(3 * speech, speech), 6)
    0.0
    """
    if min(len(noise), len(speech)) <= order or not (noise.any() and speech.any()):
        return float("nan")
    of_noise = autocorrelation(noise, order)
    of_speech = autocorrelation(speech, order)
    of_speech *= max(of_noise[0] - floor_power, 0.0) / of_speech[0]
    of_speech[0] += floor_power
    difference = _envelope_db(of_noise) - _envelope_db(of_speech)
    return float(np.sqrt(np.mean(difference**2)))


def _envelope_db(correlation: np.ndarray) -> np.ndarray:
    coefficients, power = linear_prediction(correlation)
    _, response = freqz([1.0], coefficients, _NUM_BINS)
    return 10 * np.log10(power) + 20 * np.log10(np.abs(response))
