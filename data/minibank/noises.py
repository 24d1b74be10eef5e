"""Synthesisers for the noises of the minibank corpus, in numpy and scipy only.

Every kind is a function of a random generator and a length, so that the noise
of any utterance can be made again without a speech synthesiser. ``babble`` and
``cafe`` also mix the talkers they are given.
"""

import hashlib
from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

SAMPLE_RATE = 16000
"""Sampling rate of the corpus [Hz]."""

# 18 dB: impulsive kinds stay impulsive and still fit under clipping at 0 dB SNR.
MAX_CREST = 8.0


def rng_for(seed: int, *keys: str) -> np.random.Generator:
    """Return a random generator that depends on the seed and the keys only.

    Arguments
    ---------
    seed : int
        Seed of the corpus.
    *keys : str
        Names of what is drawn, for example an utterance and ``"noise"``.

    Returns
    -------
    numpy.random.Generator
        The same stream for the same arguments, in any order of calls.

    Example
    -------
    >>> first = rng_for(7, "p301_001", "noise").standard_normal(3)
    >>> again = rng_for(7, "p301_001", "noise").standard_normal(3)
    >>> bool((first == again).all())
    True
    """
    text = "/".join([str(seed), *keys])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def synthesize(
    kind: str,
    rng: np.random.Generator,
    num_samples: int,
    talkers: list[np.ndarray] | None = None,
) -> np.ndarray:
    """Synthesise one noise.

    Arguments
    ---------
    kind : str
        One of ``NOISES`` or ``TALKER_NOISES``.
    rng : numpy.random.Generator
        Source of randomness.
    num_samples : int
        Length [samples at 16 kHz].
    talkers : list of numpy.ndarray, optional
        Speech of several people at 16 kHz, for the kinds in ``TALKER_NOISES``.

    Returns
    -------
    numpy.ndarray
        Noise with an RMS of 1 and a peak of about ``MAX_CREST`` at most.

    Raises
    ------
    ValueError
        If the kind is unknown, the length is not positive, or talkers lack.

    Shape: (num_samples,)

    Example
    -------
    >>> noise = synthesize("wind", rng_for(0, "doc"), 8000)
    >>> noise.shape, round(float(np.sqrt(np.mean(noise**2))), 3)
    ((8000,), 1.0)
    """
    if num_samples < 1:
        raise ValueError(f"num_samples ({num_samples}) must be >= 1")
    if kind in NOISES:
        noise = NOISES[kind](rng, num_samples)
    elif kind in TALKER_NOISES:
        if not talkers:
            raise ValueError(f"noise {kind!r} needs talkers")
        noise = TALKER_NOISES[kind](rng, num_samples, talkers)
    else:
        known = sorted([*NOISES, *TALKER_NOISES])
        raise ValueError(f"kind ({kind!r}) must be one of {known}")
    noise = _unit(_distance(rng, noise))
    return _unit(MAX_CREST * np.tanh(noise / MAX_CREST))


def _distance(rng: np.random.Generator, noise: np.ndarray) -> np.ndarray:
    """Darken by a first-order low-pass, as walls and distance do to real noise."""
    pole = np.exp(-2 * np.pi * rng.uniform(100, 400) / SAMPLE_RATE)
    return lfilter([1 - pole], [1, -pole], noise)


def _unit(signal: np.ndarray) -> np.ndarray:
    """Scale to an RMS of 1."""
    return signal / np.sqrt(np.mean(signal**2) + 1e-30)


def _shaped(
    rng: np.random.Generator,
    num_samples: int,
    gain: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """White noise with the amplitude response gain(frequency [Hz]), RMS 1."""
    # At least 4 s, so that slow curves have bins to live in at any length.
    size = max(num_samples, 4 * SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    spectrum[0] = 0
    spectrum[1:] *= gain(frequency[1:])
    return _unit(np.fft.irfft(spectrum, size)[:num_samples])


def _slow(rng: np.random.Generator, num_samples: int, rate: float) -> np.ndarray:
    """Smooth random curve with changes up to the rate [Hz], RMS 1."""
    return _shaped(rng, num_samples, lambda f: np.exp(-((f / rate) ** 2)))


def _phase(frequency: np.ndarray) -> np.ndarray:
    """Phase [rad] of an oscillator with a varying frequency [Hz]."""
    return 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE


def _harmonics(
    rng: np.random.Generator, frequency: np.ndarray, count: int, slope: float
) -> np.ndarray:
    """Sum of harmonics below 7 kHz whose amplitudes fall as order^-slope, RMS 1."""
    phase = _phase(frequency)
    total = np.zeros(len(frequency))
    for order in range(1, count + 1):
        amplitude = rng.uniform(0.4, 1.0) * order**-slope
        shift = rng.uniform(0, 2 * np.pi)
        if order * frequency.max() < 7000:
            total += amplitude * np.sin(order * phase + shift)
    return _unit(total)


def _onsets(rng: np.random.Generator, num_samples: int, rate: float) -> list[int]:
    """Random event positions [samples], on average rate per second, never none."""
    count = max(1, round(rate * num_samples / SAMPLE_RATE))
    return sorted(int(num_samples * position) for position in rng.random(count))


def _ping(
    rng: np.random.Generator, frequency: float, decay: float, roughness: float
) -> np.ndarray:
    """Damped resonance [Hz, s] with a share of noise in it (0 to 1)."""
    time = np.arange(int(6 * decay * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * frequency * time)
    noise = rng.standard_normal(len(time))
    return np.exp(-time / decay) * ((1 - roughness) * tone + roughness * noise)


def _place(target: np.ndarray, onset: int, event: np.ndarray) -> None:
    """Add an event at an onset, in place, cut at the end."""
    piece = event[: max(0, len(target) - onset)]
    target[onset : onset + len(piece)] += piece


def _pink(rng, num_samples):
    return _shaped(rng, num_samples, lambda f: 1 / np.sqrt(np.maximum(f, 20)))


def _speech_shaped(rng, num_samples):
    """Stationary noise with a long-term spectrum like that of speech."""
    return _shaped(
        rng,
        num_samples,
        lambda f: np.minimum(1, (f / 100) ** 2) * np.minimum(1, (500 / f) ** 1.5),
    )


def _engine(rng, num_samples):
    """Wandering harmonic hum, modulated at half the firing rate, with rumble."""
    frequency = rng.uniform(30, 70) * (1 + 0.04 * _slow(rng, num_samples, 0.7))
    beat = 1 + 0.5 * np.sin(0.5 * _phase(frequency))
    rumble = _shaped(rng, num_samples, lambda f: 1 / (1 + (f / 200) ** 2))
    return beat * (_harmonics(rng, frequency, 60, 0.8) + 0.4 * rumble)


def _fan(rng, num_samples):
    """Steady broadband flow with weak blade tones."""
    frequency = np.full(num_samples, rng.uniform(90, 160))
    flow = _shaped(rng, num_samples, lambda f: 1 / (1 + (f / 700) ** 1.5))
    return flow + 0.35 * _harmonics(rng, frequency, 8, 1.0)


def _wind(rng, num_samples):
    """Low-passed noise in gusts, with a faint whistle."""
    gusts = np.exp(0.7 * _slow(rng, num_samples, 1.2))
    flow = _shaped(rng, num_samples, lambda f: 1 / (1 + (f / 180) ** 1.6))
    pitch = rng.uniform(400, 800) * (1 + 0.1 * _slow(rng, num_samples, 0.8))
    return gusts * flow + 0.08 * gusts**2 * np.sin(_phase(pitch))


def _rain(rng, num_samples):
    """Hiss with many small drops."""
    total = 0.5 * _shaped(rng, num_samples, lambda f: 1 / np.sqrt(1 + f / 500))
    for onset in _onsets(rng, num_samples, 90):
        drop = _ping(rng, rng.uniform(800, 5000), rng.uniform(0.001, 0.004), 0.5)
        _place(total, onset, 6 * rng.random() ** 2 * drop)
    return total


def _keyboard(rng, num_samples):
    """Key strokes, press and release, over a quiet room."""
    total = 0.05 * _pink(rng, num_samples)
    for onset in _onsets(rng, num_samples, 8):
        loudness = rng.uniform(0.5, 1.5)
        release = onset + int(SAMPLE_RATE * rng.uniform(0.06, 0.12))
        press = _ping(rng, rng.uniform(700, 1800), rng.uniform(0.003, 0.008), 0.7)
        _place(total, onset, loudness * press)
        lift = _ping(rng, rng.uniform(2000, 4000), 0.002, 0.7)
        _place(total, release, 0.5 * loudness * lift)
    return total


def _siren(rng, num_samples):
    """A wailing or yelping siren over distant traffic."""
    rate = rng.choice([0.4, 0.8, 3.0])
    time = np.arange(num_samples) / SAMPLE_RATE + rng.random() / rate
    frequency = 1000 + 400 * np.sin(2 * np.pi * rate * time)
    traffic = _shaped(rng, num_samples, lambda f: 1 / (1 + (f / 300) ** 1.2))
    return _harmonics(rng, frequency, 5, 1.2) + 0.4 * traffic


def _vacuum(rng, num_samples):
    """Motor whine that drifts with the load, in strong hiss."""
    frequency = rng.uniform(240, 420) * (1 + 0.02 * _slow(rng, num_samples, 0.5))
    hiss = _shaped(rng, num_samples, lambda f: f / (f + 300) / (1 + f / 3000))
    return 0.7 * _harmonics(rng, frequency, 15, 0.6) + hiss


def _rails(rng, num_samples):
    """A railway carriage: rumble, pairs of clacks at the joints, some squeal."""
    rumble = _shaped(rng, num_samples, lambda f: 1 / (1 + (f / 150) ** 2))
    hiss = _shaped(rng, num_samples, lambda f: 1 / (1 + (f / 1500) ** 2))
    total = rumble + 0.3 * hiss
    period = rng.uniform(0.5, 0.8)
    start = rng.uniform(0, period)
    for beat in np.arange(start, num_samples / SAMPLE_RATE, period):
        for delay in (0.0, 0.13):
            clack = _ping(rng, rng.uniform(300, 900), 0.02, 0.4)
            _place(total, int(SAMPLE_RATE * (beat + delay)), 4 * clack)
    squeal = np.maximum(0, _slow(rng, num_samples, 1.5))
    pitch = rng.uniform(2200, 3200) * (1 + 0.01 * _slow(rng, num_samples, 4))
    return total + 0.3 * squeal * np.sin(_phase(pitch))


def _babble(rng, num_samples, talkers):
    """Several people at once, each from a random moment on."""
    total = np.zeros(num_samples)
    for talker in talkers:
        moments = rng.integers(len(talker)) + np.arange(num_samples)
        total += rng.uniform(0.6, 1.4) * _unit(talker)[moments % len(talker)]
    return _unit(total)


def _cafe(rng, num_samples, talkers):
    """Distant talkers, crockery and a ventilation floor."""
    voices = lfilter([0.25], [1, -0.75], _babble(rng, num_samples, talkers))
    total = _unit(voices) + 0.3 * _pink(rng, num_samples)
    for onset in _onsets(rng, num_samples, 2.5):
        clink = _ping(rng, rng.uniform(2500, 6000), rng.uniform(0.01, 0.04), 0.05)
        _place(total, onset, rng.uniform(0.5, 2.5) * clink)
    return total


NOISES = {
    "pink": _pink,
    "speech_shaped": _speech_shaped,
    "engine": _engine,
    "fan": _fan,
    "wind": _wind,
    "rain": _rain,
    "keyboard": _keyboard,
    "siren": _siren,
    "vacuum": _vacuum,
    "rails": _rails,
}
"""Kinds made from randomness alone."""

TALKER_NOISES = {"babble": _babble, "cafe": _cafe}
"""Kinds that mix given talkers."""
