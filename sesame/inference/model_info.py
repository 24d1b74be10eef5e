"""What a model folder holds, in numbers and words."""

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import nn

from sesame.models.seflow import SEFlow

from .flow_sizes import count_parameters, flow_sizes
from .model_config import Model
from .model_folder import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, load_model

__all__ = ["model_info"]

# Rates at which operations are told, Hz.
RATES = (8_000, 16_000, 48_000)
DIGITS = 4


def model_info(folder: str | Path) -> dict[str, Any]:
    """Facts about a model, for a person who decides whether to use it.

    Arguments
    ---------
    folder : str | Path
        Model folder; its weights are loaded and checked.

    Returns
    -------
    dict[str, Any]
        Plain values by name; of E experts, the K chosen count as active. For a SEFlow,
        "sizes" has a mapping for each sub-network.

    Raises
    ------
    ValueError
        If the folder does not hold an intact model.

    Example
    -------
    >>> model_info("no/such/model")
    Traceback (most recent call last):
    ValueError: model folder no/such/model must hold ...
    """
    folder = Path(folder)
    model = load_model(folder)
    weights = folder / WEIGHTS_FILE
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    is_seflow = isinstance(model.network, SEFlow)
    return {
        "folder": str(folder),
        "title": _title(folder / CARD_FILE),
        "system": type(model.network).__name__,
        "arguments": config["arguments"],
        **({"cut out of": config["parent"]} if "parent" in config else {}),
        "parameters": _count(model.network),
        **(_seflow_facts(model.network) if is_seflow else _window_facts(model)),
        "weights [bytes]": weights.stat().st_size,
        "weights sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        **({"sizes": _sizes(model.network)} if is_seflow else {}),
    }


def _window_facts(model: Model) -> dict[str, Any]:
    """What there is to say of networks that hear a whole window."""
    network, transform, sample_rate = model
    layers = [m for m in network.modules() if hasattr(m, "router")]
    idle = sum(
        parameter.numel() * (1 - layer.router.top_k / layer.router.num_experts)
        for layer in layers
        for parameter in layer.experts.parameters()
    )
    separates = transform is None
    stft = network.stft if separates else transform
    frame = 1000 / sample_rate
    return {
        "active parameters": round(_count(network) - idle),
        "mixture-of-experts layers": len(layers),
        **({"speakers": network.num_sources} if separates else {}),
        "sample rate [Hz]": sample_rate,
        "window [ms]": stft.win_length * frame,
        "hop [ms]": stft.hop_length * frame,
        "causal": False,
        "look-ahead": "the whole signal, or the window that long signals are cut into",
    }


def _seflow_facts(network: SEFlow) -> dict[str, Any]:
    return {
        "sample rate [Hz]": "any; its own are multiples of 100 from 8000 to 48000",
        "window [ms]": 20.0,
        "hop [ms]": 10.0,
        "causal": True,
        "latency [ms]": 20.0,
        **{
            f"GMAC/s at {rate} Hz": round(network.macs_per_second(rate) / 1e9, DIGITS)
            for rate in RATES
        },
    }


def _sizes(network: SEFlow) -> list[dict[str, Any]]:
    sizes = flow_sizes(network)
    counts = {
        width: count_parameters(network, width)
        for width in dict.fromkeys(size.width for size in sizes)
    }
    return [
        {
            "width": float(size.width),
            "depth": size.depth,
            "parameters": counts[size.width][size.depth - 1],
            **{
                f"GMAC/s at {rate} Hz": round(size.gmacs(network, rate), DIGITS)
                for rate in RATES
            },
        }
        for size in sizes
    ]


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _title(card: Path) -> str:
    """First heading of the model card."""
    if not card.is_file():
        return "no model card"
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")
