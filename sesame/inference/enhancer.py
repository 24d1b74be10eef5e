"""The enhancer: any waveform in, the same kind of waveform out."""

import operator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sesame.features import CompressedSTFT, enhance_waveform

from .audio_files import resample
from .model_folder import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, load_model_folder

__all__ = ["Enhancer"]

DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int16,
    torch.int32,
)
MAX_CHANNELS = 256


class Enhancer:
    """Enhances waveforms with a network that maps magnitude and phase.

    The result has the type, shape, dtype, sampling rate and level of the input. Where
    the input's rate is not the network's, it is resampled on the way in and out, so
    nothing above half of the lower rate is left. Every channel is a signal of its own.
    A signal is processed as a whole: memory grows with its length.

    Arguments
    ---------
    network : nn.Module
        Maps compressed (magnitude, phase), both (B, F, T), to the same pair; is moved
        to the device and put into evaluation mode.
    transform : CompressedSTFT
        The transform the network was trained with.
    sample_rate : int
        Rate the network was trained with, Hz.
    device : str | torch.device
        A torch device; "auto" is the first CUDA device, else the CPU.

    Raises
    ------
    ValueError
        If the device is unknown or not there.

    Example
    -------
    >>> from sesame.models import SESAME
    >>> network = SESAME(num_bins=9, channels=4, num_blocks=2, num_heads=2,
    ...     moe_blocks=[1])
    >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    >>> enhancer = Enhancer(network, transform, sample_rate=16000, device="cpu")
    >>> enhancer(np.zeros((2, 1001), dtype=np.float32), sample_rate=44100).shape
    (2, 1001)
    """

    def __init__(
        self,
        network: nn.Module,
        transform: CompressedSTFT,
        sample_rate: int,
        device: str | torch.device = "auto",
    ):
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.device = torch.device(device)
            self.network = network.to(self.device).eval()
        # A build of torch without CUDA asserts, one without a driver raises.
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"device ({device}) cannot be used: {reason}") from error
        self.transform = transform.to(self.device)
        self.sample_rate = sample_rate

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str | torch.device = "auto"
    ) -> "Enhancer":
        """Loads a model folder; runs no code out of it.

        Arguments
        ---------
        folder : str | Path
            Folder with ``config.json`` and ``model.safetensors``.
        device : str | torch.device
            A torch device; "auto" is the first CUDA device, else the CPU.

        Returns
        -------
        Enhancer
            Ready to be called.

        Raises
        ------
        ValueError
            If the folder does not hold an intact model, or the device is not there.

        Example
        -------
        >>> Enhancer.from_pretrained("no/such/model")
        Traceback (most recent call last):
        ValueError: model folder no/such/model must hold config.json and ...
        """
        return cls(*load_model_folder(folder), device)

    def __call__(
        self, waveform: np.ndarray | Tensor, sample_rate: int
    ) -> np.ndarray | Tensor:
        """Enhances a waveform.

        Shape: waveform (L,) or (channels, L) -> the same, for every L >= 1.

        Arguments
        ---------
        waveform : np.ndarray | Tensor
            float16, float32, float64, bfloat16, int16 or int32; any full scale.
        sample_rate : int
            Its rate, Hz.

        Returns
        -------
        np.ndarray | Tensor
            As the input. Samples beyond the range of its dtype saturate.

        Raises
        ------
        ValueError
            If the waveform has another shape or dtype or holds NaN or infinity, or if
            the rate is out of range.
        """
        if isinstance(waveform, np.ndarray):
            return self._enhance_numpy(waveform, sample_rate)
        sample_rate = _check_rate(sample_rate)
        _check_waveform(waveform)
        channels = waveform.detach().to("cpu", torch.float64)
        channels = channels.reshape(-1, waveform.shape[-1])
        scale = _power_of_two(channels)
        enhanced = self._enhance((channels / scale).float(), sample_rate)
        enhanced = (enhanced.double() * scale).reshape(waveform.shape)
        return _saturate(enhanced, waveform.dtype).to(waveform.device)

    def _enhance_numpy(self, waveform: np.ndarray, sample_rate: int) -> np.ndarray:
        native = waveform.dtype.newbyteorder("=")
        if native.name not in [str(dtype).removeprefix("torch.") for dtype in DTYPES]:
            raise ValueError(_dtype_rule(waveform.dtype))
        tensor = torch.from_numpy(waveform.astype(native, order="C", copy=True))
        return self(tensor, sample_rate).numpy().astype(waveform.dtype, copy=False)

    def _enhance(self, channels: Tensor, sample_rate: int) -> Tensor:
        """Enhances float32 (channels, L) at a given rate."""
        length = channels.shape[-1]
        own = torch.from_numpy(
            resample(channels.numpy(), sample_rate, self.sample_rate).copy()
        )
        with torch.inference_mode():
            enhanced = enhance_waveform(
                self.network, self.transform, own.to(self.device)
            )
        enhanced = resample(enhanced.cpu().numpy(), self.sample_rate, sample_rate)
        # Up and down again, both rounded up: never shorter, at times longer.
        return torch.from_numpy(enhanced[:, :length].copy())


def _check_rate(sample_rate: int) -> int:
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


def _power_of_two(channels: Tensor) -> Tensor:
    """A power of two per channel that brings its peak into [1, 2).

    Keeps what float64 and integers can hold within float32, without any rounding.
    """
    peak = channels.abs().amax(dim=-1, keepdim=True)
    _, exponent = torch.frexp(peak)
    return torch.ldexp(torch.ones_like(peak), exponent - 1)


def _saturate(waveform: Tensor, dtype: torch.dtype) -> Tensor:
    if dtype.is_floating_point:
        limits = torch.finfo(dtype)
    else:
        limits = torch.iinfo(dtype)
        waveform = waveform.round()
    return waveform.clamp(limits.min, limits.max).to(dtype)
