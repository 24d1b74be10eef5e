"""The authors' xLSTM-SENet weights under our names."""

from collections.abc import Mapping
from os import PathLike

import torch

from sesame.compat.checkpoint import read_generator
from sesame.compat.dual_path import convert_dual_path
from sesame.compat.mlstm import DIRECTION_RULES, add_one_to_norms

__all__ = ["convert_state_dict", "load_checkpoint"]


def convert_state_dict(official: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Renames a generator's state dict so that ``XLSTMSENet`` loads it strictly.

    Source: NikolaiKyhne/xLSTM-SENet@353a143, models/generator.py.

    Arguments
    ---------
    official : Mapping[str, torch.Tensor]
        State dict of the authors' generator, with or without
        DistributedDataParallel's ``module.`` prefix.

    Returns
    -------
    dict[str, torch.Tensor]
        The same tensors under our names, with 1 added to the weights of the norms
        inside the blocks.

    Raises
    ------
    ValueError
        If an entry does not belong to this network.

    Example
    -------
    >>> name = "TSxLSTM.0.time_xlstm.forward_blocks.0.layer.learnable_skip"
    >>> list(convert_state_dict({name: torch.ones(256)}))
    ['blocks.0.time_layer.backbone.forward_layer.mixer.skip']
    """
    renamed = convert_dual_path(official, "TSxLSTM", "xlstm", DIRECTION_RULES)
    return add_one_to_norms(renamed)


def load_checkpoint(path: str | PathLike) -> dict[str, torch.Tensor]:
    """Reads a checkpoint of the authors (``g_*``) and renames its parameters.

    Arguments
    ---------
    path : str | PathLike
        File written by ``torch.save``: a state dict, or one under "generator".

    Returns
    -------
    dict[str, torch.Tensor]
        State dict for ``XLSTMSENet``.

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
