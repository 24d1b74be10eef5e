"""Babble: several people who talk at once.

Source: the recipe of VB-DemandEx, the mean of six energy-normalised utterances without
their silence.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from sesame.data.crops import tile
from sesame.data.mixing import FRAME_SECONDS

NUM_TALKERS = 6
SPEECH_RANGE_DB = 30.0
Utterance = TypeVar("Utterance")


def remove_silence(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Leave out the frames in which nobody speaks.

    The voice activity detector goes by energy: a frame of 20 ms is speech if it is at
    most 30 dB below the loudest frame. About three quarters of VoiceBank and of
    LibriSpeech remain (the 40 dB of STOI would keep 97 % of VoiceBank: its pauses are
    not that quiet). ``torchaudio.functional.vad`` only trims the start, and detectors
    that are networks need weights. What remains is joined without cross-fades.

    Shape: (L,) -> (at most L,).

    Arguments
    ---------
    waveform : np.ndarray
        Speech.
    sample_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        Its active frames; nothing of a silent waveform.

    Example
    -------
    >>> speech = np.concatenate([np.ones(320), np.full(320, 1e-3), np.ones(100)])
    >>> remove_silence(speech, 16000).shape
    (420,)
    """
    if not waveform.any():
        return waveform[:0]
    frame = max(1, round(FRAME_SECONDS * sample_rate))
    starts = np.arange(0, len(waveform), frame)
    energy = np.add.reduceat(np.square(waveform, dtype=np.float64), starts)
    lengths = np.minimum(frame, len(waveform) - starts)
    power = energy / lengths
    active = power >= power.max() * 10 ** (-SPEECH_RANGE_DB / 10)
    return waveform[np.repeat(active, lengths)]


def talking(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Speech without silence at an RMS of 1.

    Shape: (L,) -> (at most L,).

    Arguments
    ---------
    waveform : np.ndarray
        Speech.
    sample_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        float32.

    Raises
    ------
    ValueError
        If the speech is silent.

    Example
    -------
    >>> talking(np.array([0.0, 0.0, -0.2]), sample_rate=50)
    array([-1.], dtype=float32)
    """
    speech = remove_silence(waveform, sample_rate)
    if len(speech) == 0:
        raise ValueError("a talker must not be silent")
    level = np.sqrt(np.mean(np.square(speech, dtype=np.float64)))
    return (speech / level).astype(np.float32)


def babble(
    talkers: Sequence[np.ndarray], num_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean of talkers, each from a random place on, repeated where it is too short.

    Shape: (L_1,), (L_2,), ... -> (num_samples,).

    Arguments
    ---------
    talkers : Sequence[np.ndarray]
        Speech as ``talking`` returns it.
    num_samples : int
        Length of the babble.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    np.ndarray
        float32.

    Raises
    ------
    ValueError
        If there is no talker.

    Example
    -------
    >>> talkers = [np.ones(3), -np.ones(5)]
    >>> babble(talkers, 4, np.random.default_rng(0)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    if not talkers:
        raise ValueError("babble needs at least one talker")
    total = np.zeros(num_samples, dtype=np.float32)
    for speech in talkers:
        total += tile(np.roll(speech, -int(rng.integers(len(speech)))), num_samples)
    return total / np.float32(len(talkers))


def choose_talkers(
    utterances: Mapping[str, Sequence[Utterance]],
    excluded: str,
    rng: np.random.Generator,
    count: int = NUM_TALKERS,
) -> list[Utterance]:
    """Draw utterances for babble, of different speakers as far as there are enough.

    Arguments
    ---------
    utterances : Mapping[str, Sequence[Utterance]]
        Utterances of each speaker.
    excluded : str
        Speaker who must not be drawn: the one to be heard.
    rng : np.random.Generator
        Source of chance.
    count : int
        Utterances to draw, at least 1.

    Returns
    -------
    list[Utterance]
        With fewer speakers than ``count`` some speak more than once, and an utterance
        is drawn twice only when its speaker has no other.

    Raises
    ------
    ValueError
        If there is no other speaker.

    Example
    -------
    >>> utterances = {"p1": ["a"], "p2": ["b"], "p3": ["c"]}
    >>> sorted(choose_talkers(utterances, "p1", np.random.default_rng(0), count=3))
    ['b', 'b', 'c']
    """
    speakers = sorted(name for name in utterances if name != excluded)
    if not speakers:
        raise ValueError(f"babble needs a speaker other than {excluded}")
    order = [speakers[i] for i in rng.permutation(len(speakers))]
    drawn: list[Utterance] = []
    shuffled = {name: rng.permutation(len(utterances[name])) for name in order[:count]}
    for index in range(count):
        turn, place = divmod(index, len(order))
        own = shuffled[order[place]]
        drawn.append(utterances[order[place]][own[turn % len(own)]])
    return drawn
