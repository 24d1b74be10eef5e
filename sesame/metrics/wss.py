"""Weighted spectral slope distance between two frames."""

import functools

import numpy as np

# Klatt's 25 critical bands, Hz.
# fmt: off
CENTRES = np.array([
    50.0, 120.0, 190.0, 260.0, 330.0, 400.0, 470.0, 540.0, 617.372, 703.378,
    798.717, 904.128, 1020.38, 1148.30, 1288.72, 1442.54, 1610.70, 1794.16,
    1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63,
])
WIDTHS = np.array([
    70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 77.3724, 86.0056, 95.3398,
    105.411, 116.256, 127.914, 140.423, 153.823, 168.154, 183.457, 199.776,
    217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136,
])
# fmt: on
ENERGY_FLOOR = 1e-10
GLOBAL_PEAK_WEIGHT = 20.0
LOCAL_PEAK_WEIGHT = 1.0


@functools.cache
def critical_bands(sample_rate: int, n_fft: int) -> np.ndarray:
    """Gaussian critical-band filters on the power spectrum.

    Shape: -> (25, n_fft // 2).

    Arguments
    ---------
    sample_rate : int
        Hz.
    n_fft : int
        FFT size, samples.

    Returns
    -------
    np.ndarray
        Filter gains; below exp(-30 / 4.606) exactly 0.

    Example
    -------
    >>> critical_bands(16000, 1024).shape
    (25, 512)
    """
    bins = n_fft // 2
    bins_per_hz = bins / (sample_rate / 2)
    distance = np.arange(bins) - np.floor(CENTRES * bins_per_hz)[:, None]
    gains = np.exp(
        -11 * (distance / (WIDTHS * bins_per_hz)[:, None]) ** 2
        + np.log(WIDTHS[0] / WIDTHS)[:, None]
    )
    return np.where(gains > np.exp(-30 / (2 * 2.303)), gains, 0.0)


def band_levels(frames: np.ndarray, sample_rate: int) -> np.ndarray:
    """Level of each frame in each critical band.

    Shape: frames (T, frame length) -> (T, 25).

    Arguments
    ---------
    frames : np.ndarray
        Windowed frames.
    sample_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        dB, floored at -100 dB.

    Example
    -------
    >>> band_levels(np.zeros((3, 480)), 16000)[0, :2]
    array([-100., -100.])
    """
    n_fft = 2 ** int(np.ceil(np.log2(2 * frames.shape[-1])))
    power = np.abs(np.fft.rfft(frames, n_fft)[:, : n_fft // 2]) ** 2
    energy = power @ critical_bands(sample_rate, n_fft).T
    return 10 * np.log10(np.maximum(energy, ENERGY_FLOOR))


def slope_weights(levels: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Klatt's weights: slopes near a spectral peak count most.

    Shape: levels (T, 25), slopes (T, 24) -> (T, 24).

    Arguments
    ---------
    levels : np.ndarray
        Band levels, dB.
    slopes : np.ndarray
        Differences of neighbouring band levels, dB.

    Returns
    -------
    np.ndarray
        Weights in (0, 1].

    Example
    -------
    >>> levels = np.array([[0.0, 10.0, 0.0]])
    >>> slope_weights(levels, np.diff(levels)).round(3)
    array([[0.667, 1.   ]])
    """
    num_slopes = slopes.shape[-1]
    bands = np.arange(num_slopes)
    after = np.where(slopes <= 0, bands, num_slopes)
    first_fall = np.minimum.accumulate(after[:, ::-1], axis=-1)[:, ::-1]
    before = np.where(slopes > 0, bands, -1)
    last_rise = np.maximum.accumulate(before, axis=-1)
    # On a rising flank the published code takes the band below the peak.
    peak_band = np.where(slopes > 0, first_fall - 1, last_rise + 1)
    local_peak = np.take_along_axis(levels, peak_band, axis=-1)
    global_peak = levels.max(axis=-1, keepdims=True)
    levels = levels[:, :-1]
    return (GLOBAL_PEAK_WEIGHT / (GLOBAL_PEAK_WEIGHT + global_peak - levels)) * (
        LOCAL_PEAK_WEIGHT / (LOCAL_PEAK_WEIGHT + local_peak - levels)
    )


def weighted_slope(
    estimate_frames: np.ndarray, target_frames: np.ndarray, sample_rate: int
) -> np.ndarray:
    """Weighted spectral slope distance of each frame, 0 for equal spectra.

    Shape: both (T, frame length) -> (T,).
    Source: Klatt, ICASSP 1982; comp_wss in Loizou's composite.m.

    Arguments
    ---------
    estimate_frames : np.ndarray
        Windowed frames of the signal under test; the floor of -100 dB makes the
        distance depend on their scale.
    target_frames : np.ndarray
        Windowed frames of the clean reference.
    sample_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        Weighted mean of squared slope differences, dB^2.

    Example
    -------
    >>> frames = np.random.default_rng(0).standard_normal((2, 480))
    >>> weighted_slope(frames, frames, 16000)
    array([0., 0.])
    """
    estimate_levels = band_levels(estimate_frames, sample_rate)
    target_levels = band_levels(target_frames, sample_rate)
    estimate_slopes = np.diff(estimate_levels)
    target_slopes = np.diff(target_levels)
    weights = slope_weights(estimate_levels, estimate_slopes)
    weights = (weights + slope_weights(target_levels, target_slopes)) / 2
    squares = (target_slopes - estimate_slopes) ** 2
    return np.sum(weights * squares, axis=-1) / weights.sum(axis=-1)
