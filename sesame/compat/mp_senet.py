"""The authors' MP-SENet weights under our names."""

from collections.abc import Mapping
from os import PathLike

import torch

from sesame.compat.checkpoint import read_generator
from sesame.compat.codec import convert_codec, rename

__all__ = ["convert_state_dict", "load_checkpoint"]

_LAYER_RULES = {
    r"norm1\.": "attention_norm.",
    r"norm2\.": "feed_forward_norm.",
    r"norm3\.": "output_norm.",
    r"attention\.in_proj_": "attention.in_projection.",
    r"attention\.out_proj\.": "attention.out_projection.",
    r"ffn\.gru\.": "feed_forward.backbone.gru.",
    r"ffn\.linear\.": "feed_forward.projection.",
}
_LAYERS = {
    "as_run": {"time_transformer": "frequency_layer", "freq_transformer": "time_layer"},
    "as_named": {
        "time_transformer": "time_layer",
        "freq_transformer": "frequency_layer",
    },
}
_BLOCKS = "TSTransformer."


def convert_state_dict(
    official: Mapping[str, torch.Tensor], axes: str = "as_run"
) -> dict[str, torch.Tensor]:
    """Renames a generator's state dict so that ``MPSENet`` loads it strictly.

    The authors' code runs the layer called "time" along frequency and the one called
    "freq" along time. Trained weights are therefore right only in that reading,
    ``axes="as_run"``, for ``MPSENet(axis_order="frequency_time")``: this reproduces
    the authors' output for one utterance at a time.

    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py, models/transformer.py.

    Arguments
    ---------
    official : Mapping[str, torch.Tensor]
        State dict of the authors' ``MPNet``, with or without DistributedDataParallel's
        ``module.`` prefix.
    axes : str
        "as_run", or "as_named": the layer called "time" runs along time, for the
        default ``axis_order``.

    Returns
    -------
    dict[str, torch.Tensor]
        The same tensors under our names.

    Raises
    ------
    ValueError
        If ``axes`` is unknown or an entry does not belong to this network.

    Example
    -------
    >>> name = "TSTransformer.0.time_transformer.norm1.bias"
    >>> list(convert_state_dict({name: torch.zeros(64)}))
    ['blocks.0.frequency_layer.attention_norm.bias']
    >>> list(convert_state_dict({name: torch.zeros(64)}, axes="as_named"))
    ['blocks.0.time_layer.attention_norm.bias']
    """
    if axes not in _LAYERS:
        raise ValueError(f"axes ({axes!r}) must be in {sorted(_LAYERS)}")
    official = {key.removeprefix("module."): value for key, value in official.items()}
    converted = convert_codec(
        {key: value for key, value in official.items() if not key.startswith(_BLOCKS)}
    )
    for key, value in official.items():
        if key.startswith(_BLOCKS):
            _, index, layer, rest = key.split(".", 3)
            if layer not in _LAYERS[axes]:
                raise ValueError(f"unknown parameter {key!r}: not of this system")
            name = f"{_LAYERS[axes][layer]}.{rename(rest, _LAYER_RULES)}"
            converted[f"blocks.{index}.{name}"] = value
    return converted


def load_checkpoint(path: str | PathLike, axes: str = "as_run") -> dict:
    """Reads a checkpoint of the authors (``g_best``) and renames its parameters.

    Arguments
    ---------
    path : str | PathLike
        File written by ``torch.save``: a state dict, or one under "generator".
    axes : str
        See ``convert_state_dict``.

    Returns
    -------
    dict
        State dict for ``MPSENet``.

    Example
    -------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "g_best")
    >>> slope = {"mask_decoder.lsigmoid.slope": torch.ones(201, 1)}
    >>> torch.save({"generator": slope}, path)
    >>> list(load_checkpoint(path))
    ['mask_decoder.activation.slope']
    """
    return convert_state_dict(read_generator(path), axes)
