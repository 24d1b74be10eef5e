"""Weights of the tasks that items are drawn from."""

import math
from collections.abc import Collection, Iterable, Mapping

import numpy as np


def wanted_tasks(
    argument: str, weights: Mapping[str, float], known: Collection[str]
) -> dict[str, float]:
    """Keep the tasks whose weights are not 0.

    Arguments
    ---------
    argument : str
        What the user calls these weights.
    weights : Mapping[str, float]
        Weight of each name.
    known : Collection[str]
        Names that there are.

    Returns
    -------
    dict[str, float]
        The same without zeros.

    Raises
    ------
    ValueError
        If a name is unknown, a weight is negative or not finite, or all are 0.

    Example
    -------
    >>> wanted_tasks("tasks", {"declip": 1, "conceal": 0}, ["conceal", "declip"])
    {'declip': 1.0}
    """
    unknown = [name for name in weights if name not in known]
    if unknown:
        raise ValueError(
            f"{argument} ({', '.join(unknown)}) must be among {', '.join(known)}"
        )
    if not 0 < sum(weights.values()) < math.inf or min(weights.values()) < 0:
        raise ValueError(
            f"weights of {argument} ({dict(weights)}) must be 0 or more, and not all 0"
        )
    return {name: float(weight) for name, weight in weights.items() if weight > 0}


def shares(weights: Iterable[float]) -> np.ndarray:
    """Scale weights, so that they sum to 1.

    Arguments
    ---------
    weights : Iterable[float]
        0 or more, not all 0.

    Returns
    -------
    np.ndarray
        float64.

    Example
    -------
    >>> shares([1, 3]).tolist()
    [0.25, 0.75]
    """
    given = np.array([*weights], dtype=np.float64)
    return given / given.sum()
