"""The enhancement systems of ``hparams/``, at full size or tiny."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import yaml
from hyperpyyaml import load_hyperpyyaml
from report import ROOT
from torch import nn

from sesame.features import CompressedSTFT

__all__ = ["HPARAMS", "System", "load_system"]

# Separators have no transform: they map waveforms.
HPARAMS = [
    path
    for path in sorted(ROOT.glob("hparams/*.yaml"))
    if "\ntransform:" in path.read_text(encoding="utf-8")
]
# Of the generator's arguments, those that a system has; blocks stay as many, since
# other arguments count them.
TINY = {"channels": 16, "dense_depth": 1, "expand": 1, "hidden_channels": 8}


class System(NamedTuple):
    """What a YAML file describes; the rate in Hz."""

    name: str
    network: nn.Module
    transform: CompressedSTFT
    sample_rate: int


def load_system(path: Path, tiny: bool = False) -> System:
    """Builds the network of a YAML file, with random weights.

    Arguments
    ---------
    path : Path
        YAML file with ``generator``, ``transform`` and ``sample_rate``.
    tiny : bool
        Whether widths are replaced by very small ones.

    Returns
    -------
    System
        Named as the file.
    """
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        overrides = {"output_folder": folder}
        if tiny:
            overrides["generator"] = {
                name: size for name, size in TINY.items() if name in _arguments(text)
            }
        hparams = load_hyperpyyaml(text, overrides)
    return System(
        path.stem, hparams["generator"], hparams["transform"], hparams["sample_rate"]
    )


def _arguments(text: str) -> set[str]:
    """Names of the generator's arguments in a YAML file."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    (node,) = (value for key, value in root.value if key.value == "generator")
    return {key.value for key, _ in node.value}
