"""Model folders: ``config.json``, ``model.safetensors`` and ``README.md``.

A model folder is data: reading one runs no code out of it. ``config.json`` names a
class of ``sesame.models`` and its constructor arguments. ``hyperparams.yaml`` says the
same for SpeechBrain, which runs such files as code; nothing here reads it.
"""

import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import yaml
from torch import Tensor, nn

from sesame.features import CompressedSTFT
from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.models.seflow import SEFlow
from sesame.models.separator import BandSplitSeparator

from .audio_files import new_file
from .model_config import (
    FORMAT,
    Model,
    build_model,
    complete_arguments,
    list_groups,
    read_model,
)

__all__ = [
    "CARD_FILE",
    "CONFIG_FILE",
    "HYPERPARAMS_FILE",
    "WEIGHTS_FILE",
    "load_model",
    "load_model_folder",
    "load_seflow_folder",
    "load_separator_folder",
    "load_weights",
    "names_seflow",
    "save_model_folder",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
HYPERPARAMS_FILE = "hyperparams.yaml"
MAX_CONFIG_BYTES = 1_000_000
HYPERPARAMS = """\
# Generated from config.json; do not edit. SpeechBrain runs a file like this as code
# (SesameEnhancement.from_hparams); Enhancer and the command "sesame" never read it.
sample_rate: {sample_rate} # Hz
transform: !new:sesame.features.CompressedSTFT
{transform}
generator: !new:sesame.models.{model}
{arguments}
modules:
    generator: !ref <generator>
"""


def save_model_folder(
    folder: str | Path,
    model_name: str,
    arguments: Mapping[str, Any],
    transform: Mapping[str, Any] | None,
    sample_rate: int | None,
    state_dict: Mapping[str, Tensor],
    card: str = "",
    parent: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model folder that ``load_model_folder`` reads.

    Arguments
    ---------
    folder : str | Path
        Folder to make, or whose model is replaced.
    model_name : str
        Class of a system in ``sesame.models``.
    arguments : Mapping[str, Any]
        Its constructor arguments; defaults are written out, so that they stay when
        those of the class change.
    transform : Mapping[str, Any] | None
        ``n_fft``, ``hop_length``, ``win_length`` [samples] and ``exponent``; None for
        a separator or a ``SEFlow``, whose folders get no ``hyperparams.yaml`` either:
        SpeechBrain has no interface that would run them.
    sample_rate : int | None
        Hz; None for a ``SEFlow``.
    state_dict : Mapping[str, Tensor]
        Weights of the network, all of them and no others.
    card : str
        Text of ``README.md``; without one, a model card of one line is written.
    parent : Mapping[str, Any] | None
        What a sub-network was cut out of: ``sha256`` of the weights, and ``width`` and
        ``depth`` as ``SEFlow.size`` takes them.

    Raises
    ------
    ValueError
        If such a folder could not be loaded.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> arguments = {"num_bins": 9, "channels": 4, "num_blocks": 1, "num_heads": 2}
    >>> transform = dict(n_fft=16, hop_length=4, win_length=16, exponent=0.3)
    >>> from sesame.models import MPSENet
    >>> weights = MPSENet(**arguments).state_dict()
    >>> save_model_folder(folder, "MPSENet", arguments, transform, 16000, weights)
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'config.json', 'hyperparams.yaml', 'model.safetensors']
    """
    config = {
        "format": FORMAT,
        "model": model_name,
        "arguments": complete_arguments(model_name, arguments),
        "transform": None if transform is None else dict(transform),
        "sample_rate": sample_rate,
    }
    if parent is not None:
        config["parent"] = dict(parent)
    _load_strictly(build_model(config).network, state_dict)
    folder = Path(folder)
    # safetensors takes neither views nor tensors on other devices.
    weights = {k: v.detach().cpu().contiguous() for k, v in state_dict.items()}
    with new_file(folder / WEIGHTS_FILE) as temporary:
        safetensors.torch.save_file(weights, temporary, metadata={"format": "pt"})
    with new_file(folder / CARD_FILE) as temporary:
        temporary.write_text(card or f"# {model_name}\n", encoding="utf-8")
    if transform is None:
        (folder / HYPERPARAMS_FILE).unlink(missing_ok=True)
    else:
        with new_file(folder / HYPERPARAMS_FILE) as temporary:
            temporary.write_text(_hyperparams(config), encoding="utf-8")
    # Last: a folder without its configuration is not taken for a model.
    with new_file(folder / CONFIG_FILE) as temporary:
        text = json.dumps(config, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def load_model_folder(
    folder: str | Path,
) -> tuple[MagPhaseEnhancer, CompressedSTFT, int]:
    """Reads the model folder of an enhancer.

    Arguments
    ---------
    folder : str | Path
        Folder with ``config.json`` and ``model.safetensors``.

    Returns
    -------
    tuple[MagPhaseEnhancer, CompressedSTFT, int]
        Network in evaluation mode, its transform, its sampling rate [Hz].

    Raises
    ------
    ValueError
        As ``load_model``, or if the network separates or is a ``SEFlow``.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> load_model_folder(folder / "absent")
    Traceback (most recent call last):
    ValueError: model folder .../absent must hold config.json and model.safetensors: ...
    """
    return _only(folder, Model.enhancer)


def load_separator_folder(folder: str | Path) -> tuple[BandSplitSeparator, int]:
    """Reads the model folder of a separator.

    Arguments
    ---------
    folder : str | Path
        Folder with ``config.json`` and ``model.safetensors``.

    Returns
    -------
    tuple[BandSplitSeparator, int]
        Network in evaluation mode, its sampling rate [Hz].

    Raises
    ------
    ValueError
        As ``load_model``, or if the network enhances.

    Example
    -------
    >>> load_separator_folder(getfixture("tmp_path") / "absent")
    Traceback (most recent call last):
    ValueError: model folder .../absent must hold config.json and model.safetensors: ...
    """
    return _only(folder, Model.separator)


def load_seflow_folder(folder: str | Path) -> SEFlow:
    """Reads the model folder of a SEFlow, or of a sub-network that was cut out of one.

    Arguments
    ---------
    folder : str | Path
        Folder with ``config.json`` and ``model.safetensors``.

    Returns
    -------
    SEFlow
        Network in evaluation mode.

    Raises
    ------
    ValueError
        As ``load_model``, or if the network is another.

    Example
    -------
    >>> load_seflow_folder(getfixture("tmp_path") / "absent")
    Traceback (most recent call last):
    ValueError: model folder .../absent must hold config.json and model.safetensors: ...
    """
    return _only(folder, Model.seflow)


def names_seflow(folder: str | Path) -> bool:
    """Tells whether a model folder says that it holds a SEFlow.

    Arguments
    ---------
    folder : str | Path
        Need not be a model folder.

    Returns
    -------
    bool
        False, too, where ``load_model`` would find that something is wrong.

    Example
    -------
    >>> names_seflow(getfixture("tmp_path") / "absent")
    False
    """
    path = Path(folder) / CONFIG_FILE
    try:
        config = json.loads(_read_config(path))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, Mapping) and config.get("model") == SEFlow.__name__


def load_model(folder: str | Path) -> Model:
    """Reads a model folder, whatever its network does.

    Arguments
    ---------
    folder : str | Path
        Folder with ``config.json`` and ``model.safetensors``.

    Returns
    -------
    Model
        Its network is in evaluation mode.

    Raises
    ------
    ValueError
        If a file is missing or damaged, if ``config.json`` has keys too many or too
        few or values that do not fit, or if the weights are not those of the network.

    Example
    -------
    >>> load_model(getfixture("tmp_path") / "absent")
    Traceback (most recent call last):
    ValueError: model folder .../absent must hold config.json and model.safetensors: ...
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            what = (
                f"{name} is missing" if folder.is_dir() else "there is no such folder"
            )
            raise ValueError(
                f"model folder {folder} must hold {CONFIG_FILE} and {WEIGHTS_FILE}: "
                f"{what}"
            )
    path = folder / CONFIG_FILE
    model = read_model(_read_config(path), path)
    load_weights(model.network, folder / WEIGHTS_FILE)
    model.network.eval()
    return model


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Loads a weights file into a network: all of its weights and no others.

    Arguments
    ---------
    network : nn.Module
        Takes the weights.
    path : str | Path
        A safetensors file.

    Raises
    ------
    ValueError
        If the file is damaged or the weights are not those of the network.

    Example
    -------
    >>> path = getfixture("tmp_path") / "model.safetensors"
    >>> safetensors.torch.save_file(nn.Linear(2, 3).state_dict(), path)
    >>> load_weights(nn.Linear(2, 3, bias=False), path)
    Traceback (most recent call last):
    ValueError: ...: the weights are not those of this Linear: unknown: bias
    """
    try:
        _load_strictly(network, safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _only(folder: str | Path, parts: Callable[[Model], Any]) -> Any:
    model = load_model(folder)
    try:
        return parts(model)
    except ValueError as error:
        raise ValueError(f"model folder {folder}: {error}") from error


def _read_config(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise ValueError(f"{path} ({size} bytes) must be at most {MAX_CONFIG_BYTES}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _hyperparams(config: Mapping[str, Any]) -> str:
    def block(arguments: Mapping[str, Any]) -> str:
        # A safe dump quotes what would be a tag, and so a command, to SpeechBrain.
        text = yaml.safe_dump(dict(arguments), sort_keys=False, default_flow_style=None)
        return textwrap.indent(text.rstrip(), "    ")

    blocks = {key: block(config[key]) for key in ("transform", "arguments")}
    return HYPERPARAMS.format_map(config | blocks)


def _load_strictly(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    expected = network.state_dict()
    problems = list_groups(
        missing=[name for name in expected if name not in state_dict],
        unknown=[name for name in state_dict if name not in expected],
        misshapen=[
            f"{name} {tuple(state_dict[name].shape)} instead of {tuple(value.shape)}"
            for name, value in expected.items()
            if name in state_dict and state_dict[name].shape != value.shape
        ],
    )
    if problems:
        raise ValueError(
            f"the weights are not those of this {type(network).__name__}: {problems}"
        )
    network.load_state_dict(state_dict)
