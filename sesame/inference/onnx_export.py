"""Export of the core network to ONNX, and the proof that it is the same network.

The core maps magnitude and phase to the same pair. The transforms around it stay
outside: the phase of a bin near zero depends on the last bit of whoever computes it.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sesame.features.level import normalize, rms

from .audio_files import new_file
from .model_folder import CONFIG_FILE, load_model_folder
from .onnx_network import (
    CONFIG_KEY,
    FORMAT_KEY,
    INPUT_NAMES,
    ONNX_FORMAT,
    OUTPUT_NAMES,
    WEIGHTS_KEY,
    OnnxNetwork,
    import_extra,
    weights_digest,
)
from .onnx_operators import OPSET, expand_operators, register_operators

__all__ = ["OPSET", "TOLERANCE", "Parity", "check_onnx", "export_onnx"]

TOLERANCE = 1e-4
CHECKED_SECONDS = (1.0, 2.5, 7.0)
# Of the example that is traced; the graph holds for any other.
EXAMPLE_FRAMES = 5


class Parity(NamedTuple):
    """Largest differences of an exported network from its original, at one length.

    ``magnitude`` and ``spectrum``, the difference of the compressed complex spectra,
    are relative to the largest enhanced magnitude. ``phase`` is the difference of its
    cosine or its sine, whichever is larger, in any bin; where the phase decoder's two
    outputs nearly vanish it exceeds the rounding errors by far, and ``spectrum`` says
    whether that could be heard.

    Example
    -------
    >>> Parity(63, magnitude=1e-6, phase=2e-4, spectrum=1e-6).within(1e-4)
    False
    """

    num_frames: int
    magnitude: float
    phase: float
    spectrum: float

    def within(self, tolerance: float = TOLERANCE) -> bool:
        """Tells whether magnitude and phase differ by no more than that.

        Arguments
        ---------
        tolerance : float
            Largest difference that passes.

        Returns
        -------
        bool
            False also for differences that are not numbers.
        """
        return self.magnitude <= tolerance and self.phase <= tolerance


def export_onnx(
    model_folder: str | Path, path: str | Path, overwrite: bool = False
) -> None:
    """Writes the core network of a model folder as an ONNX file.

    Inputs are ``magnitude`` and ``phase``, outputs ``enhanced_magnitude`` and
    ``enhanced_phase``, all float32 (B, F, T) with any B and T from 1. Attention sees
    the whole input, one sequence after the other; all experts are computed and the
    chosen ones kept. The metadata hold the text of ``config.json``, so that the file
    needs no other.

    Arguments
    ---------
    model_folder : str | Path
        Folder with ``config.json`` and ``model.safetensors``.
    path : str | Path
        File to make, with the suffix ``.onnx``.
    overwrite : bool
        Whether an existing file is replaced.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the folder does not hold an intact model, if the suffix is another, or if
        the file exists and ``overwrite`` is False.

    Example
    -------
    >>> export_onnx("pretrained/sesame-small", "model.pb")
    Traceback (most recent call last):
    ValueError: suffix of model.pb must be .onnx
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"suffix of {path} must be .onnx")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; overwrite=True replaces it")
    onnx = import_extra("onnx")
    network, transform, _ = load_model_folder(model_folder)
    example = torch.rand(2, 1, transform.num_bins, EXAMPLE_FRAMES)
    model = onnx.load_model_from_string(_to_onnx(network, *example))
    model = expand_operators(model)
    metadata = {
        FORMAT_KEY: ONNX_FORMAT,
        CONFIG_KEY: (Path(model_folder) / CONFIG_FILE).read_text(encoding="utf-8"),
        WEIGHTS_KEY: weights_digest(model_folder),
    }
    onnx.helper.set_model_props(model, metadata)
    _attend_in_turn(onnx, model)
    for output in model.graph.output:
        # The exporter loses it on the way.
        output.type.tensor_type.shape.dim[1].dim_value = transform.num_bins
    onnx.checker.check_model(model, full_check=True)
    with new_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def check_onnx(
    model_folder: str | Path,
    path: str | Path,
    noisy: np.ndarray | None = None,
    seconds: Sequence[float] = CHECKED_SECONDS,
) -> list[Parity]:
    """Compares an exported network with its original at several lengths.

    Arguments
    ---------
    model_folder : str | Path
        Folder with the original.
    path : str | Path
        File that ``export_onnx`` wrote.
    noisy : np.ndarray | None
        Noisy speech (L,) at the network's rate, repeated where it is too short;
        ``None`` is white noise, the same at every call.
    seconds : Sequence[float]
        Lengths to compare at [s].

    Returns
    -------
    list[Parity]
        The largest differences at each length.

    Raises
    ------
    ImportError
        If onnx or onnxruntime is not installed.
    ValueError
        If one of the two cannot be loaded, or if they do not fit together.

    Example
    -------
    >>> check_onnx("no/such/model", "model.onnx")
    Traceback (most recent call last):
    ValueError: model folder no/such/model must hold config.json and ...
    """
    network, transform, sample_rate = load_model_folder(model_folder)
    exported = OnnxNetwork(path)
    if noisy is None:
        length = round(max(seconds) * sample_rate)
        noisy = np.random.default_rng(0).standard_normal(length)
    checks = []
    for duration in seconds:
        waveform = np.resize(noisy, (1, max(1, round(duration * sample_rate))))
        waveform = torch.from_numpy(waveform.astype(np.float32))
        spectrum = transform(normalize(waveform, rms(waveform)))
        with torch.inference_mode():
            checks.append(_parity(network(*spectrum), exported(*spectrum)))
    return checks


def _parity(expected: tuple[Tensor, Tensor], actual: tuple[Tensor, Tensor]) -> Parity:
    (magnitude, phase), (other_magnitude, other_phase) = expected, actual
    unit, other_unit = (
        torch.polar(torch.ones_like(p), p) for p in (phase, other_phase)
    )
    scale = magnitude.max()
    return Parity(
        num_frames=magnitude.shape[-1],
        magnitude=float((magnitude - other_magnitude).abs().max() / scale),
        phase=float(torch.view_as_real(unit - other_unit).abs().max()),
        spectrum=float(
            (magnitude * unit - other_magnitude * other_unit).abs().max() / scale
        ),
    )


def _to_onnx(network: torch.nn.Module, magnitude: Tensor, phase: Tensor) -> bytes:
    register_operators()
    buffer = io.BytesIO()
    axes = {name: {0: "batch", 2: "frames"} for name in INPUT_NAMES + OUTPUT_NAMES}
    with warnings.catch_warnings(), torch.no_grad():
        # On shapes that become constants, and on the batch of recurrent layers: what
        # must not be constant is checked at other lengths and batches than these.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (magnitude, phase),
            buffer,
            # The newer exporter keeps the length where there is a recurrent layer.
            dynamo=False,
            opset_version=OPSET,
            input_names=INPUT_NAMES,
            output_names=OUTPUT_NAMES,
            dynamic_axes=axes,
        )
    return buffer.getvalue()


def _attend_in_turn(onnx: Any, model: Any) -> None:
    """Makes attention take one sequence after the other.

    An ONNX runtime keeps the weights of all sequences otherwise: gigabytes at a few
    seconds, and slower than what stays in the cache.
    """
    helper = onnx.helper
    nodes = list(model.graph.node)
    makers = {name: node for node in nodes for name in node.output}
    users = {name: node for node in nodes for name in node.input}
    for softmax in [node for node in nodes if node.op_type == "Softmax"]:
        score, mix = makers[softmax.input[0]], users[softmax.output[0]]
        if (score.op_type, mix.op_type) != ("MatMul", "MatMul"):
            continue  # of a router
        steps = [
            helper.make_node("MatMul", ["query", "key"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
            helper.make_node("MatMul", ["weights", "value"], ["mixed"]),
        ]
        query, key, value, mixed = (
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * 3)
            for name in ("query", "key", "value", "mixed")
        )
        body = helper.make_graph(steps, "attention", [query, key, value], [mixed])
        nodes[nodes.index(mix)] = helper.make_node(
            "Scan",
            [*score.input, mix.input[1]],
            mix.output,
            name=softmax.name,
            num_scan_inputs=3,
            body=body,
        )
        nodes.remove(score)
        nodes.remove(softmax)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
