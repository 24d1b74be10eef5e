"""Reading the authors' checkpoint files."""

from os import PathLike

import torch

__all__ = ["read_generator"]


def read_generator(path: str | PathLike) -> dict[str, torch.Tensor]:
    """Reads the state dict of a generator; nothing in the file is executed.

    Arguments
    ---------
    path : str | PathLike
        File written by ``torch.save``: a state dict, or one under "generator".

    Returns
    -------
    dict[str, torch.Tensor]
        The state dict, on the CPU, under the authors' names.

    Example
    -------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "g_best")
    >>> torch.save({"generator": {"slope": torch.ones(1)}}, path)
    >>> read_generator(path)
    {'slope': tensor([1.])}
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint.get("generator", checkpoint)
