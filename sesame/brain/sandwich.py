"""Which sub-networks of a slimmable network learn in a step, and from where."""

from collections.abc import Callable, Sequence

import numpy as np

__all__ = [
    "check_sizes",
    "check_stages",
    "current_stage",
    "draw_exits",
    "draw_sizes",
    "draw_times",
    "draw_widths",
]


def check_sizes(
    name: str, sizes: Sequence[Sequence[float]], size: Callable[[float, int], object]
) -> None:
    """Refuses sizes that a network does not have.

    Arguments
    ---------
    name : str
        What they are called, for the message.
    sizes : Sequence[Sequence[float]]
        Width and depth of each, at least one.
    size : Callable[[float, int], object]
        Raises a ValueError if the network does not have a width and depth.

    Raises
    ------
    ValueError
        If there is none, or one that the network does not have.

    Example
    -------
    >>> check_sizes("test_sizes", [[0.5, 3]], size=lambda width, depth: None)
    """
    try:
        for width, depth in sizes:
            size(width, depth)
        if not sizes:
            raise ValueError("there is none")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} ({sizes}) must be [width, depth] of sizes: {error}"
        ) from error


def check_stages(
    stages: Sequence[Sequence[float]], size: Callable[[float, int], object]
) -> None:
    """Refuses stages that are not what ``current_stage`` takes.

    Arguments
    ---------
    stages : Sequence[Sequence[float]]
        See ``current_stage``.
    size : Callable[[float, int], object]
        Raises a ValueError if a network does not have a width and depth.

    Raises
    ------
    ValueError
        If a stage has other entries, a size that is not there, or a share that is none.

    Example
    -------
    >>> check_stages([[8, 0.5, 3, 0.3]], size=lambda width, depth: None)
    """
    try:
        for _, width, depth, share in stages:
            size(width, depth)
            if not 0 <= share <= 1:
                raise ValueError(f"share ({share}) must be in [0, 1]")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"stages ({stages}) must be [last epoch, width, depth, share]: {error}"
        ) from error


def current_stage(
    stages: Sequence[Sequence[float]], epoch: int
) -> tuple[float, int | None, float]:
    """What is the full network in an epoch, and how often others learn.

    Arguments
    ---------
    stages : Sequence[Sequence[float]]
        One after the other: last epoch, fraction of the channels, blocks, and the share
        of steps in which other widths than this learn.
    epoch : int
        From 1.

    Returns
    -------
    tuple[float, int | None, float]
        Fraction of the channels, blocks, share; after the last stage 1, all (``None``)
        and 1.

    Example
    -------
    >>> stages = [[8, 0.5, 3, 0.3], [10, 0.5, 6, 0.5]]
    >>> [current_stage(stages, epoch) for epoch in (8, 9, 11)]
    [(0.5, 3, 0.3), (0.5, 6, 0.5), (1.0, None, 1.0)]
    """
    for last_epoch, width, depth, share in stages:
        if epoch <= last_epoch:
            return width, depth, share
    return 1.0, None, 1.0


def draw_sizes(
    num_widths: int,
    depth: int,
    num_random_widths: int,
    num_random_exits: int | None,
    rng: np.random.Generator,
    share: float = 1.0,
) -> list[tuple[int, dict[int, float]]]:
    """Sub-networks that learn in a step: widths of ``draw_widths``, each with exits.

    The full width learns in every step. Were it left out of some, Muon would go on
    along the momentum of the last one that had it, in steps of full length.

    Arguments
    ---------
    num_widths : int
        Widths there are; the last one is the full width.
    depth : int
        Exits there are.
    num_random_widths : int
        See ``draw_widths``.
    num_random_exits : int | None
        See ``draw_exits``.
    rng : np.random.Generator
        Source of chance.
    share : float
        Share of the steps in which other widths learn, too, in [0, 1].

    Returns
    -------
    list[tuple[int, dict[int, float]]]
        Widths, and weights of their exits; the full one first.

    Raises
    ------
    ValueError
        If a number is out of range.

    Example
    -------
    >>> draw_sizes(4, 3, 1, 1, np.random.default_rng(1))
    [(4, {1: 0.5, 3: 0.5}), (1, {2: 0.5, 3: 0.5}), (2, {1: 0.5, 3: 0.5})]
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share ({share}) must be in [0, 1]")
    widths = draw_widths(num_widths, num_random_widths, rng)
    if rng.random() >= share:
        widths = widths[:1]
    return [(width, draw_exits(depth, num_random_exits, rng)) for width in widths]


def draw_widths(
    num_widths: int, num_random: int, rng: np.random.Generator
) -> list[int]:
    """Full width, smallest width, and some of those between: the sandwich rule.

    Those between are drawn in inverse proportion to their channels: the narrow ones,
    which share fewest weights with the full width, learn more often, and cost little.

    Source: arXiv:1903.05134 (universally slimmable networks), section 3.2.

    Arguments
    ---------
    num_widths : int
        Widths there are; the width n is n / num_widths of the channels.
    num_random : int
        Widths to draw between the smallest and the full, all if there are fewer.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    list[int]
        Widths, none of them twice, the full one first.

    Raises
    ------
    ValueError
        If a number is out of range.

    Example
    -------
    >>> draw_widths(8, 2, np.random.default_rng(0))
    [8, 1, 4, 2]
    """
    if num_widths < 1:
        raise ValueError(f"num_widths ({num_widths}) must be at least 1")
    if num_random < 0:
        raise ValueError(f"num_random ({num_random}) must be at least 0")
    between = np.arange(2, num_widths)
    num_drawn = min(num_random, len(between))
    if num_drawn == 0:
        return [*dict.fromkeys((num_widths, 1))]
    chances = 1 / between
    drawn = rng.choice(between, num_drawn, replace=False, p=chances / chances.sum())
    return [num_widths, 1, *drawn.tolist()]


def draw_exits(
    depth: int, num_random: int | None, rng: np.random.Generator
) -> dict[int, float]:
    """Exits that learn, and what each of them weighs.

    Exit l of L weighs l / (1 + ... + L). Where only some are drawn besides the last,
    they share what all of these weigh, and are drawn by it: on average the loss is that
    of all exits.

    Arguments
    ---------
    depth : int
        L, exits there are.
    num_random : int | None
        Exits to draw besides the last, with repetition; ``None``: all learn.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    dict[int, float]
        Exit, from 1, and weight; in order, the last among them. The weights sum to 1.

    Raises
    ------
    ValueError
        If a number is out of range.

    Example
    -------
    >>> draw_exits(3, None, np.random.default_rng(0))
    {1: 0.16666666666666666, 2: 0.3333333333333333, 3: 0.5}
    >>> draw_exits(3, 1, np.random.default_rng(0))
    {2: 0.5, 3: 0.5}
    """
    if depth < 1:
        raise ValueError(f"depth ({depth}) must be at least 1")
    total = depth * (depth + 1) / 2
    shares = {exit: exit / total for exit in range(1, depth + 1)}
    if num_random is None:
        return shares
    if num_random < 1:
        raise ValueError(f"num_random ({num_random}) must be at least 1 or None")
    last = shares.pop(depth)
    if not shares:
        return {depth: last}
    chances = np.array(list(shares.values())) / (1 - last)
    drawn = rng.choice(list(shares), num_random, p=chances).tolist()
    weights = dict.fromkeys(sorted(drawn), 0.0)
    for exit in drawn:
        weights[exit] += (1 - last) / num_random
    return {**weights, depth: last}


def draw_times(num_items: int, rng: np.random.Generator) -> list[float]:
    """Times of flow matching at which the items of a batch are asked for their targets.

    Half of them, in the mean, are asked at the start, as the predictive network is, the
    others anywhere on the way.

    Arguments
    ---------
    num_items : int
        Times to draw.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    list[float]
        Times in [0, 1).

    Example
    -------
    >>> [round(time, 2) for time in draw_times(4, np.random.default_rng(2))]
    [0.0, 0.09, 0.73, 0.0]
    """
    starts, times = rng.random((num_items, 2)).T
    return np.where(starts < 0.5, 0.0, times).tolist()
