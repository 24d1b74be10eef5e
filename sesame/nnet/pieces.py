"""How much of a tensor to process at once."""

import torch

__all__ = ["piece_size"]


def piece_size(
    x: torch.Tensor, count: int, item_bytes: int, budget: int, least: int = 1
) -> int:
    """How many items to process at once so that temporary memory stays in a budget.

    A CPU is fastest where the temporary tensors of one piece stay in its cache and
    below the size (32 MiB with glibc) from which on the system hands out memory page by
    page at every allocation. Other devices want everything at once, and so does a
    program that is compiled, traced or exported, which must not depend on the size.

    Arguments
    ---------
    x : torch.Tensor
        What is processed; its device counts.
    count : int
        Number of items, at least 1.
    item_bytes : int
        Bytes of temporary memory that each item needs, at least 1.
    budget : int
        Bytes of temporary memory of one piece.
    least : int
        Items that a piece should have even if they exceed the budget.

    Returns
    -------
    int
        Items per piece, 1 to ``count``; pieces of one call differ little in length.

    Example
    -------
    >>> piece_size(torch.zeros(1), count=101, item_bytes=100, budget=6000)
    51
    >>> piece_size(torch.zeros(1, device="meta"), 101, item_bytes=100, budget=6000)
    101
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if x.device.type != "cpu" or traced:
        return count
    pieces = -(-count * item_bytes // budget)
    return -(-count // min(pieces, max(count // least, 1)))
