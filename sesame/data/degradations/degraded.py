"""What a degradation gives back: the waveform, and what was done to it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Degraded(NamedTuple):
    """A waveform and what was done to it.

    Shape: waveform (L,).

    Arguments
    ---------
    waveform : np.ndarray
        float32, of the length it had and in step with it.
    done : dict[str, Any]
        Each quantity by its name, such as ``{"loss_rate": 0.1}``.

    Example
    -------
    >>> Degraded(np.zeros(4, dtype=np.float32), {"loss_rate": 1.0}).done["loss_rate"]
    1.0
    """

    waveform: np.ndarray
    done: dict[str, Any]


class Degradation(Protocol):
    """Anything that degrades a waveform; all its chance comes from the generator.

    Example
    -------
    >>> from sesame.data.degradations.clipping import Clipping
    >>> degradation: Degradation = Clipping()
    """

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Degrade.

        Arguments
        ---------
        waveform : np.ndarray
            float32, (L,).
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        Degraded
            Waveform and what was done.
        """


def check_waveform(waveform: np.ndarray, name: str = "waveform") -> None:
    """Demand a mono waveform of floating-point samples.

    Arguments
    ---------
    waveform : np.ndarray
        Samples.
    name : str
        What to call it.

    Raises
    ------
    ValueError
        If it is not (L,) with L at least 1, not floating-point or not finite.

    Example
    -------
    >>> check_waveform(np.zeros((2, 4)))
    Traceback (most recent call last):
    ValueError: waveform (float64 (2, 4)) must be floating-point (L,), L at least 1
    """
    if (
        waveform.ndim != 1
        or len(waveform) == 0
        or not np.issubdtype(waveform.dtype, np.floating)
    ):
        raise ValueError(
            f"{name} ({waveform.dtype} {waveform.shape}) must be floating-point (L,), "
            "L at least 1"
        )
    if not np.isfinite(waveform).all():
        raise ValueError(f"{name} must not hold NaN or infinity")


def check_range(
    name: str, bounds: Sequence[float], least: float, most: float
) -> tuple[float, float]:
    """Demand the two ends of a range.

    Arguments
    ---------
    name : str
        What to call it.
    bounds : Sequence[float]
        Two values.
    least : float
        The first must not be below.
    most : float
        The second must not be above.

    Returns
    -------
    tuple[float, float]
        The two values.

    Raises
    ------
    ValueError
        If there are not two, or they are not in order between the limits.

    Example
    -------
    >>> check_range("rate", (0.3, 0.2), 0, 1)
    Traceback (most recent call last):
    ValueError: rate ([0.3, 0.2]) must be [min, max] with 0 <= min <= max <= 1
    """
    if len(bounds) != 2 or not least <= bounds[0] <= bounds[1] <= most:
        raise ValueError(
            f"{name} ({list(bounds)}) must be [min, max] with {least:g} <= min <= max "
            f"<= {most:g}"
        )
    return float(bounds[0]), float(bounds[1])
