"""Speech and noise added at a segmental signal-to-noise ratio, as the DNS script does.

"Segmental SNR" here is not the mean over frames that ``ssnr`` measures, but one ratio
of levels taken where the noise is active:

1. Both signals are cut into windows of 100 ms (the last one may be shorter).
2. A window is active if the RMS of the noise in it is less than 25 dB below the peak
   of the noise in the whole signal. (The DNS script writes -50: it compares 20 log10 of
   a mean square, so its 50 are 25 dB.) If none is, the loudest one is.
3. SSNR = 20 log10(RMS of the speech / RMS of the noise) over all samples of the active
   windows, the same windows for both.

For a noise that never pauses this is the SNR over the whole signal.

The script first brings speech and noise to -25 dBFS, which cancels out when the mixture
is levelled afterwards, so it is left out here. It then scales the noise by the ratio of
the levels as they were before that step, so the SSNR that it reaches differs from the
one asked for by this ratio; here the SSNR asked for is the one in the mixture.

Source: microsoft/DNS-Challenge, audiolib.py, ``segmental_snr_mixer`` and
``active_rms``.
"""

import numpy as np

WINDOW_SECONDS = 0.1
ACTIVE_RANGE_DB = 25.0
MAX_PEAK = 0.99


def active_levels(
    clean: np.ndarray, noise: np.ndarray, sample_rate: int
) -> tuple[float, float]:
    """Levels of speech and noise while the noise is active.

    Shape: clean (L,), noise (L,) -> two floats.

    Arguments
    ---------
    clean : np.ndarray
        Speech.
    noise : np.ndarray
        Noise of the same length, at least one sample.
    sample_rate : int
        Hz.

    Returns
    -------
    tuple[float, float]
        RMS of the speech and of the noise over the active windows.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.

    Example
    -------
    >>> noise = np.concatenate([np.full(1600, 0.1), np.zeros(1600)])
    >>> clean = np.concatenate([np.full(1600, 0.2), np.full(1600, 0.9)])
    >>> speech_level, noise_level = active_levels(clean, noise, 16000)
    >>> round(speech_level, 6), round(noise_level, 6)
    (0.2, 0.1)
    """
    if clean.shape != noise.shape or len(clean) == 0:
        raise ValueError(
            f"clean {clean.shape} and noise {noise.shape} must be equal and not empty"
        )
    window = max(1, round(WINDOW_SECONDS * sample_rate))
    starts = np.arange(0, len(noise), window)
    samples = np.minimum(window, len(noise) - starts)
    speech_energy, noise_energy = (
        # float64: the squares of quiet samples underflow in float32.
        np.add.reduceat(np.square(signal, dtype=np.float64), starts)
        for signal in (clean, noise)
    )
    power = noise_energy / samples
    peak = float(np.abs(noise).max())
    active = power > peak**2 * 10 ** (-ACTIVE_RANGE_DB / 10)
    if not active.any():
        active = power == power.max()
    total = samples[active].sum()
    return (
        float(np.sqrt(speech_energy[active].sum() / total)),
        float(np.sqrt(noise_energy[active].sum() / total)),
    )


def segmental_snr(clean: np.ndarray, noise: np.ndarray, sample_rate: int) -> float:
    """Measure the segmental SNR, as this module defines it.

    Shape: clean (L,), noise (L,) -> float.

    Arguments
    ---------
    clean : np.ndarray
        Speech in the mixture.
    noise : np.ndarray
        Noise in the mixture.
    sample_rate : int
        Hz.

    Returns
    -------
    float
        dB; NaN if one of them is silent where the noise is active.

    Example
    -------
    >>> round(segmental_snr(np.full(800, 0.5), np.full(800, -0.05), 16000), 6)
    20.0
    """
    speech_level, noise_level = active_levels(clean, noise, sample_rate)
    if speech_level == 0 or noise_level == 0:
        return float("nan")
    return float(20 * np.log10(speech_level / noise_level))


def mix_at_segmental_snr(
    clean: np.ndarray,
    noise: np.ndarray,
    snr_db: float,
    sample_rate: int,
    level_dbfs: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to speech at a segmental SNR and bring the mixture to a level.

    Shape: clean (L,), noise (L,) -> noisy (L,), clean (L,).

    Arguments
    ---------
    clean : np.ndarray
        Speech.
    noise : np.ndarray
        Noise of the same length.
    snr_db : float
        Segmental SNR of the mixture, dB.
    sample_rate : int
        Hz.
    level_dbfs : float
        RMS of the mixture, dB re full scale. Where a sample of either signal would
        pass 0.99, both are scaled down to that peak, and the level is lower.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Noisy and clean signal, scaled alike. Where speech or noise is silent there is
        no ratio: they are added as they are, and the sum is levelled.

    Example
    -------
    >>> clean, noise = np.full(1600, 0.2), np.full(1600, 0.3)
    >>> noisy, clean = mix_at_segmental_snr(clean, noise, 20.0, 16000, -40.0)
    >>> round(float(noisy[0]), 6), round(float(noisy[0] / clean[0]), 6)
    (0.01, 1.1)
    """
    speech_level, noise_level = active_levels(clean, noise, sample_rate)
    gain = 1.0
    if speech_level > 0 and noise_level > 0:
        gain = speech_level / noise_level * 10 ** (-snr_db / 20)
    noisy = clean + noise * noise.dtype.type(gain)
    power = np.square(noisy, dtype=np.float64).mean()
    if power > 0:
        scale = 10 ** (level_dbfs / 20) / np.sqrt(power)
        peak = max(np.abs(noisy).max(), np.abs(clean).max())
        scale = clean.dtype.type(min(scale, MAX_PEAK / float(peak)))
        noisy, clean = noisy * scale, clean * scale
    return noisy, clean
