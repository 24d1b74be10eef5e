"""The authors' SEMamba weights under our names."""

from collections.abc import Mapping
from os import PathLike

import torch

from sesame.compat.checkpoint import read_generator
from sesame.compat.dual_path import convert_dual_path
from sesame.compat.mamba import DIRECTION_RULES

__all__ = ["convert_state_dict", "load_checkpoint"]


def convert_state_dict(official: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Renames a generator's state dict so that ``SEMamba`` loads it strictly.

    Source: RoyChao19477/SEMamba@750ff5d, models/generator.py.

    Arguments
    ---------
    official : Mapping[str, torch.Tensor]
        State dict of the authors' generator, with or without
        DistributedDataParallel's ``module.`` prefix.

    Returns
    -------
    dict[str, torch.Tensor]
        The same tensors under our names.

    Raises
    ------
    ValueError
        If an entry does not belong to this network.

    Example
    -------
    >>> name = "TSMamba.0.time_mamba.forward_blocks.0.mixer.D"
    >>> list(convert_state_dict({name: torch.ones(256)}))
    ['blocks.0.time_layer.backbone.forward_layer.mixer.direct']
    """
    return convert_dual_path(official, "TSMamba", "mamba", DIRECTION_RULES)


def load_checkpoint(path: str | PathLike) -> dict[str, torch.Tensor]:
    """Reads a checkpoint of the authors (``g_*``) and renames its parameters.

    Arguments
    ---------
    path : str | PathLike
        File written by ``torch.save``: a state dict, or one under "generator".

    Returns
    -------
    dict[str, torch.Tensor]
        State dict for ``SEMamba``.

    Example
    -------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "g_best")
    >>> slope = {"mask_decoder.lsigmoid.slope": torch.ones(201, 1)}
    >>> torch.save({"generator": slope}, path)
    >>> list(load_checkpoint(path))
    ['mask_decoder.activation.slope']
    """
    return convert_state_dict(read_generator(path))
