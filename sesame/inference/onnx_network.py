"""Exported networks at work: onnxruntime in the place of torch.

A file is data: it is read whole, so that nothing in it can name another file, and its
configuration passes the checks of a model folder.
"""

import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from sesame.features import CompressedSTFT

from .model_config import read_model
from .model_folder import WEIGHTS_FILE

__all__ = [
    "CONFIG_KEY",
    "FORMAT_KEY",
    "INPUT_NAMES",
    "ONNX_FILE",
    "ONNX_FORMAT",
    "OUTPUT_NAMES",
    "WEIGHTS_KEY",
    "OnnxNetwork",
    "import_extra",
    "load_onnx",
    "open_session",
    "read_onnx",
    "weights_digest",
]

ONNX_FILE = "model.onnx"
ONNX_FORMAT = "1"
# Keys of the metadata: the format, the text of config.json, the digest of the weights.
FORMAT_KEY = "sesame.format"
CONFIG_KEY = "model.config"
WEIGHTS_KEY = "model.weights"
INPUT_NAMES = ["magnitude", "phase"]
OUTPUT_NAMES = ["enhanced_magnitude", "enhanced_phase"]
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
NO_LOG = 4


class OnnxNetwork(nn.Module):
    """A network in an ONNX file, called like the network it was exported from.

    It has no parameters and no gradients. Its products may run on another device than
    its inputs; the results are on the device of the inputs.

    Shape: magnitude (B, F, T), phase (B, F, T) in radians -> the same pair, enhanced.

    Arguments
    ---------
    path : str | Path
        File that ``export_onnx`` wrote, or a model folder with such a ``model.onnx``.
    num_threads : int | None
        Threads of an operator on the CPU; ``None`` is ``torch.get_num_threads()``.
    device : str | torch.device
        A CUDA device uses that device where the installed onnxruntime can, and the CPU
        where not; ``provider`` says which.

    Raises
    ------
    ImportError
        If onnx or onnxruntime is not installed.
    ValueError
        If the file is missing, damaged or not such a file, or if ``num_threads`` is
        less than 1.

    Example
    -------
    >>> OnnxNetwork("no/such/model.onnx")
    Traceback (most recent call last):
    ValueError: there is no file no/such/model.onnx
    """

    def __init__(
        self,
        path: str | Path,
        num_threads: int | None = None,
        device: str | torch.device = "cpu",
    ):
        super().__init__()
        num_threads = torch.get_num_threads() if num_threads is None else num_threads
        if num_threads < 1:
            raise ValueError(f"num_threads ({num_threads}) must be at least 1")
        self.path = Path(path) / ONNX_FILE if Path(path).is_dir() else Path(path)
        content, self.metadata = read_onnx(self.path)
        device = torch.device(device)
        self.session = open_session(self.path, content, num_threads, device)
        self.provider: str = self.session.get_providers()[0]
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        names = [[node.name for node in nodes] for nodes in (inputs, outputs)]
        if names != [INPUT_NAMES, OUTPUT_NAMES]:
            raise ValueError(
                f"{self.path}: inputs and outputs {names} must be "
                f"{[INPUT_NAMES, OUTPUT_NAMES]}"
            )
        self.num_bins = inputs[0].shape[1]

    def forward(self, magnitude: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
        """Enhances a batch of spectra.

        Arguments
        ---------
        magnitude : Tensor
            Noisy compressed magnitude (B, F, T), float32.
        phase : Tensor
            Noisy phase (B, F, T), in radians, float32.

        Returns
        -------
        tuple[Tensor, Tensor]
            Enhanced compressed magnitude and phase, both (B, F, T).

        Raises
        ------
        ValueError
            If the inputs are not two float32 tensors of one shape (B, F, T), or if
            onnxruntime fails on them.
        """
        shapes = tuple(magnitude.shape), tuple(phase.shape)
        fits = len(shapes[0]) == 3 and shapes[0] == shapes[1] and 0 not in shapes[0]
        if not fits or shapes[0][1] != self.num_bins:
            raise ValueError(
                "expected magnitude and phase of one shape "
                f"(B, {self.num_bins}, T), got {shapes[0]} and {shapes[1]}"
            )
        if magnitude.dtype != torch.float32 or phase.dtype != torch.float32:
            raise ValueError(
                f"dtypes of magnitude and phase ({magnitude.dtype}, {phase.dtype}) "
                "must be torch.float32"
            )
        inputs = zip(INPUT_NAMES, (magnitude, phase), strict=True)
        feed = {name: x.detach().cpu().contiguous().numpy() for name, x in inputs}
        try:
            outputs = self.session.run(OUTPUT_NAMES, feed)
        # The errors of onnxruntime have no other base in common.
        except Exception as error:
            raise ValueError(f"{self.path}: onnxruntime failed: {error}") from error
        enhanced_magnitude, enhanced_phase = (
            torch.from_numpy(output).to(magnitude.device) for output in outputs
        )
        return enhanced_magnitude, enhanced_phase


def load_onnx(
    path: str | Path, num_threads: int | None = None, device: str | torch.device = "cpu"
) -> tuple[OnnxNetwork, CompressedSTFT, int]:
    """Reads an exported network with everything that is needed to use it.

    Arguments
    ---------
    path : str | Path
        File that ``export_onnx`` wrote, or a model folder with such a ``model.onnx``.
    num_threads : int | None
        As for ``OnnxNetwork``.
    device : str | torch.device
        As for ``OnnxNetwork``.

    Returns
    -------
    tuple[OnnxNetwork, CompressedSTFT, int]
        Network, its transform, its sampling rate [Hz].

    Raises
    ------
    ImportError
        If onnx or onnxruntime is not installed.
    ValueError
        If the file is missing, damaged or not such a file, or if it was not made of
        the ``model.safetensors`` beside it in a model folder.

    Example
    -------
    >>> load_onnx(getfixture("tmp_path"))
    Traceback (most recent call last):
    ValueError: there is no file .../model.onnx; `sesame export --model ...` makes it
    """
    path = Path(path)
    if path.is_dir() and not (path / ONNX_FILE).is_file():
        raise ValueError(
            f"there is no file {path / ONNX_FILE}; "
            f"`sesame export --model {path} --onnx {path / ONNX_FILE}` makes it"
        )
    network = OnnxNetwork(path, num_threads, device)
    if network.metadata.get(FORMAT_KEY) != ONNX_FORMAT:
        raise ValueError(
            f"{network.path}: {FORMAT_KEY} ({network.metadata.get(FORMAT_KEY)!r}) must "
            f"be {ONNX_FORMAT!r}: `sesame export` writes such files"
        )
    source = f"{network.path}: {CONFIG_KEY}"
    model = read_model(network.metadata.get(CONFIG_KEY, ""), source)
    _, transform, sample_rate = model.enhancer()
    if network.num_bins != transform.num_bins:
        raise ValueError(
            f"{network.path}: bins of the network ({network.num_bins}) must be those "
            f"of the transform ({transform.num_bins})"
        )
    weights = path / WEIGHTS_FILE
    if weights.is_file() and network.metadata.get(WEIGHTS_KEY) != weights_digest(path):
        raise ValueError(
            f"{network.path} was not exported from the {WEIGHTS_FILE} beside it; "
            f"`sesame export --model {path} --onnx {network.path} --force` replaces it"
        )
    return network, transform, sample_rate


def weights_digest(model_folder: str | Path) -> str:
    """Says which weights a model folder holds.

    Arguments
    ---------
    model_folder : str | Path
        Folder with ``model.safetensors``.

    Returns
    -------
    str
        SHA-256 of the file, in hexadecimal digits.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "model.safetensors").write_bytes(b"weights")
    >>> weights_digest(folder)[:8]
    '9a129038'
    """
    content = (Path(model_folder) / WEIGHTS_FILE).read_bytes()
    return hashlib.sha256(content).hexdigest()


def import_extra(name: str) -> ModuleType:
    """Imports a package that only ONNX needs.

    Arguments
    ---------
    name : str
        Name of the package.

    Returns
    -------
    ModuleType
        The package.

    Raises
    ------
    ImportError
        If it cannot be imported; says how to install it.

    Example
    -------
    >>> import_extra("no_such_package")
    Traceback (most recent call last):
    ImportError: no_such_package is missing: pip install '.[onnx]'
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is missing: pip install '.[onnx]'") from error


def read_onnx(path: Path) -> tuple[bytes, dict[str, str]]:
    """Reads a file that keeps all its tensors itself.

    Arguments
    ---------
    path : Path
        The file.

    Returns
    -------
    tuple[bytes, dict[str, str]]
        Its content and its metadata.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the file is missing, damaged or names another file.

    Example
    -------
    >>> read_onnx(Path("no/such/model.onnx"))
    Traceback (most recent call last):
    ValueError: there is no file no/such/model.onnx
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    onnx = import_extra("onnx")
    content = path.read_bytes()
    try:
        model = onnx.load_model_from_string(content)
    # protobuf's error has no other base that can be named without importing protobuf.
    except Exception as error:
        raise ValueError(f"{path} is not an ONNX file: {error}") from error
    tensors = (m for m in _messages(model) if isinstance(m, onnx.TensorProto))
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in tensors):
        raise ValueError(f"{path} keeps tensors in other files, which is not allowed")
    return content, {entry.key: entry.value for entry in model.metadata_props}


def open_session(
    path: Path, content: bytes, num_threads: int, device: torch.device
) -> Any:
    """Prepares onnxruntime.

    Arguments
    ---------
    path : Path
        Where the content is from, for messages.
    content : bytes
        As ``read_onnx`` returns it.
    num_threads : int
        Threads of an operator on the CPU.
    device : torch.device
        As for ``OnnxNetwork``.

    Returns
    -------
    Any
        An ``onnxruntime.InferenceSession``.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    ValueError
        If onnxruntime cannot load it.
    """
    onnxruntime = import_extra("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = NO_LOG
    providers: list[Any] = [CPU]
    if device.type == "cuda" and CUDA in onnxruntime.get_available_providers():
        providers.insert(0, (CUDA, {"device_id": device.index or 0}))
    try:
        return onnxruntime.InferenceSession(content, options, providers)
    # The errors of onnxruntime have no other base in common.
    except Exception as error:
        raise ValueError(f"{path}: onnxruntime cannot load it: {error}") from error


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for item in value if field.is_repeated else [value]:
                yield from _messages(item)
