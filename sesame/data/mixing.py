"""Speech and noise added at a signal-to-noise ratio."""

from collections.abc import Sequence

import numpy as np

FRAME_SECONDS = 0.02
DYNAMIC_RANGE_DB = 40.0


def active_rms(waveform: np.ndarray, sample_rate: int) -> float:
    """Level of a signal while it is active, so that pauses do not lower it.

    Root mean square over the 20 ms frames that are at most 40 dB below the loudest
    frame (the rule of STOI). A last, shorter frame counts with its own length. For a
    stationary signal this is its RMS.

    Shape: waveform (L,) -> float.

    Arguments
    ---------
    waveform : np.ndarray
        Samples.
    sample_rate : int
        Hz.

    Returns
    -------
    float
        0 for silence or no samples.

    Example
    -------
    >>> speech = np.concatenate([np.ones(1600), np.zeros(1600)])
    >>> active_rms(speech, 16000)
    1.0
    """
    if len(waveform) == 0:
        return 0.0
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(waveform), frame)
    # float64: the squares of quiet samples underflow in float32.
    energy = np.add.reduceat(np.square(waveform, dtype=np.float64), starts)
    samples = np.minimum(frame, len(waveform) - starts)
    power = energy / samples
    active = power >= power.max() * 10 ** (-DYNAMIC_RANGE_DB / 10)
    return float(np.sqrt(energy[active].sum() / samples[active].sum()))


def mix_at_snr(
    clean: np.ndarray, noise: np.ndarray, snr_db: float, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Add noise to speech at a signal-to-noise ratio of their active levels.

    Shape: clean (L,), noise (L,) -> noisy (L,), clean (L,).

    Arguments
    ---------
    clean : np.ndarray
        Speech.
    noise : np.ndarray
        Noise of the same length.
    snr_db : float
        20 log10(active_rms(speech) / active_rms(noise)) in the mixture, dB.
    sample_rate : int
        Hz.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Noisy and clean signal. If a sample of either exceeds 1, both are scaled down by
        the same factor. Silent noise adds nothing; noise in silent speech keeps its
        own level.

    Raises
    ------
    ValueError
        If the lengths differ.

    Example
    -------
    >>> clean, noise = np.full(320, 0.2), np.full(320, -0.3)
    >>> noisy, _ = mix_at_snr(clean, noise, 20.0, 16000)
    >>> round(float(noisy[0]), 3)
    0.18
    """
    if clean.shape != noise.shape:
        raise ValueError(f"clean {clean.shape} and noise {noise.shape} must be equal")
    speech_level = active_rms(clean, sample_rate)
    noise_level = active_rms(noise, sample_rate)
    gain = 1.0
    if speech_level > 0 and noise_level > 0:
        gain = speech_level / noise_level * 10 ** (-snr_db / 20)
    noisy = clean + clean.dtype.type(gain) * noise
    peak = max(np.abs(noisy).max(initial=0), np.abs(clean).max(initial=0))
    if peak > 1:
        noisy, clean = noisy / peak, clean / peak
    return noisy, clean


def draw_snr(snr_db: Sequence[float], rng: np.random.Generator) -> float:
    """Draw a signal-to-noise ratio.

    Arguments
    ---------
    snr_db : Sequence[float]
        Two values are the ends of a range, drawn from uniformly; one value, or three
        and more, are a list, each as likely as the others. dB.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    float
        dB.

    Example
    -------
    >>> draw_snr([5.0], np.random.default_rng(0))
    5.0
    """
    if len(snr_db) == 2:
        return float(rng.uniform(snr_db[0], snr_db[1]))
    return float(snr_db[rng.integers(len(snr_db))])
