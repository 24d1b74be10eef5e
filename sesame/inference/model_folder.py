"""Model folders: ``config.json``, ``model.safetensors`` and ``README.md``.

A model folder is data: reading one runs no code out of it. ``config.json`` names a
class of ``sesame.models`` and its constructor arguments. ``hyperparams.yaml`` says the
same for SpeechBrain, which runs such files as code; nothing here reads it.
"""

import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import yaml
from torch import Tensor, nn

import sesame.models
from sesame.features import CompressedSTFT
from sesame.models.mag_phase import MagPhaseEnhancer

from .audio_files import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, new_file

__all__ = [
    "CARD_FILE",
    "CONFIG_FILE",
    "HYPERPARAMS_FILE",
    "WEIGHTS_FILE",
    "build_model",
    "load_model_folder",
    "load_weights",
    "save_model_folder",
]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
HYPERPARAMS_FILE = "hyperparams.yaml"
FORMAT = 1
MAX_CONFIG_BYTES = 1_000_000
CONFIG_KEYS = ("format", "model", "arguments", "transform", "sample_rate")
TRANSFORM_KEYS = ("n_fft", "hop_length", "win_length", "exponent")
NAMES_SHOWN = 5
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
    transform: Mapping[str, Any],
    sample_rate: int,
    state_dict: Mapping[str, Tensor],
    card: str = "",
) -> None:
    """Writes a model folder that ``load_model_folder`` reads.

    Arguments
    ---------
    folder : str | Path
        Folder to make, or whose model is replaced.
    model_name : str
        Class of an enhancement system in ``sesame.models``.
    arguments : Mapping[str, Any]
        Its constructor arguments; defaults are written out, so that they stay when
        those of the class change.
    transform : Mapping[str, Any]
        ``n_fft``, ``hop_length``, ``win_length`` [samples] and ``exponent``.
    sample_rate : int
        Hz.
    state_dict : Mapping[str, Tensor]
        Weights of the network, all of them and no others.
    card : str
        Text of ``README.md``; without one, a model card of one line is written.

    Raises
    ------
    ValueError
        If such a folder could not be loaded.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> arguments = {"num_bins": 9, "channels": 4, "num_blocks": 1, "num_heads": 2}
    >>> transform = dict(n_fft=16, hop_length=4, win_length=16, exponent=0.3)
    >>> weights = sesame.models.MPSENet(**arguments).state_dict()
    >>> save_model_folder(folder, "MPSENet", arguments, transform, 16000, weights)
    >>> sorted(path.name for path in folder.iterdir())
    ['README.md', 'config.json', 'hyperparams.yaml', 'model.safetensors']
    """
    config = {
        "format": FORMAT,
        "model": model_name,
        "arguments": _with_defaults(model_name, arguments),
        "transform": dict(transform),
        "sample_rate": sample_rate,
    }
    network, _ = _build(config)
    _load_strictly(network, state_dict)
    folder = Path(folder)
    # safetensors takes neither views nor tensors on other devices.
    weights = {k: v.detach().cpu().contiguous() for k, v in state_dict.items()}
    with new_file(folder / WEIGHTS_FILE) as temporary:
        safetensors.torch.save_file(weights, temporary, metadata={"format": "pt"})
    with new_file(folder / CARD_FILE) as temporary:
        temporary.write_text(card or f"# {model_name}\n", encoding="utf-8")
    with new_file(folder / HYPERPARAMS_FILE) as temporary:
        temporary.write_text(_hyperparams(config), encoding="utf-8")
    # Last: a folder without its configuration is not taken for a model.
    with new_file(folder / CONFIG_FILE) as temporary:
        text = json.dumps(config, indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def load_model_folder(
    folder: str | Path,
) -> tuple[MagPhaseEnhancer, CompressedSTFT, int]:
    """Reads a model folder.

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
        If a file is missing or damaged, if ``config.json`` has keys too many or too
        few or values that do not fit, or if the weights are not those of the network.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> load_model_folder(folder / "absent")
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
    network, transform, sample_rate = build_model(_read_config(path), path)
    load_weights(network, folder / WEIGHTS_FILE)
    return network.eval(), transform, sample_rate


def build_model(
    text: str, source: str | Path
) -> tuple[MagPhaseEnhancer, CompressedSTFT, int]:
    """Builds what the text of a ``config.json`` describes.

    Arguments
    ---------
    text : str
        The text.
    source : str | Path
        Where it comes from, for messages.

    Returns
    -------
    tuple[MagPhaseEnhancer, CompressedSTFT, int]
        Network with random weights, its transform, its sampling rate [Hz].

    Raises
    ------
    ValueError
        If the text is not JSON, or has keys too many or too few or values that do not
        fit.

    Example
    -------
    >>> build_model("{}", "config.json")
    Traceback (most recent call last):
    ValueError: config.json: configuration: missing: format, model, ...
    """
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{source} is not JSON: {error}") from error
    try:
        network, transform = _build(config)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return network, transform, config["sample_rate"]


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


def _read_config(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise ValueError(f"{path} ({size} bytes) must be at most {MAX_CONFIG_BYTES}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _build(config: Any) -> tuple[MagPhaseEnhancer, CompressedSTFT]:
    _check_keys("configuration", config, CONFIG_KEYS)
    if config["format"] != FORMAT or isinstance(config["format"], bool):
        raise ValueError(f"format ({config['format']!r}) must be {FORMAT}")
    rate = config["sample_rate"]
    if not _is_int(rate) or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate ({rate!r}) must be a whole number of Hz in "
            f"[{MIN_SAMPLE_RATE}, {MAX_SAMPLE_RATE}]"
        )
    sizes = config["transform"]
    _check_keys("transform", sizes, TRANSFORM_KEYS)
    exponent = sizes["exponent"]
    if not (_is_int(exponent) or isinstance(exponent, float)):
        raise ValueError(f"transform: exponent ({exponent!r}) must be a number")
    for key in TRANSFORM_KEYS[:3]:
        if not _is_int(sizes[key]):
            raise ValueError(f"transform: {key} ({sizes[key]!r}) must be an integer")
    transform = CompressedSTFT(**sizes)
    arguments = _with_defaults(config["model"], config["arguments"])
    if arguments.get("num_bins", transform.num_bins) != transform.num_bins:
        raise ValueError(
            f"num_bins ({arguments['num_bins']}) must be n_fft // 2 + 1 "
            f"({transform.num_bins}) of the transform"
        )
    try:
        return _system(config["model"])(**arguments), transform
    # What a constructor does with a value of the wrong type is not ours to list.
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise ValueError(f"{config['model']} with {arguments}: {error}") from error


def _system(name: Any) -> type[MagPhaseEnhancer]:
    systems = {n: getattr(sesame.models, n) for n in sesame.models.__all__}
    known = [n for n, s in systems.items() if issubclass(s, MagPhaseEnhancer)]
    if name not in known:
        raise ValueError(f"model ({name!r}) must be one of {known}")
    return systems[name]


def _with_defaults(model_name: Any, arguments: Any) -> dict[str, Any]:
    parameters = inspect.signature(_system(model_name)).parameters
    required = [n for n, p in parameters.items() if p.default is p.empty]
    _check_keys(f"arguments of {model_name}", arguments, required, parameters)
    for name, value in arguments.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        if not all(v is None or isinstance(v, (bool, int, float, str)) for v in items):
            raise ValueError(f"{name} ({value!r}) must be a value or a list of values")
    defaults = {n: p.default for n, p in parameters.items() if n not in required}
    return defaults | dict(arguments)


def _check_keys(what: str, mapping: Any, required, allowed=None) -> None:
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{what} ({mapping!r}) must be a mapping")
    unknown = [key for key in mapping if key not in (allowed or required)]
    missing = [key for key in required if key not in mapping]
    if unknown or missing:
        raise ValueError(f"{what}: {_describe(missing=missing, unknown=unknown)}")


def _hyperparams(config: Mapping[str, Any]) -> str:
    def block(arguments: Mapping[str, Any]) -> str:
        # A safe dump quotes what would be a tag, and so a command, to SpeechBrain.
        text = yaml.safe_dump(dict(arguments), sort_keys=False, default_flow_style=None)
        return textwrap.indent(text.rstrip(), "    ")

    blocks = {key: block(config[key]) for key in ("transform", "arguments")}
    return HYPERPARAMS.format_map(config | blocks)


def _load_strictly(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    expected = network.state_dict()
    problems = _describe(
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


def _describe(**groups: list[str]) -> str:
    """Names each group that is not empty, long lists by their beginning."""
    texts = []
    for kind, names in groups.items():
        shown = ", ".join(map(str, names[:NAMES_SHOWN]))
        more = f" and {len(names) - NAMES_SHOWN} more" * (len(names) > NAMES_SHOWN)
        texts += [f"{kind}: {shown}{more}"] if names else []
    return "; ".join(texts)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
