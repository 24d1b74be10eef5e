"""Signals added: speech and noise at a signal-to-noise ratio, talkers at levels."""

from collections.abc import Sequence

import numpy as np

FRAME_SECONDS = 0.02
DYNAMIC_RANGE_DB = 40.0
MAX_PEAK = 0.9


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


def ratio_gain(
    signal: np.ndarray, other: np.ndarray, ratio_db: float, sample_rate: int
) -> float:
    """Gain that brings another signal to a distance below a signal.

    Shape: signal (L,), other (L,) -> float.

    Arguments
    ---------
    signal : np.ndarray
        What stays as it is.
    other : np.ndarray
        What the gain is for.
    ratio_db : float
        Wanted 20 log10(active_rms(signal) / active_rms(gain * other)), dB.
    sample_rate : int
        Hz.

    Returns
    -------
    float
        Gain; 1 if either is silent.

    Example
    -------
    >>> round(ratio_gain(np.ones(320), np.full(320, 0.5), 20.0, 16000), 3)
    0.2
    """
    level = active_rms(signal, sample_rate)
    other_level = active_rms(other, sample_rate)
    if level == 0 or other_level == 0:
        return 1.0
    return level / other_level * 10 ** (-ratio_db / 20)


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
    gain = ratio_gain(clean, noise, snr_db, sample_rate)
    noisy = clean + clean.dtype.type(gain) * noise
    peak = max(np.abs(noisy).max(initial=0), np.abs(clean).max(initial=0))
    if peak > 1:
        noisy, clean = noisy / peak, clean / peak
    return noisy, clean


def mix_at_levels(
    sources: np.ndarray, levels_dbfs: Sequence[float], sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Add sources, each at a level.

    Shape: sources (J, L) -> mixture (L,), sources (J, L).

    Arguments
    ---------
    sources : np.ndarray
        Signals.
    levels_dbfs : Sequence[float]
        Level of each in the mixture: ``active_rms`` in dB re full scale.
    sample_rate : int
        Hz.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        The mixture, and the sources as they are in it. If a sample of any of them
        exceeds 0.9 (LibriMix's limit), all are scaled down by the same factor. A silent
        source stays silent.

    Raises
    ------
    ValueError
        If there is not one level for each source.

    Example
    -------
    >>> mixture, sources = mix_at_levels(np.ones((2, 320)), [-20.0, -40.0], 16000)
    >>> sources[:, 0].round(3).tolist(), round(float(mixture[0]), 3)
    ([0.1, 0.01], 0.11)
    """
    if len(levels_dbfs) != len(sources):
        raise ValueError(
            f"number of levels ({len(levels_dbfs)}) must be that of the sources "
            f"({len(sources)})"
        )
    own = np.array([active_rms(source, sample_rate) for source in sources])
    wanted = 10 ** (np.asarray(levels_dbfs, dtype=np.float64) / 20)
    gains = np.divide(wanted, own, out=np.zeros_like(own), where=own > 0)
    sources = sources * gains[:, None].astype(sources.dtype)
    mixture = sources.sum(axis=0)
    peak = max(np.abs(mixture).max(initial=0), np.abs(sources).max(initial=0))
    if peak > MAX_PEAK:
        scale = sources.dtype.type(MAX_PEAK / peak)
        mixture, sources = mixture * scale, sources * scale
    return mixture, sources


def check_levels(name: str, levels_db: Sequence[float]) -> None:
    """Demand levels or ratios that ``draw_snr`` can draw from.

    Arguments
    ---------
    name : str
        What to call them.
    levels_db : Sequence[float]
        See ``draw_snr``.

    Raises
    ------
    ValueError
        If there is none, one is not finite, or the ends of a range are not in order.

    Example
    -------
    >>> check_levels("snr_db", [20.0, 0.0])
    Traceback (most recent call last):
    ValueError: snr_db ([20.0, 0.0]) must be [min, max] in dB with min <= max, or a list
    of values
    """
    if (
        len(levels_db) == 0
        or not np.isfinite(levels_db).all()
        or (len(levels_db) == 2 and levels_db[0] > levels_db[1])
    ):
        raise ValueError(
            f"{name} ({list(levels_db)}) must be [min, max] in dB with min <= max, or "
            "a list of values"
        )


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
