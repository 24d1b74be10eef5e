"""The bidirectional dual-path systems: the authors' names to ours."""

from collections.abc import Mapping

import torch

from sesame.compat.codec import convert_codec, rename

__all__ = ["convert_dual_path"]

_ATTENTION_RULES = {
    r"attention\.layernorm\.": "attentions.0.norm.",
    r"attention\.attn\.in_proj_": "attentions.0.attention.in_projection.",
    r"attention\.attn\.out_proj\.": "attentions.0.attention.out_projection.",
}
_PROJECTION_RULES = {
    r"tlinear\.": "time_layer.projection.",
    r"flinear\.": "frequency_layer.projection.",
}


def convert_dual_path(
    official: Mapping[str, torch.Tensor],
    stack: str,
    mixer: str,
    direction_rules: Mapping[str, str],
) -> dict[str, torch.Tensor]:
    """Renames a generator of the SEMamba family.

    Source: RoyChao19477/SEMamba@750ff5d, models/mamba_block.py, whose wiring
    MambAttention and xLSTM-SENet share.

    Arguments
    ---------
    official : Mapping[str, torch.Tensor]
        State dict of the authors' generator, with or without
        DistributedDataParallel's ``module.`` prefix.
    stack : str
        The authors' name of the stack of blocks.
    mixer : str
        How the authors' ``time_*`` and ``freq_*`` layers end.
    direction_rules : Mapping[str, str]
        What ``rename`` needs for the parameters of one direction.

    Returns
    -------
    dict[str, torch.Tensor]
        The same tensors under our names.

    Raises
    ------
    ValueError
        If an entry does not belong to the system.

    Example
    -------
    >>> weight = torch.zeros(8, 4, 1)
    >>> official = {"TSMamba.0.tlinear.weight": weight}
    >>> converted = convert_dual_path(official, "TSMamba", "mamba", {})
    >>> converted["blocks.0.time_layer.projection.weight"].shape
    torch.Size([4, 8])
    """
    official = {key.removeprefix("module."): value for key, value in official.items()}
    prefix = f"{stack}."
    converted = convert_codec(
        {key: value for key, value in official.items() if not key.startswith(prefix)},
        generation="2023",
    )
    halves = {
        rf"{axis}_{mixer}\.{way}_blocks\.0\.": f"{layer}_layer.backbone.{way}_layer."
        for axis, layer in (("time", "time"), ("freq", "frequency"))
        for way in ("forward", "backward")
    }
    rules = _ATTENTION_RULES | _PROJECTION_RULES | halves
    for key, value in official.items():
        if not key.startswith(prefix):
            continue
        _, index, rest = key.split(".", 2)
        name = rename(rest, rules)
        before, found, parameter = name.partition("ward_layer.")
        if found:
            name = before + found + rename(parameter, direction_rules)
        elif value.dim() == 3:
            # A transposed convolution of width 1: (in, out, 1).
            value = value.squeeze(-1).t().contiguous()
        converted[f"blocks.{index}.{name}"] = value
    return converted
