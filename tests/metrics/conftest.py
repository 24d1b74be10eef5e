"""Signals made from integers and sines alone: the same on every machine."""

import numpy as np
import pytest

SAMPLE_RATE = 16000


def make_noise(num_samples: int, seed: int) -> np.ndarray:
    """Uniform noise in [-1, 1) from a 32-bit linear congruential generator."""
    states = np.empty(num_samples, dtype=np.uint64)
    state = seed
    for i in range(num_samples):
        state = (1664525 * state + 1013904223) % 2**32
        states[i] = state
    return states / 2.0**31 - 1


def make_speech(num_samples: int) -> np.ndarray:
    """A harmonic tone of gliding pitch with syllables, pauses and breath noise."""
    time = np.arange(num_samples) / SAMPLE_RATE
    phase = 2 * np.pi * (120 * time + 8 * np.sin(2 * np.pi * 0.7 * time))
    voiced = sum(
        np.cos(k * phase) / (1 + ((k * 120 - 600) / 400) ** 2) for k in range(1, 30)
    )
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None) ** 0.5
    return 0.1 * syllables * voiced + 0.003 * make_noise(num_samples, seed=1)


def to_int16(signal: np.ndarray) -> np.ndarray:
    """Rounded to 16 bits, which also hides the last digit of the sines."""
    return np.round(32767 * np.clip(signal, -1, 1)).astype(np.int16)


@pytest.fixture(scope="session")
def speech_pair() -> tuple[np.ndarray, np.ndarray]:
    """(noisy, clean) of 2 s, int16, 16 kHz."""
    clean = make_speech(2 * SAMPLE_RATE)
    noise = make_noise(clean.size, seed=2)
    noise = noise + 0.9 * np.roll(noise, 1)
    return to_int16(0.9 * clean + 0.02 * noise), to_int16(clean)
