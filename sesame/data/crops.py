"""Random crops that depend on (seed, epoch, utterance id) and on nothing else.

So a resumed run, a run with another number of workers and a run on another number of
processes see the same crops.
"""

from hashlib import blake2b
from typing import Protocol

import numpy as np


class Counter(Protocol):
    """Anything with the current epoch, such as SpeechBrain's ``EpochCounter``.

    Example
    -------
    >>> from types import SimpleNamespace
    >>> counter: Counter = SimpleNamespace(current=3)
    >>> counter.current
    3
    """

    current: int


def keyed_rng(seed: int, epoch: int, item_id: str) -> np.random.Generator:
    """Random generator of one item in one epoch.

    The key is hashed with BLAKE2b: Python's own ``hash`` differs between processes.

    Arguments
    ---------
    seed : int
        Seed of the run.
    epoch : int
        Epoch, from 1 in a SpeechBrain run.
    item_id : str
        Id of the utterance.

    Returns
    -------
    np.random.Generator
        The same numbers for the same key, on every machine.

    Example
    -------
    >>> int(keyed_rng(3407, 1, "p226_001").integers(1000))
    498
    """
    # The length of the id needs no separator after it: it stands last.
    key = f"{int(seed)}/{int(epoch)}/{item_id}".encode()
    digest = blake2b(key, digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def current_epoch(epoch_counter: Counter | None) -> int:
    """Epoch of a counter, 0 without one.

    Arguments
    ---------
    epoch_counter : Counter | None
        Object with ``current``.

    Returns
    -------
    int
        Epoch.

    Example
    -------
    >>> current_epoch(None)
    0
    """
    return 0 if epoch_counter is None else int(epoch_counter.current)


def tile(waveform: np.ndarray, length: int) -> np.ndarray:
    """Repeat a waveform until it fills ``length`` samples.

    Shape: (L,) -> (length,).

    Arguments
    ---------
    waveform : np.ndarray
        Samples, at least one.
    length : int
        Samples wanted.

    Returns
    -------
    np.ndarray
        Its first ``length`` samples, repeated where the waveform is shorter.

    Raises
    ------
    ValueError
        If the waveform is empty.

    Example
    -------
    >>> tile(np.array([1, 2, 3]), 5)
    array([1, 2, 3, 1, 2])
    """
    if len(waveform) == 0:
        raise ValueError("cannot repeat an empty waveform")
    if len(waveform) >= length:
        return waveform[:length]
    return np.tile(waveform, -(-length // len(waveform)))[:length]


class RandomCrop:
    """Cuts a segment of fixed length, anew in each epoch.

    An utterance shorter than the segment is repeated to fill it: zero padding would
    train on frames that never occur.

    With more than 0 workers the data loader must not keep its workers between epochs
    (``persistent_workers: False``, the default): a worker sees the epoch at which it
    was started.

    Arguments
    ---------
    length : int
        Samples of a segment, at least 1.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` cuts the same segments for ever.

    Raises
    ------
    ValueError
        If ``length`` is less than 1.

    Example
    -------
    >>> crop = RandomCrop(length=4, seed=0)
    >>> start, stop = crop.span("p226_001", 10)
    >>> stop - start
    4
    >>> crop.span("short", 3)
    (0, 3)
    """

    def __init__(self, length: int, seed: int, epoch_counter: Counter | None = None):
        if length < 1:
            raise ValueError(f"length ({length}) must be at least 1 sample")
        self.length = length
        self.seed = seed
        self.epoch_counter = epoch_counter

    def span(self, item_id: str, num_samples: int) -> tuple[int, int]:
        """Choose the part of an utterance to read.

        Arguments
        ---------
        item_id : str
            Id of the utterance.
        num_samples : int
            Length of the utterance.

        Returns
        -------
        tuple[int, int]
            First sample and the one after the last; the whole utterance if it is
            not longer than a segment.
        """
        last_start = num_samples - self.length
        if last_start <= 0:
            return 0, num_samples
        epoch = current_epoch(self.epoch_counter)
        rng = keyed_rng(self.seed, epoch, item_id)
        start = int(rng.integers(last_start + 1))
        return start, start + self.length
