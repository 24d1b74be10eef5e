"""What a model folder holds, in numbers and words."""

import hashlib
import json
from pathlib import Path
from typing import Any

from .model_folder import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, load_model

__all__ = ["model_info"]


def model_info(folder: str | Path) -> dict[str, Any]:
    """Facts about a model, for a person who decides whether to use it.

    Arguments
    ---------
    folder : str | Path
        Model folder; its weights are loaded and checked.

    Returns
    -------
    dict[str, Any]
        Plain values by name; of E experts, the K chosen count as active.

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
    network, transform, sample_rate = load_model(folder)
    total = sum(parameter.numel() for parameter in network.parameters())
    layers = [m for m in network.modules() if hasattr(m, "router")]
    idle = sum(
        parameter.numel() * (1 - layer.router.top_k / layer.router.num_experts)
        for layer in layers
        for parameter in layer.experts.parameters()
    )
    separates = transform is None
    stft = network.stft if separates else transform
    weights = folder / WEIGHTS_FILE
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    frame = 1000 / sample_rate
    return {
        "folder": str(folder),
        "title": _title(folder / CARD_FILE),
        "system": type(network).__name__,
        "arguments": config["arguments"],
        "parameters": total,
        "active parameters": round(total - idle),
        "mixture-of-experts layers": len(layers),
        **({"speakers": network.num_sources} if separates else {}),
        "sample rate [Hz]": sample_rate,
        "window [ms]": stft.win_length * frame,
        "hop [ms]": stft.hop_length * frame,
        "causal": False,
        "look-ahead": "the whole signal, or the window that long signals are cut into",
        "weights [bytes]": weights.stat().st_size,
        "weights sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }


def _title(card: Path) -> str:
    """First heading of the model card."""
    if not card.is_file():
        return "no model card"
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")
