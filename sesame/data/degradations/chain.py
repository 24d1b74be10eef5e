"""Degradations one after the other: all of them, or a few drawn for each waveform."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sesame.data.degradations.degraded import Degradation, Degraded

EXTRA_WEIGHTS = (0.25, 0.40, 0.20, 0.15)


class Chain:
    """Applies all of some degradations in their order.

    ``done`` is what each did, under its name (``"Clipping"``).

    Arguments
    ---------
    degradations : Sequence[Degradation]
        What to apply, none twice.

    Raises
    ------
    ValueError
        If two have the same name.

    Example
    -------
    >>> from sesame.data.degradations.clipping import Clipping
    >>> from sesame.data.degradations.packet_loss import PacketLoss
    >>> chain = Chain([Clipping(), PacketLoss()])
    >>> noise = np.random.default_rng(0).normal(size=3200).astype(np.float32)
    >>> list(chain(noise, 16000, np.random.default_rng(0)).done)
    ['Clipping', 'PacketLoss']
    """

    def __init__(self, degradations: Sequence[Degradation]):
        names = [type(degradation).__name__ for degradation in degradations]
        if len(set(names)) != len(names):
            raise ValueError(f"degradations ({', '.join(names)}) must differ")
        self.degradations = tuple(degradations)

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Apply them.

        Arguments
        ---------
        waveform : np.ndarray
            Samples, (L,).
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        Degraded
            Waveform after the last.
        """
        done: dict[str, Any] = {}
        for degradation in self.degradations:
            waveform, its = degradation(waveform, sample_rate, rng)
            done[type(degradation).__name__] = its
        return Degraded(waveform, done)


class DrawnChain:
    """Applies a random number of degradations, drawn without repetition.

    Those drawn are applied in the order in which they are given, which should be that
    of a real device: clipping comes before the codec, and packets are lost last.

    Arguments
    ---------
    degradations : Sequence[Degradation]
        What to draw from.
    weights : Sequence[float]
        Weights of 0, 1, 2, ... degradations; a number beyond those there are means all.

    Raises
    ------
    ValueError
        If a weight is negative, or all are 0.

    Source: numbers of the URGENT challenge, 0.25, 0.40, 0.20 and 0.15 for 0 to 3.

    Example
    -------
    >>> from sesame.data.degradations.clipping import Clipping
    >>> drawn = DrawnChain([Clipping()], weights=[1.0, 0.0])
    >>> drawn(np.ones(4, np.float32), 16000, np.random.default_rng(0)).done
    {}
    """

    def __init__(
        self,
        degradations: Sequence[Degradation],
        weights: Sequence[float] = EXTRA_WEIGHTS,
    ):
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not (
            (self.weights >= 0).all() and 0 < self.weights.sum() < np.inf
        ):
            raise ValueError(
                f"weights ({list(weights)}) must be 0 or more, and not all 0"
            )
        self.degradations = Chain(degradations).degradations

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Draw and apply.

        Arguments
        ---------
        waveform : np.ndarray
            Samples, (L,).
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        Degraded
            Waveform; the keys of ``done`` are those that were drawn.
        """
        there = len(self.degradations)
        number = rng.choice(len(self.weights), p=self.weights / self.weights.sum())
        drawn = rng.choice(there, min(int(number), there), replace=False)
        chain = Chain([self.degradations[index] for index in sorted(drawn)])
        return chain(waveform, sample_rate, rng)
