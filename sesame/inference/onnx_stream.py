"""A step of a stream as an ONNX file, with the state as inputs and outputs.

A device keeps the tensors ``next_NAME`` that a run gives and hands them to the next run
as ``NAME``; before the first sample they are zeros. Where a voice can be enrolled, its
tokens are the first slots of each ``memory_N``, and ``enrolled`` tells their number.
"""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sesame.models.seflow import SEFlow
from sesame.models.seflow_enrollment import Enrollment
from sesame.models.seflow_stream import Stream, StreamState

from .audio_files import new_file
from .onnx_network import (
    FORMAT_KEY,
    ONNX_FORMAT,
    import_extra,
    open_session,
    read_onnx,
)
from .onnx_operators import OPSET
from .waveforms import check_rate

__all__ = ["STREAM_KEY", "OnnxStream", "export_stream_onnx"]

# Key of the metadata: the settings of the state, as JSON.
STREAM_KEY = "model.stream"
BLOCK, FAR_END, OUTPUT = "block", "far_end_block", "enhanced"
SETTINGS = {
    "sample_rate": int,
    "channels": int,
    "depth": int,
    "num_slots": int,
    "far_end": bool,
}
# There only if flow matching takes several steps.
FLOW_SETTINGS = {"num_steps": int}


def export_stream_onnx(
    network: SEFlow,
    path: str | Path,
    sample_rate: int,
    width: float | None = None,
    depth: int | None = None,
    far_end: bool = False,
    enrollment: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes a step of one stream, of one hop of 10 ms, as an ONNX file.

    Inputs are ``block`` (1, hop), ``far_end_block`` (1, hop) if there is one, and the
    tensors of ``SEFlow.initial_state``; outputs are ``enhanced`` (1, hop) and the same
    tensors as ``next_...``. All sizes are fixed. A voice is enrolled by torch.

    Arguments
    ---------
    network : SEFlow
        The network.
    path : str | Path
        File to make, with the suffix ``.onnx``.
    sample_rate : int
        Sampling rate [Hz].
    width : float | None
        Fraction of the channels.
    depth : int | None
        Blocks.
    far_end : bool
        Whether a far end is an input.
    enrollment : bool
        Whether the state has room for a voice.
    overwrite : bool
        Whether an existing file is replaced.

    Raises
    ------
    ImportError
        If onnx is not installed.
    ValueError
        If the suffix is another, the file exists and ``overwrite`` is False, or an
        argument is out of its range.

    Example
    -------
    >>> export_stream_onnx(SEFlow(width=8, depth=1, head_channels=4), "a.pb", 8000)
    Traceback (most recent call last):
    ValueError: suffix of a.pb must be .onnx
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"suffix of {path} must be .onnx")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; overwrite=True replaces it")
    # Of numpy's integers there is no JSON.
    sample_rate = check_rate(sample_rate)
    onnx = import_extra("onnx")
    part = network.subnet(width, depth).cpu().eval()
    hop = part.front_ends(sample_rate, "cpu").stft.hop_length
    # Room for the tokens is all that is taken of this voice.
    voice = torch.zeros(1, hop) if enrollment else None
    state = part.initial_state(1, sample_rate, enrollment=voice, far_end=far_end)
    names, settings = list(state.tensors), dict(state.settings)
    signals = [BLOCK, FAR_END] if far_end else [BLOCK]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # On shapes that become constants: all are.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Step(part, state),
            (*torch.rand(len(signals), 1, hop), *state.tensors.values()),
            buffer,
            # The exporter that knows ``torch.jit.is_tracing``.
            dynamo=False,
            opset_version=OPSET,
            input_names=[*signals, *names],
            output_names=[OUTPUT, *(f"next_{name}" for name in names)],
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    metadata = {FORMAT_KEY: ONNX_FORMAT, STREAM_KEY: json.dumps(settings)}
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    with new_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


class OnnxStream:
    """A file of ``export_stream_onnx`` at work, in the place of ``SEFlow``.

    ``StreamingEnhancer`` takes it. The size is that of the file.

    Arguments
    ---------
    path : str | Path
        The file.
    num_threads : int
        Threads of an operator; one is the fastest for small networks.

    Raises
    ------
    ImportError
        If onnx or onnxruntime is not installed.
    ValueError
        If the file is missing, damaged or not such a file, or if ``num_threads`` is
        less than 1.

    Example
    -------
    >>> OnnxStream("no/such/model.onnx")
    Traceback (most recent call last):
    ValueError: there is no file no/such/model.onnx
    """

    def __init__(self, path: str | Path, num_threads: int = 1):
        if num_threads < 1:
            raise ValueError(f"num_threads ({num_threads}) must be at least 1")
        self.path = Path(path)
        content, metadata = read_onnx(self.path)
        self.settings = _read_settings(self.path, metadata)
        device = torch.device("cpu")
        self.session = open_session(self.path, content, num_threads, device)
        signals = [BLOCK, FAR_END] if self.settings["far_end"] else [BLOCK]
        inputs = {node.name: node for node in self.session.get_inputs()}
        outputs = [node.name for node in self.session.get_outputs()]
        self._names = [name for name in inputs if name not in signals]
        expected = {OUTPUT, *(f"next_{name}" for name in self._names)}
        sizes = [size for node in inputs.values() for size in node.shape]
        fits = set(signals) <= inputs.keys() and expected <= set(outputs)
        if not fits or not all(isinstance(size, int) for size in sizes):
            raise ValueError(
                f"{self.path}: inputs {sorted(inputs)} and outputs {outputs} must be "
                "those of a step: `sesame export` writes such files"
            )
        self._signals = signals
        self._inputs = inputs

    def open_stream(
        self,
        batch_size: int,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
        enrollment: Tensor | Enrollment | None = None,
        far_end: bool = False,
    ) -> Stream:
        """Opens a stream, as ``SEFlow.open_stream`` does.

        Arguments
        ---------
        batch_size : int
            1.
        sample_rate : int
            Sampling rate of the file [Hz].
        width : float | None
            None.
        depth : int | None
            None.
        enrollment : Tensor | Enrollment | None
            What ``SEFlow.enroll`` made of a voice, at the size of the file, if that has
            room for it.
        far_end : bool
            Whether the file has a far end.

        Returns
        -------
        Stream
            Call it with blocks (1, M * hop), and blocks of the far end.

        Raises
        ------
        ValueError
            If something is not as in the file, or the enrollment is a waveform.
        """
        wanted = (batch_size, sample_rate, width, depth, far_end)
        own = (1, self.settings["sample_rate"], None, None, self.settings["far_end"])
        names = ("batch_size", "sample_rate", "width", "depth", "far_end")
        for name, value, rule in zip(names, wanted, own, strict=True):
            if value != rule:
                raise ValueError(f"{name} ({value}) must be {rule}, as in {self.path}")
        return Stream(self.step, self.initial_state(enrollment))

    def initial_state(self, enrollment: Tensor | Enrollment | None) -> StreamState:
        """State of a stream before its first sample.

        Arguments
        ---------
        enrollment : Tensor | Enrollment | None
            As for ``open_stream``.

        Returns
        -------
        StreamState
            Zeros, but for the enrollment.

        Raises
        ------
        ValueError
            If the enrollment does not fit, or is a waveform.
        """
        slots = self.settings["num_slots"]
        tensors = {name: _zeros(self._inputs[name]) for name in self._names}
        if enrollment is not None:
            if not isinstance(enrollment, Enrollment):
                raise ValueError("enrollment must be what SEFlow.enroll has made of it")
            tokens = enrollment.tokens_for(
                1,
                self.settings["sample_rate"],
                self.settings["channels"],
                self.settings["depth"],
            )
            filled = tokens[0].shape[-2]
            if filled > slots:
                raise ValueError(
                    f"tokens ({filled}) of the enrollment must be at most {slots}, the "
                    f"room that {self.path} has"
                )
            # Each step of flow matching has memories of its own.
            for number, kept in enumerate(tokens * self.settings.get("num_steps", 1)):
                tensors[f"memory_{number}"][..., :filled, :] = kept
            tensors["enrolled"].fill_(filled)
        constants = {name: slots for name in tensors if name.startswith("memory_")}
        return StreamState(tensors, self.settings, {"enrolled": None, **constants})

    def step(
        self, x: Tensor, state: StreamState, far_end: Tensor | None = None
    ) -> tuple[Tensor, StreamState]:
        """Takes the next block of the stream, hop by hop.

        Arguments
        ---------
        x : Tensor
            Samples (1, M * hop), float32, for any M >= 1.
        state : StreamState
            What the step before returned, or ``initial_state``; it is written to.
        far_end : Tensor | None
            Samples of the same shape, if the file has a far end.

        Returns
        -------
        tuple[Tensor, StreamState]
            Samples (1, M * hop), 10 ms late, and the state to go on with.

        Raises
        ------
        ValueError
            If the block or the far end does not fit, or onnxruntime fails on it.
        """
        hop = self._inputs[BLOCK].shape[1]
        signals = [x] if far_end is None else [x, far_end]
        if len(signals) != len(self._signals):
            rule = "must be given" if self.settings["far_end"] else "must be None"
            raise ValueError(f"far_end {rule}, as in {self.path}")
        for name, signal in zip(self._signals, signals, strict=True):
            fits = signal.ndim == 2 and len(signal) == 1 and signal.shape == x.shape
            if not fits or signal.shape[1] % hop or not signal.shape[1]:
                raise ValueError(
                    f"{name} {tuple(signal.shape)} must be (1, M * {hop}) with M >= 1, "
                    "the same for all"
                )
            if signal.dtype != torch.float32:
                raise ValueError(f"dtype of {name} ({signal.dtype}) must be float32")
            # onnxruntime is given addresses.
            if signal.device.type != "cpu":
                raise ValueError(f"device of {name} ({signal.device}) must be cpu")
        tensors, outputs = state.tensors, []
        for start in range(0, x.shape[1], hop):
            blocks = [signal[:, start : start + hop] for signal in signals]
            y, tensors = self._run(blocks, tensors)
            outputs.append(y)
        return torch.cat(outputs, dim=1), StreamState(
            tensors, state.settings, state.constants
        )

    def _run(self, blocks, tensors):
        binding = self.session.io_binding()
        feed = dict(zip(self._signals, blocks, strict=True)) | tensors
        held, results = {}, {OUTPUT: torch.empty_like(blocks[0].contiguous())}
        for name, tensor in feed.items():
            held[name] = tensor.contiguous()
            _bind(binding.bind_input, name, held[name])
        for name in self._names:
            # A memory is written in place: copying it would take as long as the step.
            shared = name.startswith("memory_")
            results[name] = held[name] if shared else torch.empty_like(held[name])
        for name, tensor in results.items():
            target = name if name == OUTPUT else f"next_{name}"
            _bind(binding.bind_output, target, tensor)
        try:
            self.session.run_with_iobinding(binding)
        # The errors of onnxruntime have no other base in common.
        except Exception as error:
            raise ValueError(f"{self.path}: onnxruntime failed: {error}") from error
        return results.pop(OUTPUT), results


class _Step(nn.Module):
    """A step whose state is tensors in a row."""

    def __init__(self, network: SEFlow, state: StreamState):
        super().__init__()
        self.network = network
        self.names = list(state.tensors)
        self.settings = state.settings

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        signals = tensors[: -len(self.names)]
        tensors = dict(zip(self.names, tensors[len(signals) :], strict=True))
        state = StreamState(tensors, self.settings)
        y, state = self.network.step(signals[0], state, *signals[1:])
        return (y, *(state.tensors[name] for name in self.names))


def _read_settings(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        settings = json.loads(metadata.get(STREAM_KEY, ""))
    except ValueError:
        settings = None
    fits = isinstance(settings, dict)
    if fits:
        kinds = SETTINGS | {k: v for k, v in FLOW_SETTINGS.items() if k in settings}
        fits = kinds == {name: type(value) for name, value in settings.items()}
    if metadata.get(FORMAT_KEY) != ONNX_FORMAT or not fits:
        raise ValueError(f"{path} is not a step of a stream that this version can run")
    return settings


def _zeros(node: Any) -> Tensor:
    dtype = torch.int64 if node.type == "tensor(int64)" else torch.float32
    return torch.zeros(node.shape, dtype=dtype)


def _bind(bind: Any, name: str, tensor: Tensor) -> None:
    dtype = np.int64 if tensor.dtype == torch.int64 else np.float32
    bind(name, "cpu", 0, dtype, tuple(tensor.shape), tensor.data_ptr())
