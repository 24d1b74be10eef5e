"""A sub-network of SEFlow as a model folder of its own."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import torch

from .model_folder import CONFIG_FILE, load_seflow_folder, save_model_folder
from .onnx_network import weights_digest

__all__ = ["ExportedSize", "check_subnet", "export_subnet"]

CARD = """\
# SEFlow, {parameters} parameters, any sampling rate

A sub-network, cut out of another network without any training: width {width}, depth
{depth} of `{name}`. Its outputs are those of that network at this size, bit for bit.

## Use

```python
from sesame.inference import FlowEnhancer

enhancer = FlowEnhancer.from_pretrained("this/folder")
enhanced = enhancer(noisy, sample_rate)  # (L,) or (channels, L)
```

## Parent

* SHA-256 of its weights: {digest}
* For its training data, its scores, its limits and its licence see its model card.
"""
# Sampling rates [Hz], and seconds of noise, that an export is checked with.
CHECKED_RATES = (8_000, 16_000, 48_000)
CHECKED_SECONDS = 0.5


class ExportedSize(NamedTuple):
    """What was cut out.

    Arguments
    ---------
    width : float
        Share of the channels of the parent.
    depth : int
        Blocks.
    num_parameters : int
        Of the sub-network.

    Example
    -------
    >>> ExportedSize(0.25, 6, 582_024).depth
    6
    """

    width: float
    depth: int
    num_parameters: int


def export_subnet(
    model_folder: str | Path,
    target: str | Path,
    width: float | None = None,
    depth: int | None = None,
    overwrite: bool = False,
) -> ExportedSize:
    """Writes a sub-network as a model folder, which needs its parent no more.

    Arguments
    ---------
    model_folder : str | Path
        Folder of a SEFlow, or of a sub-network.
    target : str | Path
        Folder to make.
    width : float | None
        Share of the channels, a whole number of heads; ``None``: 1.
    depth : int | None
        Blocks; ``None``: all.
    overwrite : bool
        Whether a model that is there is replaced, with its model card.

    Returns
    -------
    ExportedSize
        What was cut out.

    Raises
    ------
    ValueError
        If there is no intact model of a SEFlow, it has no such sub-network, or there
        is a model already.

    Example
    -------
    >>> export_subnet("no/such/model", "small", width=0.25)
    Traceback (most recent call last):
    ValueError: model folder no/such/model must hold ...
    """
    source, target = Path(model_folder), Path(target)
    if target.exists() and not target.is_dir():
        raise ValueError(f"{target} is a file, not a folder")
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the model itself")
    if (target / CONFIG_FILE).exists() and not overwrite:
        raise ValueError(f"{target} holds a model already")
    network = load_seflow_folder(source)
    part = network.subnet(width, depth)
    num_parameters = sum(parameter.numel() for parameter in part.parameters())
    share = Fraction(part.width, network.width)
    digest = weights_digest(source)
    card = CARD.format(
        parameters=f"{num_parameters:,}".replace(",", " "),
        width=share,
        depth=part.depth,
        name=source.resolve().name,
        digest=digest,
    )
    arguments = {
        "width": part.width,
        "depth": part.depth,
        "head_channels": part.head_channels,
        "context": part.context,
        "num_tokens": part.num_tokens,
        "kernel_size": part.kernel_size,
        "exponent": part.exponent,
        "early_exits": part.early_exits,
        "flow_matching": part.flow_matching,
        "num_steps": part.num_steps,
    }
    parent = {"sha256": digest, "width": float(share), "depth": part.depth}
    save_model_folder(
        target, "SEFlow", arguments, None, None, part.state_dict(), card, parent
    )
    return ExportedSize(float(share), part.depth, num_parameters)


@torch.inference_mode()
def check_subnet(model_folder: str | Path, target: str | Path) -> dict[int, float]:
    """Compares an exported folder with its parent at that size, on noise.

    Arguments
    ---------
    model_folder : str | Path
        Folder of the parent.
    target : str | Path
        What ``export_subnet`` made of it.

    Returns
    -------
    dict[int, float]
        Largest difference of the outputs for each sampling rate [Hz]; NaN if an output
        is not finite.

    Raises
    ------
    ValueError
        If a folder does not hold an intact model, or there is no such sub-network.

    Example
    -------
    >>> check_subnet("no/such/model", "small")
    Traceback (most recent call last):
    ValueError: model folder no/such/model must hold ...
    """
    network, part = load_seflow_folder(model_folder), load_seflow_folder(target)
    size = part.width / network.width, part.depth
    generator = torch.Generator().manual_seed(0)
    differences = {}
    for rate in CHECKED_RATES:
        length = round(CHECKED_SECONDS * rate)
        noisy = 0.1 * torch.randn(1, length, generator=generator)
        difference = part(noisy, rate) - network(noisy, rate, *size)
        differences[rate] = float(difference.abs().max())
    return differences
