"""What the commands share: how they speak, and how they find the model."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from sesame.inference.enhancer import Enhancer

_PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
DEFAULT_MODEL = _PRETRAINED / "sesame-small"
DEFAULT_SEPARATOR = _PRETRAINED / "tf-moe-small"
DEFAULT_FLOW = _PRETRAINED / "seflow-small"
BACKENDS = ("torch", "onnxruntime")


def say(text: str) -> None:
    """Writes a result to the standard output.

    Arguments
    ---------
    text : str
        Line or lines, without the last line break.

    Example
    -------
    >>> say("done")
    done
    """
    _write(sys.stdout, f"{text}\n")


def note(message: str) -> None:
    """Writes one line to the error stream, whatever line breaks a message has.

    Arguments
    ---------
    message : str
        What a person should know.

    Example
    -------
    >>> note("a.wav cannot be read")
    """
    _write(sys.stderr, f"sesame: {' '.join(message.split())}\n")


def _write(stream: TextIO, text: str) -> None:
    # File names may hold what the stream's encoding does not.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--model``, ``--device`` and ``--backend``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of a command.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_model_options(parser)
    >>> parser.parse_args([]).device
    'auto'
    """
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="model folder or hf://owner/name[@revision]; default: sesame-small",
    )
    parser.add_argument("--device", default="auto", help="such as cpu or cuda:0")
    parser.add_argument("--backend", choices=BACKENDS, default="torch")


def model_path(model: str | None, default: Path | None = None) -> str:
    """The model that was asked for, or the one that comes with the library.

    Arguments
    ---------
    model : str | None
        Value of ``--model``.
    default : Path | None
        Folder of the model that comes with the library; None is ``DEFAULT_MODEL``.

    Returns
    -------
    str
        A folder, a file or a name that starts with ``hf://``.

    Raises
    ------
    ValueError
        If none is given and none came with the library.

    Example
    -------
    >>> model_path("hf://owner/name")
    'hf://owner/name'
    """
    default = default or DEFAULT_MODEL
    if model is None and not default.is_dir():
        raise ValueError(
            f"there is no default model ({default}): give one with --model FOLDER"
        )
    return str(default) if model is None else model


def load_model(arguments: argparse.Namespace) -> "Enhancer":
    """Loads the model that the options name.

    Arguments
    ---------
    arguments : argparse.Namespace
        With the values of ``add_model_options``.

    Returns
    -------
    Enhancer
        Ready to be called.

    Raises
    ------
    ValueError
        If there is no intact model, or the device or the backend is not there.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_model_options(parser)
    >>> load_model(parser.parse_args(["--model", "no/such/model"]))
    Traceback (most recent call last):
    ValueError: ...no/such/model...
    """
    model = model_path(arguments.model)
    from sesame.inference.enhancer import Enhancer

    return Enhancer.from_pretrained(model, arguments.device, arguments.backend)


def refuse_to_replace(path: Path, overwrite: bool) -> None:
    """Stops before a file is replaced that nobody asked to replace.

    Arguments
    ---------
    path : Path
        File to be made.
    overwrite : bool
        Value of ``--force``.

    Raises
    ------
    ValueError
        If the path is a folder, or a file that is not to be replaced.

    Example
    -------
    >>> refuse_to_replace(Path("."), overwrite=True)
    Traceback (most recent call last):
    ValueError: . is a folder, not a file
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; --force replaces it")
