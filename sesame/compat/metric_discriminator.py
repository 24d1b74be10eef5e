"""The authors' metric discriminator under our names."""

from collections.abc import Mapping
from os import PathLike

import torch

__all__ = ["convert_state_dict", "load_checkpoint"]

# Position in the authors' nn.Sequential -> name of ours.
_LAYERS = {str(index): f"convolutions.{index}" for index in range(12)} | {
    "14": "head.0",
    "16": "head.2",
    "17": "head.3",
    "18": "activation",
}
# torch.nn.utils.spectral_norm -> a parametrization of the weight.
_SPECTRAL_NORM = {
    "weight_orig": "parametrizations.weight.original",
    "weight_u": "parametrizations.weight.0.u",
    "weight_v": "parametrizations.weight.0.v",
}


def convert_state_dict(official: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Renames a state dict so that ``MetricDiscriminator`` loads it strictly.

    The discriminators of MP-SENet, CMGAN, SEMamba, MambAttention and xLSTM-SENet have
    the same names.

    Source: yxlu-0102/MP-SENet@89932cf, models/discriminator.py.

    Arguments
    ---------
    official : Mapping[str, torch.Tensor]
        State dict of the authors' ``MetricDiscriminator``, with or without
        DistributedDataParallel's ``module.`` prefix.

    Returns
    -------
    dict[str, torch.Tensor]
        The same tensors under our names.

    Raises
    ------
    ValueError
        If an entry does not belong to the discriminator.

    Example
    -------
    >>> list(convert_state_dict({"layers.14.weight_u": torch.zeros(64)}))
    ['head.0.parametrizations.weight.0.u']
    """
    converted = {}
    for key, value in official.items():
        layers, _, rest = key.removeprefix("module.").partition(".")
        index, _, name = rest.partition(".")
        if layers != "layers" or index not in _LAYERS:
            raise ValueError(f"unknown parameter {key!r}: not of the discriminator")
        converted[f"{_LAYERS[index]}.{_SPECTRAL_NORM.get(name, name)}"] = value
    return converted


def load_checkpoint(path: str | PathLike) -> dict[str, torch.Tensor]:
    """Reads a checkpoint of the authors (``do_*``) and renames its parameters.

    Arguments
    ---------
    path : str | PathLike
        File written by ``torch.save``: a state dict, or one under "discriminator".

    Returns
    -------
    dict[str, torch.Tensor]
        State dict for ``MetricDiscriminator``.

    Example
    -------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "do")
    >>> torch.save({"discriminator": {"layers.18.slope": torch.ones(1)}}, path)
    >>> list(load_checkpoint(path))
    ['activation.slope']
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return convert_state_dict(checkpoint.get("discriminator", checkpoint))
