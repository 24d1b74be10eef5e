"""From the results folder of a training run to a model folder, without running code.

``hyperparams.yaml`` is a HyperPyYAML file: loading it the usual way runs what it names.
Here it is parsed to nodes only, of which a few plain values are read.
"""

import json
import math
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor

from sesame.models.seflow import SEFlow

from .model_card import RunFacts, model_card
from .model_folder import CONFIG_FILE, save_model_folder

__all__ = ["Checkpoint", "best_checkpoint", "convert_run", "read_scores"]

HYPERPARAMS_FILE = "hyperparams.yaml"
META_FILE = "CKPT.yaml"
MAX_YAML_BYTES = 1_000_000
SYSTEM_TAG = re.compile(r"!new:sesame\.models\.(\w+)")
ANY_RATE = SEFlow.__name__
TRANSFORM_TAG = "!new:sesame.features.CompressedSTFT"
# Of the systems: what is in their weights and is not trained by gradients.
BUFFERS = ("expert_bias", "num_batches_tracked", "running_mean", "running_var")
TRANSFORM_DEFAULTS = {
    "n_fft": 400,
    "hop_length": 100,
    "win_length": 400,
    "exponent": 0.3,
}


class Checkpoint(NamedTuple):
    """A checkpoint folder of a run and what its meta file says.

    Example
    -------
    >>> Checkpoint(Path("save/CKPT+a"), {"epoch": 3, "pesq": 2.5}).meta["epoch"]
    3
    """

    path: Path
    meta: dict[str, Any]


def convert_run(
    results_folder: str | Path, model_folder: str | Path, overwrite: bool = False
) -> Checkpoint:
    """Makes a model folder of the best checkpoint of a training run.

    The averaged weights (EMA) are taken where the run has them, as in its test.

    Arguments
    ---------
    results_folder : str | Path
        Output folder of ``train.py``: ``hyperparams.yaml`` and ``save/CKPT+*``.
    model_folder : str | Path
        Folder to make.
    overwrite : bool
        Replace a model that is there, its model card too.

    Returns
    -------
    Checkpoint
        The checkpoint the weights come from.

    Raises
    ------
    ValueError
        If the run has no intact checkpoint, its system is none of ``sesame.models``,
        or there is a model already.

    Example
    -------
    >>> convert_run("no/such/run", "model")
    Traceback (most recent call last):
    ValueError: results folder no/such/run must hold hyperparams.yaml and save/CKPT+*...
    """
    results, target = Path(results_folder), Path(model_folder)
    if (target / CONFIG_FILE).exists() and not overwrite:
        raise ValueError(f"{target} holds a model already")
    settings = _read_settings(results)
    metric = ""
    if "selection_metric" in settings:
        metric = _plain(settings, "selection_metric")
    checkpoint = best_checkpoint(results, metric)
    model_name = _model_name(settings)
    arguments = _plain(settings, "generator")
    sample_rate = _read_rate(settings, model_name)
    weights_file, weights = _read_weights(checkpoint.path)
    transform = _read_transform(settings, model_name)
    facts = RunFacts(
        model_name=model_name,
        arguments=arguments,
        num_parameters=_count_parameters(weights),
        sample_rate=sample_rate,
        recipe=_recipe(results / HYPERPARAMS_FILE),
        weights_file=weights_file,
        checkpoint=checkpoint.meta,
        selection_metric=metric,
        scores={
            kind: scores
            for kind in ("noisy", "enhanced")
            if (scores := read_scores(results, kind))
        },
        separates=transform is None,
    )
    save_model_folder(
        target,
        model_name,
        arguments,
        transform,
        sample_rate,
        weights,
        model_card(facts),
    )
    return checkpoint


def best_checkpoint(results_folder: str | Path, metric: str) -> Checkpoint:
    """Finds the checkpoint with the highest value of a metric, else the newest one.

    Arguments
    ---------
    results_folder : str | Path
        Output folder of ``train.py``.
    metric : str
        Name of an entry of the checkpoints' meta files.

    Returns
    -------
    Checkpoint
        Of those with one best value, the newest.

    Raises
    ------
    ValueError
        If there is no checkpoint with a readable meta file.

    Example
    -------
    >>> results = getfixture("tmp_path")
    >>> for name, pesq in ("a", 2.0), ("b", 3.0), ("c", 2.5):
    ...     folder = results / "save" / f"CKPT+{name}"
    ...     folder.mkdir(parents=True)
    ...     _ = (folder / "CKPT.yaml").write_text(f"unixtime: 1.0\\npesq: {pesq}")
    >>> best_checkpoint(results, "pesq").path.name
    'CKPT+b'
    """
    folder = Path(results_folder) / "save"
    checkpoints = []
    for path in sorted(folder.glob("CKPT+*")):
        meta = _read_meta(path / META_FILE)
        if meta is not None:
            checkpoints.append(Checkpoint(path, meta))
    if not checkpoints:
        raise ValueError(f"{folder} must hold a checkpoint CKPT+* with {META_FILE}")

    def rank(checkpoint: Checkpoint) -> tuple[float, float]:
        meta = checkpoint.meta
        return _number(meta.get(metric)), _number(meta.get("unixtime"))

    return max(checkpoints, key=rank)


def read_scores(results_folder: str | Path, kind: str) -> dict[str, Any]:
    """Reads the scores that a test wrote.

    Arguments
    ---------
    results_folder : str | Path
        Output folder of ``train.py``.
    kind : str
        "enhanced" for ``test_scores.json``, "noisy" for ``noisy_scores.json``.

    Returns
    -------
    dict[str, Any]
        {metric: {"mean", "n_scored", "n_total"}, "composite_variant": name}; empty if
        the run has no test yet.

    Raises
    ------
    ValueError
        If the file is not JSON.

    Example
    -------
    >>> read_scores("no/such/run", "noisy")
    {}
    """
    stem = {"enhanced": "test", "noisy": "noisy"}[kind]
    path = Path(results_folder) / f"{stem}_scores.json"
    if not path.is_file():
        return {}
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    return scores


def _read_settings(results: Path) -> dict[str, yaml.Node]:
    """Top-level entries of the run's YAML file as nodes; nothing is constructed."""
    path = results / HYPERPARAMS_FILE
    if not path.is_file():
        raise ValueError(
            f"results folder {results} must hold {HYPERPARAMS_FILE} and save/CKPT+*: "
            f"{HYPERPARAMS_FILE} is missing"
        )
    if path.stat().st_size > MAX_YAML_BYTES:
        raise ValueError(f"{path} must be at most {MAX_YAML_BYTES} bytes")
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    settings = {}
    if isinstance(root, yaml.MappingNode):
        settings = {key.value: value for key, value in root.value}
    required = ["generator", "sample_rate"]
    if "generator" in settings and settings["generator"].tag.endswith(ANY_RATE):
        required.remove("sample_rate")
    missing = [k for k in required if k not in settings]
    if missing:
        raise ValueError(f"{path} must have the entries {', '.join(missing)}")
    return settings


def _plain(settings: dict[str, yaml.Node], name: str) -> Any:
    """Value of an entry of plain values, or the keyword arguments of a !new: entry.

    The safe constructor knows the standard tags only: no other tag is acted on.
    """
    node = settings[name]
    constructor = yaml.constructor.SafeConstructor()
    try:
        if isinstance(node, yaml.MappingNode):
            return constructor.construct_mapping(node, deep=True)
        if isinstance(node, yaml.ScalarNode) and node.tag.startswith("!new:"):
            return {}
        return constructor.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{name} of {HYPERPARAMS_FILE} must be made of plain values: {reason}"
        ) from error


def _model_name(settings: dict[str, yaml.Node]) -> str:
    tag = settings["generator"].tag
    match = SYSTEM_TAG.fullmatch(tag)
    if match is None:
        raise ValueError(
            f"generator ({tag}) of {HYPERPARAMS_FILE} must be "
            "!new:sesame.models.<System>"
        )
    return match.group(1)


def _read_rate(settings: dict[str, yaml.Node], model_name: str) -> int | None:
    return None if model_name == ANY_RATE else _plain(settings, "sample_rate")


def _read_transform(
    settings: dict[str, yaml.Node], model_name: str
) -> dict[str, Any] | None:
    # A separator has one of its own, and so has SEFlow.
    if "transform" not in settings or model_name == ANY_RATE:
        return None
    tag = settings["transform"].tag
    if tag != TRANSFORM_TAG:
        raise ValueError(
            f"transform ({tag}) of {HYPERPARAMS_FILE} must be {TRANSFORM_TAG}"
        )
    return TRANSFORM_DEFAULTS | _plain(settings, "transform")


def _read_meta(path: Path) -> dict[str, Any] | None:
    """None for what a killed process left behind."""
    try:
        meta = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return None
    return meta if isinstance(meta, dict) and "unixtime" in meta else None


def _read_weights(checkpoint: Path) -> tuple[str, dict[str, Tensor]]:
    path = checkpoint / "ema.ckpt"
    if not path.is_file():
        path = checkpoint / "generator.ckpt"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A missing or cut file surfaces as one of these.
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot read {path}: {reason}") from error
    if path.name == "ema.ckpt":
        del state["n_averaged"]
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return path.name, state


def _count_parameters(weights: dict[str, Tensor]) -> int:
    return sum(v.numel() for k, v in weights.items() if not k.endswith(BUFFERS))


def _recipe(path: Path) -> str:
    """Name of the YAML file of the run, from the header SpeechBrain gives its copy."""
    with open(path, encoding="utf-8") as file:
        head = [file.readline() for _ in range(3)]
    names = [line.strip("# \n") for line in head if line.strip().endswith(".yaml")]
    return Path(names[0]).name if names else ""


def _number(value: Any) -> float:
    """Value for comparison: what is no finite number comes last."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return -math.inf
