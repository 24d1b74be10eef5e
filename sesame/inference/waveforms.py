"""Waveforms that a caller gives, checked, and results of the same kind; devices."""

import operator

import numpy as np
import torch
from torch import Tensor, nn

from .audio_files import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE

__all__ = [
    "check_rate",
    "find_device",
    "full_scale",
    "like_input",
    "move_network",
    "read_waveform",
]

DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int16,
    torch.int32,
)


def find_device(device: str | torch.device) -> torch.device:
    """The device that a name stands for.

    Arguments
    ---------
    device : str | torch.device
        A torch device; "auto" is the first CUDA device, else the CPU.

    Returns
    -------
    torch.device
        It need not be there: ``move_network`` finds out.

    Raises
    ------
    ValueError
        If torch does not know the name.

    Example
    -------
    >>> find_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ValueError(_device_rule(device, error)) from error


def move_network(network: nn.Module, device: torch.device) -> nn.Module:
    """Moves a network to a device.

    Arguments
    ---------
    network : nn.Module
        Is moved itself.
    device : torch.device
        Where to.

    Returns
    -------
    nn.Module
        The network.

    Raises
    ------
    ValueError
        If the device is not there.

    Example
    -------
    >>> move_network(nn.Linear(2, 3), torch.device("cpu"))
    Linear(in_features=2, out_features=3, bias=True)
    """
    try:
        return network.to(device)
    # A build of torch without CUDA asserts, one without a driver raises.
    except (RuntimeError, AssertionError) as error:
        raise ValueError(_device_rule(device, error)) from error


def check_rate(sample_rate: int) -> int:
    """Checks a sampling rate.

    Arguments
    ---------
    sample_rate : int
        Hz; numpy's integers are taken, too.

    Returns
    -------
    int
        The same.

    Raises
    ------
    ValueError
        If it is not a whole number in the range of ``audio_files``.

    Example
    -------
    >>> check_rate(np.int64(16000))
    16000
    """
    try:
        rate = operator.index(sample_rate)
    except TypeError:
        rate = 0
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise ValueError(
            f"sample_rate ({sample_rate!r}) must be a whole number of Hz in "
            f"[{MIN_SAMPLE_RATE}, {MAX_SAMPLE_RATE}]"
        )
    return rate


def read_waveform(waveform: np.ndarray | Tensor) -> np.ndarray:
    """Checks a waveform and takes its samples.

    Shape: waveform (L,) or (channels, L) -> (channels, L), for every L >= 1.

    Arguments
    ---------
    waveform : np.ndarray | Tensor
        float16, float32, float64, bfloat16, int16 or int32.

    Returns
    -------
    np.ndarray
        float64, on the scale of the waveform.

    Raises
    ------
    ValueError
        If it has another shape or dtype or holds NaN or infinity.

    Example
    -------
    >>> read_waveform(torch.tensor([1, -2], dtype=torch.int16))
    array([[ 1., -2.]])
    """
    tensor = _to_tensor(waveform)
    _check_waveform(tensor)
    samples = tensor.detach().to("cpu", torch.float64).numpy()
    return samples.reshape(-1, samples.shape[-1])


def full_scale(waveform: np.ndarray | Tensor) -> float:
    """The magnitude that the loudest sample of a kind has.

    Arguments
    ---------
    waveform : np.ndarray | Tensor
        As ``read_waveform`` takes it.

    Returns
    -------
    float
        2^15 for int16, 2^31 for int32, 1 for floating point.

    Example
    -------
    >>> full_scale(np.zeros(9, dtype=np.int16))
    32768.0
    """
    dtype = _torch_dtype(waveform)
    return 1.0 if dtype.is_floating_point else -float(torch.iinfo(dtype).min)


def like_input(
    samples: np.ndarray, waveform: np.ndarray | Tensor
) -> np.ndarray | Tensor:
    """A result as an array or tensor of the dtype, and on the device, of the input.

    Arguments
    ---------
    samples : np.ndarray
        float64, of any shape; what lies beyond the range of the dtype saturates.
    waveform : np.ndarray | Tensor
        The input, as ``read_waveform`` takes it.

    Returns
    -------
    np.ndarray | Tensor
        Of the kind of the input, with the shape of the samples.

    Example
    -------
    >>> like_input(np.array([40_000.0, -1.6]), torch.zeros(9, dtype=torch.int16))
    tensor([32767,    -2], dtype=torch.int16)
    """
    result = _saturate(torch.from_numpy(samples), _torch_dtype(waveform))
    if isinstance(waveform, np.ndarray):
        return result.numpy().astype(waveform.dtype, copy=False)
    return result.to(waveform.device)


def _device_rule(device: object, error: Exception) -> str:
    return f"device ({device}) cannot be used: {str(error).splitlines()[0]}"


def _torch_dtype(waveform: np.ndarray | Tensor) -> torch.dtype:
    if isinstance(waveform, np.ndarray):
        return torch.from_numpy(np.empty(0, _native(waveform.dtype))).dtype
    return waveform.dtype


def _native(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("=")


def _to_tensor(waveform: np.ndarray | Tensor) -> Tensor:
    if not isinstance(waveform, np.ndarray):
        return waveform
    native = _native(waveform.dtype)
    if native.name not in [str(dtype).removeprefix("torch.") for dtype in DTYPES]:
        raise ValueError(_dtype_rule(waveform.dtype))
    return torch.from_numpy(waveform.astype(native, order="C", copy=True))


def _check_waveform(waveform: Tensor) -> None:
    if not isinstance(waveform, Tensor):
        raise ValueError(
            f"waveform ({type(waveform).__name__}) must be a numpy array or a tensor"
        )
    shape = tuple(waveform.shape)
    if waveform.ndim not in (1, 2) or 0 in shape:
        raise ValueError(f"waveform {shape} must be (L,) or (channels, L), not empty")
    if waveform.ndim == 2 and shape[0] > MAX_CHANNELS:
        raise ValueError(
            f"channels ({shape[0]}) of waveform {shape} must be at most "
            f"{MAX_CHANNELS}; it must be (channels, L), not (L, channels)"
        )
    if waveform.dtype not in DTYPES:
        raise ValueError(_dtype_rule(waveform.dtype))
    broken = int((~waveform.isfinite()).sum())
    if broken:
        raise ValueError(
            f"waveform must be finite, {broken} of {waveform.numel()} samples are not"
        )


def _dtype_rule(dtype: object) -> str:
    names = [str(known).removeprefix("torch.") for known in DTYPES]
    return f"dtype of waveform ({dtype}) must be one of {', '.join(names)}"


def _saturate(waveform: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        limits = torch.finfo(dtype)
    else:
        limits = torch.iinfo(dtype)
        waveform = waveform.round()
    return waveform.clamp(limits.min, limits.max).to(dtype)
