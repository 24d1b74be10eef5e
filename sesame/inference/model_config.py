"""What ``config.json`` says: a system of ``sesame.models`` and what is around it.

It names a class and its constructor arguments, the transform around an enhancer, and
the sampling rate. A separator has a transform of its own; its "transform" is null. So
has SEFlow, which takes many rates; its "sample_rate" is null, too. A sub-network that
was cut out of another names it, and its place in it, as "parent".
"""

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import nn

import sesame.models
from sesame.features import CompressedSTFT
from sesame.models.mag_phase import MagPhaseEnhancer
from sesame.models.seflow import SEFlow
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
PARENT_KEYS = ("sha256", "width", "depth")
NAMES_SHOWN = 5
# What the kinds of networks do, and what runs them.
SEFLOW = "enhances at any sampling rate", "sesame enhance", "FlowEnhancer"
SEPARATOR = "separates speakers", "sesame separate", "Separator"
ENHANCER = "enhances speech", "sesame enhance", "Enhancer"


class Model(NamedTuple):
    """A network and what is around it.

    Arguments
    ---------
    network : nn.Module
        A ``MagPhaseEnhancer``, a ``BandSplitSeparator`` or a ``SEFlow``.
    transform : CompressedSTFT | None
        What a ``MagPhaseEnhancer`` hears through; None for the others.
    sample_rate : int | None
        Hz; None for a ``SEFlow``.

    Example
    -------
    >>> Model(nn.Identity(), None, 16000).sample_rate
    16000
    """

    network: nn.Module
    transform: CompressedSTFT | None
    sample_rate: int | None

    def enhancer(self) -> tuple[MagPhaseEnhancer, CompressedSTFT, int]:
        """The parts, if the network enhances through a transform.

        Returns
        -------
        tuple[MagPhaseEnhancer, CompressedSTFT, int]
            Network, transform, sampling rate [Hz].

        Raises
        ------
        ValueError
            If it separates, or is a ``SEFlow``.
        """
        if self.transform is None:
            raise ValueError(self._other_kind("enhance"))
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
        if not isinstance(self.network, BandSplitSeparator):
            raise ValueError(self._other_kind("separate speakers"))
        return self.network, self.sample_rate

    def seflow(self) -> SEFlow:
        """The network, if it is a ``SEFlow``.

        Returns
        -------
        SEFlow
            The network.

        Raises
        ------
        ValueError
            If it is another.
        """
        if not isinstance(self.network, SEFlow):
            raise ValueError(self._other_kind("change its size and rate"))
        return self.network

    def _other_kind(self, task: str) -> str:
        if isinstance(self.network, SEFlow):
            (does, command, name), rest = SEFLOW, ""
        else:
            does, command, name = ENHANCER if self.transform else SEPARATOR
            rest = f", it does not {task}"
        return (
            f"{type(self.network).__name__} {does}{rest}: use '{command}' or "
            f"sesame.inference.{name}"
        )


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
    _check_keys("configuration", config, CONFIG_KEYS, (*CONFIG_KEYS, "parent"))
    if config["format"] != FORMAT or isinstance(config["format"], bool):
        raise ValueError(f"format ({config['format']!r}) must be {FORMAT}")
    name, rate = config["model"], config["sample_rate"]
    system = _system(name)
    _check_rate(name, rate, any_rate=system is SEFlow)
    if "parent" in config:
        _check_parent(name, config["parent"], has_parents=system is SEFlow)
    hears_itself = not issubclass(system, MagPhaseEnhancer)
    transform = _transform(name, config["transform"], hears_itself)
    arguments = complete_arguments(name, config["arguments"])
    if (
        issubclass(system, BandSplitSeparator)
        and arguments.get("sample_rate", rate) != rate
    ):
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


def _check_rate(name: str, rate: Any, any_rate: bool) -> None:
    if any_rate:
        if rate is not None:
            raise ValueError(f"sample_rate ({rate!r}) of {name} must be null")
    elif not _is_int(rate) or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate ({rate!r}) must be a whole number of Hz in "
            f"[{MIN_SAMPLE_RATE}, {MAX_SAMPLE_RATE}]"
        )


def _check_parent(name: str, parent: Any, has_parents: bool) -> None:
    if not has_parents:
        raise ValueError(f"parent ({parent!r}) must not be there: {name} has none")
    _check_keys("parent", parent, PARENT_KEYS)
    digest, width, depth = (parent[key] for key in PARENT_KEYS)
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"parent: sha256 ({digest!r}) must be 64 hexadecimal digits")
    if not (_is_int(width) or isinstance(width, float)) or not 0 < width <= 1:
        raise ValueError(f"parent: width ({width!r}) must be a number in (0, 1]")
    if not _is_int(depth) or depth < 1:
        raise ValueError(f"parent: depth ({depth!r}) must be an integer, at least 1")


def _transform(name: str, sizes: Any, hears_itself: bool) -> CompressedSTFT | None:
    if hears_itself:
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
    kinds = (MagPhaseEnhancer, BandSplitSeparator, SEFlow)
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
