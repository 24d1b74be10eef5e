"""The separator: a mixture of speakers in, a waveform per speaker out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .file_enhancement import FileReport
from .file_separation import separate_file
from .hub import resolve_model
from .long_audio import Blocks
from .long_separation import separate_blocks
from .model_folder import load_separator_folder
from .waveforms import (
    check_rate,
    find_device,
    like_input,
    move_network,
    read_waveform,
)

__all__ = ["Separator"]


class Separator:
    """Separates the speakers of a mixture with a network of ``sesame.models``.

    The result has the kind, dtype, length and sampling rate of the mixture, and a row
    per speaker. Where the rate of the mixture is not the network's, it is resampled on
    the way in and out. Several channels are averaged into one first. Long mixtures go
    through the network in windows, each of which is brought into the order of the
    speakers of the one before. Which speaker is the first is arbitrary.

    Arguments
    ---------
    network : nn.Module
        Maps mixtures (B, L) to sources (B, J, L), and knows ``num_sources``; is moved
        to the device and put into evaluation mode.
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
    >>> from sesame.models.tf_moe import TFMoE
    >>> network = TFMoE(channels=4, num_blocks=1, num_bands=8, num_experts=3)
    >>> separator = Separator(network, sample_rate=16000, device="cpu")
    >>> separator(np.zeros((2, 1001), dtype=np.float32), sample_rate=44100).shape
    (2, 1001)
    """

    def __init__(
        self,
        network: nn.Module,
        sample_rate: int,
        device: str | torch.device = "auto",
    ):
        self.device = find_device(device)
        self.network = move_network(network, self.device).eval()
        self.sample_rate = sample_rate

    @classmethod
    def from_pretrained(
        cls, model: str | Path, device: str | torch.device = "auto"
    ) -> "Separator":
        """Loads a model folder; runs no code out of it.

        Arguments
        ---------
        model : str | Path
            Folder with ``config.json`` and ``model.safetensors``, or
            ``hf://owner/name[@revision]`` on the Hugging Face hub, the only kind of
            name that ever makes a connection.
        device : str | torch.device
            A torch device; "auto" is the first CUDA device, else the CPU.

        Returns
        -------
        Separator
            Ready to be called.

        Raises
        ------
        ValueError
            If there is no intact model of a separator, or the device is not there.

        Example
        -------
        >>> Separator.from_pretrained("no/such/model")
        Traceback (most recent call last):
        ValueError: ...no/such/model...
        """
        return cls(*load_separator_folder(resolve_model(model)), device)

    @property
    def num_sources(self) -> int:
        """J, speakers that the network separates."""
        return self.network.num_sources

    def __call__(
        self, waveform: np.ndarray | Tensor, sample_rate: int
    ) -> np.ndarray | Tensor:
        """Separates a mixture.

        Shape: waveform (L,) or (channels, L) -> (J, L), for every L >= 1.

        Arguments
        ---------
        waveform : np.ndarray | Tensor
            float16, float32, float64, bfloat16, int16 or int32; any full scale. What
            is separated is the mean of its channels.
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
        sample_rate = check_rate(sample_rate)
        channels = read_waveform(waveform)
        blocks = list(self.separate_blocks(lambda: [channels], sample_rate))
        return like_input(np.concatenate(blocks, axis=-1), waveform)

    def separate_blocks(
        self,
        signal: Blocks,
        sample_rate: int,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """Separates a mixture that does not fit into memory.

        Arguments
        ---------
        signal : Blocks
            Gives the finite mixture from its beginning each time it is called, as
            arrays (channels, n) of float64 with one number of channels.
        sample_rate : int
            Its rate, Hz.
        progress : Callable[[float], None] | None
            Is told the fraction that is done, 0 to 1.

        Returns
        -------
        Iterator[np.ndarray]
            Sources (J, n) of float64, together as long as the mixture.
        """
        return separate_blocks(
            self.network, self.sample_rate, self.device, signal, sample_rate, progress
        )

    def separate_file(
        self,
        source: str | Path,
        folder: str | Path,
        *,
        overwrite: bool = False,
        repair_nonfinite: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> FileReport:
        """Separates an audio file of any length; see ``file_separation.separate_file``.

        Arguments
        ---------
        source : str | Path
            File with a mixture.
        folder : str | Path
            Where ``NAME_speaker1``, ``NAME_speaker2`` and so on are made, with one
            channel each, and the rate, length and format of the source.
        overwrite : bool
            Whether existing files are replaced.
        repair_nonfinite : bool
            Whether NaN and infinity are set to 0 and counted; they are refused else.
        progress : Callable[[float], None] | None
            Is told the fraction that is done, 0 to 1.

        Returns
        -------
        FileReport
            What was found and done; its target is the file of the first speaker.

        Raises
        ------
        ValueError
            If a file cannot be read, separated or written; nothing is left then.
        """
        return separate_file(
            self,
            source,
            folder,
            overwrite=overwrite,
            repair_nonfinite=repair_nonfinite,
            progress=progress,
        )
