"""Encoder and decoders of the MP-SENet family: the authors' names to ours."""

import re
from collections.abc import Mapping

import torch

__all__ = ["convert_codec", "rename"]

_SHARED_RULES = {
    r"dense_encoder\.dense_conv_1\.0\.": "encoder.expand.conv.",
    r"dense_encoder\.dense_conv_1\.1\.": "encoder.expand.norm.",
    r"dense_encoder\.dense_conv_1\.2\.": "encoder.expand.activation.",
    r"dense_encoder\.dense_conv_2\.0\.": "encoder.reduce.conv.",
    r"dense_encoder\.dense_conv_2\.1\.": "encoder.reduce.norm.",
    r"dense_encoder\.dense_conv_2\.2\.": "encoder.reduce.activation.",
    r"mask_decoder\.lsigmoid\.": "mask_decoder.activation.",
    r"phase_decoder\.phase_conv\.(\d)\.": r"phase_decoder.upsample.\1.",
    r"phase_decoder\.phase_conv_r\.": "phase_decoder.real.",
    r"phase_decoder\.phase_conv_i\.": "phase_decoder.imaginary.",
}
_DENSE = r"(?:dense_)?(encoder|mask_decoder|phase_decoder)\.dense_block\.dense_block\."
_RULES = {
    "current": {
        # A padding layer comes first in each layer of the authors' dense block.
        _DENSE + r"(\d+)\.1\.": r"\1.dense.layers.\2.conv.",
        _DENSE + r"(\d+)\.2\.": r"\1.dense.layers.\2.norm.",
        _DENSE + r"(\d+)\.3\.": r"\1.dense.layers.\2.activation.",
        r"mask_decoder\.mask_conv\.([012])\.": r"mask_decoder.upsample.\1.",
        r"mask_decoder\.mask_conv\.3\.": "mask_decoder.projection.",
        **_SHARED_RULES,
    },
    "2023": {
        _DENSE + r"(\d+)\.0\.": r"\1.dense.layers.\2.conv.",
        _DENSE + r"(\d+)\.1\.": r"\1.dense.layers.\2.norm.",
        _DENSE + r"(\d+)\.2\.": r"\1.dense.layers.\2.activation.",
        r"mask_decoder\.mask_conv\.0\.": "mask_decoder.upsample.",
        r"mask_decoder\.mask_conv\.1\.": "mask_decoder.projection.0.conv.",
        r"mask_decoder\.mask_conv\.2\.": "mask_decoder.projection.0.norm.",
        r"mask_decoder\.mask_conv\.3\.": "mask_decoder.projection.0.activation.",
        r"mask_decoder\.mask_conv\.4\.": "mask_decoder.projection.1.",
        **_SHARED_RULES,
    },
}


def rename(name: str, rules: Mapping[str, str]) -> str:
    """Renames a parameter by the one rule whose pattern begins its name.

    Arguments
    ---------
    name : str
        Name in the authors' state dict.
    rules : Mapping[str, str]
        Regular expression of a prefix -> its replacement.

    Returns
    -------
    str
        The name in ours.

    Raises
    ------
    ValueError
        If no rule matches.

    Example
    -------
    >>> rename("norm1.weight", {r"norm1\\.": "attention_norm."})
    'attention_norm.weight'
    """
    for pattern, replacement in rules.items():
        match = re.match(pattern, name)
        if match:
            return match.expand(replacement) + name[match.end() :]
    raise ValueError(f"unknown parameter {name!r}: not a checkpoint of this system")


def convert_codec(
    official: Mapping[str, torch.Tensor], generation: str = "current"
) -> dict[str, torch.Tensor]:
    """Renames the parameters of the encoder and of both decoders.

    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py ("current");
    RoyChao19477/SEMamba@750ff5d, models/codec_module.py ("2023").

    Arguments
    ---------
    official : Mapping[str, torch.Tensor]
        The ``dense_encoder.``, ``mask_decoder.`` and ``phase_decoder.`` entries of the
        authors' generator.
    generation : str
        "current", or "2023" for SEMamba, MambAttention and xLSTM-SENet.

    Returns
    -------
    dict[str, torch.Tensor]
        The ``encoder.``, ``mask_decoder.`` and ``phase_decoder.`` entries of ours.

    Raises
    ------
    ValueError
        If ``generation`` is unknown or an entry does not belong to the codec.

    Example
    -------
    >>> slope = torch.ones(201, 1)
    >>> convert_codec({"mask_decoder.lsigmoid.slope": slope}).keys()
    dict_keys(['mask_decoder.activation.slope'])
    """
    if generation not in _RULES:
        raise ValueError(f"generation ({generation!r}) must be in {sorted(_RULES)}")
    converted = {
        rename(name, _RULES[generation]): value for name, value in official.items()
    }
    for name in [name for name in converted if name.endswith(".slope")]:
        converted[name] = converted[name].flatten()
    # The authors project the phase with two convolutions, we with one of two channels.
    for kind in ("weight", "bias"):
        parts = [f"phase_decoder.{part}.{kind}" for part in ("real", "imaginary")]
        if all(part in converted for part in parts):
            converted[f"phase_decoder.projection.{kind}"] = torch.cat(
                [converted.pop(part) for part in parts]
            )
    return converted
