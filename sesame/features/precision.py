"""The precision in which features and losses are computed."""

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widens half precision to float32 and leaves float32 and float64 alone.

    Shape: any -> the same.

    Arguments
    ---------
    tensor : Tensor
        Real tensor, for example the bfloat16 output of a network under autocast.

    Returns
    -------
    Tensor
        The same values in float32 or float64.

    Example
    -------
    >>> at_least_float32(torch.ones(2, dtype=torch.bfloat16)).dtype
    torch.float32
    >>> at_least_float32(torch.ones(2, dtype=torch.float64)).dtype
    torch.float64
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
