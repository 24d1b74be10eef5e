"""The enhancer: any waveform in, the same kind of waveform out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sesame.features import CompressedSTFT

from .file_enhancement import FileReport, enhance_file
from .hub import resolve_model
from .long_audio import Blocks, dry_share, enhance_blocks
from .model_folder import load_model_folder
from .waveforms import (
    check_rate,
    find_device,
    like_input,
    move_network,
    read_waveform,
)

__all__ = ["Enhancer"]

BACKENDS = ("torch", "onnxruntime")


class Enhancer:
    """Enhances waveforms with a network that maps magnitude and phase.

    The result has the type, shape, dtype, sampling rate and level of the input. Where
    the input's rate is not the network's, it is resampled on the way in and out. Every
    channel is a signal of its own. Long signals go through the network in windows.

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
        self.device = find_device(device)
        self.network = move_network(network, self.device).eval()
        self.transform = transform.to(self.device)
        self.sample_rate = sample_rate

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str | torch.device = "auto",
        backend: str = "torch",
    ) -> "Enhancer":
        """Loads a model folder; runs no code out of it.

        Arguments
        ---------
        model : str | Path
            Folder with ``config.json`` and ``model.safetensors``, or
            ``hf://owner/name[@revision]`` on the Hugging Face hub, the only kind of
            name that ever makes a connection. For the backend "onnxruntime" a file
            that ``sesame export`` wrote, or a folder with a ``model.onnx``.
        device : str | torch.device
            A torch device; "auto" is the first CUDA device, else the CPU.
        backend : str
            What runs the network, "torch" or "onnxruntime".

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
        >>> Enhancer.from_pretrained("no/such/model")
        Traceback (most recent call last):
        ValueError: ...no/such/model...
        """
        if backend not in BACKENDS:
            raise ValueError(f"backend ({backend!r}) must be one of {BACKENDS}")
        path = resolve_model(model)
        if backend == "torch":
            return cls(*load_model_folder(path), device)
        from .onnx_network import load_onnx

        return cls(*load_onnx(path, device=find_device(device)), device)

    def __call__(
        self,
        waveform: np.ndarray | Tensor,
        sample_rate: int,
        *,
        max_attenuation_db: float | None = None,
        dry: float = 0.0,
        keep_highband: bool = False,
    ) -> np.ndarray | Tensor:
        """Enhances a waveform.

        Shape: waveform (L,) or (channels, L) -> the same, for every L >= 1.

        Arguments
        ---------
        waveform : np.ndarray | Tensor
            float16, float32, float64, bfloat16, int16 or int32; any full scale.
        sample_rate : int
            Its rate, Hz.
        max_attenuation_db : float | None
            Noise is lowered by at most this much [dB]; None is no limit.
        dry : float
            Share of the noisy signal in the result, 0 to 1; another way to say it.
        keep_highband : bool
            Whether what lies above half of the network's rate passes unchanged
            instead of being dropped.

        Returns
        -------
        np.ndarray | Tensor
            As the input. Samples beyond the range of its dtype saturate.

        Raises
        ------
        ValueError
            If the waveform has another shape or dtype or holds NaN or infinity, or if
            the rate, the attenuation or the share is out of range.
        """
        share = dry_share(max_attenuation_db, dry)
        sample_rate = check_rate(sample_rate)
        channels = read_waveform(waveform)
        blocks = self.enhance_blocks(
            lambda: [channels], sample_rate, share, keep_highband
        )
        enhanced = np.concatenate(list(blocks), axis=-1)
        return like_input(enhanced.reshape(waveform.shape), waveform)

    def enhance_blocks(
        self,
        signal: Blocks,
        sample_rate: int,
        dry: float = 0.0,
        keep_highband: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """Enhances a signal that does not fit into memory.

        Arguments
        ---------
        signal : Blocks
            Gives the finite signal from its beginning each time it is called, as
            arrays (channels, n) of float64 with one number of channels.
        sample_rate : int
            Its rate, Hz.
        dry : float
            Share of the noisy signal in the result, 0 to 1.
        keep_highband : bool
            As in the call.
        progress : Callable[[float], None] | None
            Is told the fraction that is done, 0 to 1.

        Returns
        -------
        Iterator[np.ndarray]
            Enhanced blocks (channels, n) of float64, together as long as the signal.
        """
        return enhance_blocks(
            self.network,
            self.transform,
            self.sample_rate,
            self.device,
            signal,
            sample_rate,
            dry,
            keep_highband,
            progress,
        )

    def enhance_batch(self, noisy: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Enhances a padded batch; each item as if it were alone and not padded.

        Shape: noisy (B, L), lengths (B,) -> (B, L), zeros behind the end of an item.

        Arguments
        ---------
        noisy : Tensor
            Waveforms at the network's rate.
        lengths : Tensor | None
            Share of L that each item fills, in (0, 1], as SpeechBrain counts; None for
            a batch without padding.

        Returns
        -------
        Tensor
            As ``noisy``.

        Raises
        ------
        ValueError
            If the shapes do not fit, a length is out of range or a waveform cannot be
            enhanced.

        Example
        -------
        >>> from sesame.models import MPSENet
        >>> network = MPSENet(num_bins=9, channels=4, num_blocks=1, num_heads=2)
        >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
        >>> enhancer = Enhancer(network, transform, 16000, device="cpu")
        >>> noisy, lengths = torch.randn(2, 100), torch.tensor([1.0, 0.5])
        >>> enhancer.enhance_batch(noisy, lengths)[1, 50:].any()
        tensor(False)
        """
        if noisy.ndim != 2:
            raise ValueError(f"noisy {tuple(noisy.shape)} must be (B, L)")
        if lengths is None:
            lengths = torch.ones(len(noisy))
        if lengths.shape != noisy.shape[:1] or not bool(
            ((lengths > 0) & (lengths <= 1)).all()
        ):
            raise ValueError(
                f"lengths {lengths.tolist()} must be one number in (0, 1] for each of "
                f"the {len(noisy)} items"
            )
        enhanced = torch.zeros_like(noisy)
        samples = (lengths.double() * noisy.shape[-1]).round().long().clamp(min=1)
        for item, length in enumerate(samples.tolist()):
            enhanced[item, :length] = self(noisy[item, :length], self.sample_rate)
        return enhanced

    def enhance_file(
        self,
        source: str | Path,
        target: str | Path,
        *,
        max_attenuation_db: float | None = None,
        dry: float = 0.0,
        keep_highband: bool = False,
        overwrite: bool = False,
        repair_nonfinite: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> FileReport:
        """Enhances an audio file of any length; see ``file_enhancement.enhance_file``.

        Arguments
        ---------
        source : str | Path
            Noisy file.
        target : str | Path
            File to make, in the format that its suffix names; with the rate, channels,
            length and, where the format has it, sample format of the source.
        max_attenuation_db : float | None
            As in the call.
        dry : float
            As in the call.
        keep_highband : bool
            As in the call.
        overwrite : bool
            Whether an existing target is replaced.
        repair_nonfinite : bool
            Whether NaN and infinity are set to 0 and counted; they are refused else.
        progress : Callable[[float], None] | None
            Is told the fraction that is done, 0 to 1.

        Returns
        -------
        FileReport
            What was found and done.

        Raises
        ------
        ValueError
            If a file cannot be read, enhanced or written; nothing is left then.
        """
        return enhance_file(
            self,
            source,
            target,
            dry=dry_share(max_attenuation_db, dry),
            keep_highband=keep_highband,
            overwrite=overwrite,
            repair_nonfinite=repair_nonfinite,
            progress=progress,
        )
