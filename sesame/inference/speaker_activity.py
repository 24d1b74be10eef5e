"""Who speaks when, and whether with a voice, in separated signals."""

import numpy as np

__all__ = ["frame_conditions"]

FRAME_SECONDS = 0.032
# A speaker is active where the level is above this, relative to the loudest frame of
# all speakers [dB]; the range of speech, without what is left of the others.
ACTIVE_DB = -30.0
EMPHASIS = 0.97
# Fundamental frequencies of speech [Hz], and the correlation of a frame with itself one
# period later from which on it is voiced.
LOWEST_PITCH, HIGHEST_PITCH = 60.0, 400.0
VOICED_CORRELATION = 0.5


def frame_conditions(
    sources: np.ndarray, sample_rate: int, num_frames: int
) -> dict[str, np.ndarray]:
    """Who speaks in each frame, and whether the voice of one of them is heard.

    A frame is voiced where an active speaker's signal repeats itself within the range
    of pitches. Signals as a network separated them are what this is measured on: it is
    as good as the separation.

    Shape: sources (J, L) -> masks (T,).

    Arguments
    ---------
    sources : np.ndarray
        Separated speakers.
    sample_rate : int
        Hz.
    num_frames : int
        T, frames that lie evenly on the signal, the first at its beginning and the
        last at its end.

    Returns
    -------
    dict[str, np.ndarray]
        Masks by name: "silence", "unvoiced" and "voiced", of which one holds for each
        frame, then "speaker 1 only" and so on, and "several speakers".

    Example
    -------
    >>> tone = np.sin(2 * np.pi * 150 * np.arange(8000) / 8000)
    >>> masks = frame_conditions(np.stack([tone, 0 * tone]), 8000, num_frames=11)
    >>> masks["voiced"].all(), masks["speaker 1 only"].all()
    (np.True_, np.True_)
    """
    # Rumble has energy, and is no speech: levels are those after pre-emphasis.
    emphasised = sources - EMPHASIS * np.pad(sources, ((0, 0), (1, 0)))[:, :-1]
    energy = np.square(_frames(emphasised, sample_rate, num_frames)).mean(axis=-1)
    frames = _frames(sources, sample_rate, num_frames)
    active = energy > 10 ** (ACTIVE_DB / 10) * energy.max()
    voiced = (active & (_periodicity(frames, sample_rate) > VOICED_CORRELATION)).any(0)
    num_active = active.sum(axis=0)
    masks = {
        "silence": num_active == 0,
        "unvoiced": (num_active > 0) & ~voiced,
        "voiced": voiced,
    }
    for number, own in enumerate(active, 1):
        masks[f"speaker {number} only"] = own & (num_active == 1)
    return masks | {"several speakers": num_active > 1}


def _frames(signals: np.ndarray, sample_rate: int, num_frames: int) -> np.ndarray:
    """Frames (J, T, n) of signals (J, L), centred evenly from beginning to end."""
    half = max(1, round(FRAME_SECONDS * sample_rate / 2))
    padded = np.pad(signals, ((0, 0), (half, half)))
    length = padded.shape[1] - 2 * half
    starts = np.linspace(0, length, num_frames).round().astype(int)
    return padded[:, starts[:, None] + np.arange(2 * half)]


def _periodicity(frames: np.ndarray, sample_rate: int) -> np.ndarray:
    """Largest normalised correlation of a frame with itself a pitch period later."""
    frames = frames - frames.mean(axis=-1, keepdims=True)
    size = frames.shape[-1]
    shortest = max(1, int(sample_rate / HIGHEST_PITCH))
    longest = min(size // 2, int(sample_rate / LOWEST_PITCH))
    lags = np.arange(shortest, longest + 1)
    spectrum = np.fft.rfft(frames, 2 * size)
    products = np.fft.irfft(np.square(np.abs(spectrum)))[..., lags]
    # Of the samples that a lag brings together: those before the last, after the first.
    energy = np.cumsum(np.square(frames), axis=-1)
    early, late = energy[..., size - 1 - lags], energy[..., -1:] - energy[..., lags - 1]
    norm = np.sqrt(np.maximum(early * late, 1e-30))
    return (products / norm).max(axis=-1, initial=0)
