"""Where a model is: a path, or a model of the Hugging Face Hub."""

import re
from pathlib import Path

from .model_folder import CONFIG_FILE, WEIGHTS_FILE

__all__ = ["HUB_PREFIX", "resolve_model"]

HUB_PREFIX = "hf://"
PART = r"\w(?:[\w.-]*\w)?"
HUB_MODEL = re.compile(
    rf"{HUB_PREFIX}(?P<name>{PART}/{PART})(?:@(?P<revision>{PART}(?:/{PART})*))?",
    re.ASCII,
)


def resolve_model(model: str | Path) -> Path:
    """Finds a model; downloads it only where its name starts with ``hf://``.

    Of a model of the Hub, ``config.json`` and ``model.safetensors`` are taken and
    nothing that could be run. They are kept in huggingface_hub's cache; with
    ``HF_HUB_OFFLINE=1`` in the environment, what is there is used without asking.

    Arguments
    ---------
    model : str | Path
        A model folder, an .onnx file, or ``hf://owner/name[@revision]`` with a branch,
        tag or commit.

    Returns
    -------
    Path
        The folder or the file.

    Raises
    ------
    ValueError
        If it is not there or cannot be had; says what to do.

    Example
    -------
    >>> resolve_model(getfixture("tmp_path")).is_dir()
    True
    >>> resolve_model("hf://no-owner")
    Traceback (most recent call last):
    ValueError: model (hf://no-owner) must be hf://owner/name or hf://owner/name@...
    """
    if str(model).startswith(HUB_PREFIX):
        return _download(str(model))
    path = Path(model)
    if path.is_dir() or (path.is_file() and path.suffix == ".onnx"):
        return path
    if path.suffix == ".onnx":
        raise ValueError(f"there is no file {path}")
    what = "it is a file" if path.exists() else "there is no such folder"
    raise ValueError(
        f"model folder {path} must hold {CONFIG_FILE} and {WEIGHTS_FILE}: {what}; "
        f"a model of the Hugging Face Hub is {HUB_PREFIX}owner/name"
    )


def _download(model: str) -> Path:
    match = HUB_MODEL.fullmatch(model)
    if match is None:
        raise ValueError(
            f"model ({model}) must be {HUB_PREFIX}owner/name or "
            f"{HUB_PREFIX}owner/name@revision"
        )
    try:
        # Its import takes long, and most models are folders.
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise ValueError(
            f"{model} needs huggingface_hub: pip install huggingface_hub"
        ) from error
    try:
        folder = huggingface_hub.snapshot_download(
            match["name"],
            revision=match["revision"],
            allow_patterns=[CONFIG_FILE, WEIGHTS_FILE],
        )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise ValueError(
            f"the Hugging Face Hub shows no {model}: check its name and revision, or "
            "log in with: hf auth login"
        ) from error
    # What a library raises over a network is not ours to list.
    except Exception as error:
        raise ValueError(
            f"{model} is not in the cache and cannot be had ({type(error).__name__}): "
            "connect to the network without HF_HUB_OFFLINE, or give a model folder"
        ) from error
    missing = [n for n in (CONFIG_FILE, WEIGHTS_FILE) if not Path(folder, n).is_file()]
    if missing:
        raise ValueError(f"{model} is not a model of ours: it has no {missing[0]}")
    return Path(folder)
