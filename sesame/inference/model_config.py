"""What ``config.json`` says: a system of ``sesame.models`` and what is around it.

It names a class and its constructor arguments, the transform around an enhancer, and
the sampling rate. A separator has a transform of its own; its "transform" is null.
"""

import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import nn

import sesame.models
from sesame.features import CompressedSTFT
from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.models.separator import BandSplitSeparator

from .audio_files import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

__all__ = [
    "FORMAT",
    "Model",
    "build_model",
    "complete_arguments",
    "list_groups",
    "read_model",
]

FORMAT = 1
CONFIG_KEYS = ("format", "model", "arguments", "transform", "sample_rate")
TRANSFORM_KEYS = ("n_fft", "hop_length", "win_length", "exponent")
NAMES_SHOWN = 5


class Model(NamedTuple):
    """A network and what is around it.

    Arguments
    ---------
    network : nn.Module
        A ``MagPhaseEnhancer`` or a ``BandSplitSeparator``.
    transform : CompressedSTFT | None
        What an enhancer hears through; None for a separator.
    sample_rate : int
        Hz.

    Example
    -------
    >>> Model(nn.Identity(), None, 16000).sample_rate
    16000
    """

    network: nn.Module
    transform: CompressedSTFT | None
    sample_rate: int

    def enhancer(self) -> tuple[MagPhaseEnhancer, CompressedSTFT, int]:
        """The parts, if the network enhances.

        Returns
        -------
        tuple[MagPhaseEnhancer, CompressedSTFT, int]
            Network, transform, sampling rate [Hz].

        Raises
        ------
        ValueError
            If it separates.
        """
        if self.transform is None:
            raise ValueError(
                f"{type(self.network).__name__} separates speakers, it does not "
                "enhance: use 'sesame separate' or sesame.inference.Separator"
            )
        return self.network, self.transform, self.sample_rate

    def separator(self) -> tuple[BandSplitSeparator, int]:
        """The parts, if the network separates.

        Returns
        -------
        tuple[BandSplitSeparator, int]
            Network, sampling rate [Hz].

        Raises
        ------
        ValueError
            If it enhances.
        """
        if self.transform is not None:
            raise ValueError(
                f"{type(self.network).__name__} enhances speech, it does not separate "
                "speakers: use 'sesame enhance' or sesame.inference.Enhancer"
            )
        return self.network, self.sample_rate


def read_model(text: str, source: object) -> Model:
    """Builds what the text of a ``config.json`` describes.

    Arguments
    ---------
    text : str
        The text.
    source : object
        Where it comes from, for messages.

    Returns
    -------
    Model
        Its network has random weights.

    Raises
    ------
    ValueError
        If the text is not JSON, or as ``build_model``.

    Example
    -------
    >>> read_model("{}", "config.json")
    Traceback (most recent call last):
    ValueError: config.json: configuration: missing: format, model, ...
    """
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{source} is not JSON: {error}") from error
    try:
        return build_model(config)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def build_model(config: Any) -> Model:
    """Builds what a configuration describes.

    Arguments
    ---------
    config : Any
        As JSON says it.

    Returns
    -------
    Model
        Its network has random weights.

    Raises
    ------
    ValueError
        If there are keys too many or too few, or values that do not fit.

    Example
    -------
    >>> build_model({})
    Traceback (most recent call last):
    ValueError: configuration: missing: format, model, ...
    """
    _check_keys("configuration", config, CONFIG_KEYS)
    if config["format"] != FORMAT or isinstance(config["format"], bool):
        raise ValueError(f"format ({config['format']!r}) must be {FORMAT}")
    rate = config["sample_rate"]
    if not _is_int(rate) or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate ({rate!r}) must be a whole number of Hz in "
            f"[{MIN_SAMPLE_RATE}, {MAX_SAMPLE_RATE}]"
        )
    name = config["model"]
    system = _system(name)
    separates = issubclass(system, BandSplitSeparator)
    transform = _transform(name, config["transform"], separates)
    arguments = complete_arguments(name, config["arguments"])
    if separates and arguments.get("sample_rate", rate) != rate:
        raise ValueError(
            f"sample_rate ({arguments['sample_rate']}) of {name} must be that of the "
            f"configuration ({rate})"
        )
    if transform is not None:
        num_bins = arguments.get("num_bins", transform.num_bins)
        if num_bins != transform.num_bins:
            raise ValueError(
                f"num_bins ({num_bins}) must be n_fft // 2 + 1 "
                f"({transform.num_bins}) of the transform"
            )
    try:
        return Model(system(**arguments), transform, rate)
    # What a constructor does with a value of the wrong type is not ours to list.
    except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise ValueError(f"{name} with {arguments}: {error}") from error


def complete_arguments(model_name: Any, arguments: Any) -> dict[str, Any]:
    """Constructor arguments with the defaults written out.

    Arguments
    ---------
    model_name : Any
        Class in ``sesame.models``.
    arguments : Any
        A mapping of its arguments.

    Returns
    -------
    dict[str, Any]
        All arguments.

    Raises
    ------
    ValueError
        If there is no such system or it has no such arguments.

    Example
    -------
    >>> complete_arguments("MPSENet", {"num_blocks": 2})["num_heads"]
    4
    """
    parameters = inspect.signature(_system(model_name)).parameters
    required = [n for n, p in parameters.items() if p.default is p.empty]
    _check_keys(f"arguments of {model_name}", arguments, required, parameters)
    for name, value in arguments.items():
        items = value if isinstance(value, (list, tuple)) else [value]
        if not all(v is None or isinstance(v, (bool, int, float, str)) for v in items):
            raise ValueError(f"{name} ({value!r}) must be a value or a list of values")
    defaults = {n: p.default for n, p in parameters.items() if n not in required}
    return defaults | dict(arguments)


def list_groups(**groups: list[str]) -> str:
    """Names each group that is not empty, long lists by their beginning.

    Arguments
    ---------
    **groups : list[str]
        Names by what is wrong with them.

    Returns
    -------
    str
        Empty if all groups are.

    Example
    -------
    >>> list_groups(missing=["a", "b"], unknown=[])
    'missing: a, b'
    """
    texts = []
    for kind, names in groups.items():
        shown = ", ".join(map(str, names[:NAMES_SHOWN]))
        more = f" and {len(names) - NAMES_SHOWN} more" * (len(names) > NAMES_SHOWN)
        texts += [f"{kind}: {shown}{more}"] if names else []
    return "; ".join(texts)


def _transform(name: str, sizes: Any, separates: bool) -> CompressedSTFT | None:
    if separates:
        if sizes is not None:
            raise ValueError(
                f"transform ({sizes!r}) must be null: {name} has one of its own"
            )
        return None
    _check_keys("transform", sizes, TRANSFORM_KEYS)
    exponent = sizes["exponent"]
    if not (_is_int(exponent) or isinstance(exponent, float)):
        raise ValueError(f"transform: exponent ({exponent!r}) must be a number")
    for key in TRANSFORM_KEYS[:3]:
        if not _is_int(sizes[key]):
            raise ValueError(f"transform: {key} ({sizes[key]!r}) must be an integer")
    return CompressedSTFT(**sizes)


def _system(name: Any) -> type[nn.Module]:
    systems = {n: getattr(sesame.models, n) for n in sesame.models.__all__}
    kinds = (MagPhaseEnhancer, BandSplitSeparator)
    known = [n for n, s in systems.items() if issubclass(s, kinds)]
    if name not in known:
        raise ValueError(f"model ({name!r}) must be one of {known}")
    return systems[name]


def _check_keys(
    what: str,
    mapping: Any,
    required: Iterable[str],
    allowed: Iterable[str] | None = None,
) -> None:
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{what} ({mapping!r}) must be a mapping")
    unknown = [key for key in mapping if key not in (allowed or required)]
    missing = [key for key in required if key not in mapping]
    if unknown or missing:
        raise ValueError(f"{what}: {list_groups(missing=missing, unknown=unknown)}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
