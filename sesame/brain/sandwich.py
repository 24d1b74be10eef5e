"""Which sub-networks of a slimmable network learn in a step, and from where."""

import numpy as np

__all__ = ["draw_exits", "draw_sizes", "draw_times", "draw_widths"]

# Of the steps before the full network learns in each, those in which it does.
_FULL_SHARE = 0.1


def draw_sizes(
    num_widths: int,
    depth: int,
    num_random_widths: int,
    num_random_exits: int | None,
    rng: np.random.Generator,
    early: bool = False,
) -> list[tuple[int, dict[int, float]]]:
    """Sub-networks that learn in a step: widths of ``draw_widths``, each with exits.

    Early in a run most steps can do without what is dear: then the widest is as wide as
    half of the network, and each is as deep as an exit that is drawn from the first two
    thirds. One step of ten has the full network, whose first channels and blocks these
    are: it stays near them.

    Arguments
    ---------
    num_widths : int
        Widths there are; the width n is n / num_widths of the channels.
    depth : int
        Exits there are.
    num_random_widths : int
        See ``draw_widths``.
    num_random_exits : int | None
        See ``draw_exits``.
    rng : np.random.Generator
        Source of chance.
    early : bool
        Whether the run is in its early part.

    Returns
    -------
    list[tuple[int, dict[int, float]]]
        Widths, and weights of their exits.

    Raises
    ------
    ValueError
        If a number is out of range.

    Example
    -------
    >>> draw_sizes(8, 6, 1, 1, np.random.default_rng(1), early=True)
    [(4, {3: 0.6, 4: 0.4}), (1, {1: 0.33333333333333337, 2: 0.6666666666666666})]
    """
    small = early and rng.random() >= _FULL_SHARE
    widths = draw_widths(num_widths, num_random_widths, rng)
    if small:
        widest = max(num_widths // 2, 1)
        widths = [*dict.fromkeys(min(width, widest) for width in widths)]
    sizes = []
    for width in widths:
        deepest = int(rng.integers(1, (2 * depth + 2) // 3 + 1)) if small else depth
        sizes.append((width, draw_exits(deepest, num_random_exits, rng)))
    return sizes


def draw_widths(
    num_widths: int, num_random: int, rng: np.random.Generator
) -> list[int]:
    """Full width, smallest width, and some of those between: the sandwich rule.

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
    [8, 1, 5, 4]
    """
    if num_widths < 1:
        raise ValueError(f"num_widths ({num_widths}) must be at least 1")
    if num_random < 0:
        raise ValueError(f"num_random ({num_random}) must be at least 0")
    between = np.arange(2, num_widths)
    drawn = rng.permutation(between)[:num_random].tolist()
    return [*dict.fromkeys((num_widths, 1)), *drawn]


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
