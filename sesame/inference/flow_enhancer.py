"""The enhancer for SEFlow: any rate, any size, with a voice or a far end beside."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sesame.models.seflow import SEFlow

from .file_enhancement import AudioSource, FileReport, process_file
from .flow_blocks import enhance_stream
from .flow_sizes import native_rate, size_within
from .hub import resolve_model
from .long_audio import dry_share
from .model_folder import load_seflow_folder
from .network_rate import Blocks
from .prior_inputs import FarEnd, Given, Voice, read_far_end, read_voice
from .waveforms import (
    check_rate,
    find_device,
    full_scale,
    like_input,
    move_network,
    read_waveform,
)

__all__ = ["FlowEnhancer"]


class FlowEnhancer:
    """Enhances waveforms with SEFlow, or with a sub-network of it.

    The result has the type, shape, dtype and sampling rate of the input, and is in step
    with it: the delay of the network is made up for. Rates that are a multiple of 100
    Hz from 8 to 48 kHz are the network's own; another is resampled to the next higher
    of these, and back. Every channel is a signal of its own. Signals of any length go
    through the network as streams, which equals one pass.

    Levels count, as the network takes them as they are: full scale is 1 for floating
    point, and the range of the dtype for integers.

    Arguments
    ---------
    network : SEFlow
        Is moved to the device and put into evaluation mode.
    device : str | torch.device
        A torch device; "auto" is the first CUDA device, else the CPU.
    width : float | None
        Share of the channels to use, a whole number of heads; ``None``: 1.
    depth : int | None
        Blocks to use; ``None``: all.
    budget_gmacs : float | None
        Instead of width and depth: 10^9 multiply-accumulate operations for one second
        of one channel, at most. The largest sub-network within them is used, which may
        be another at another sampling rate or with an enrollment.

    Raises
    ------
    ValueError
        If the device is unknown or not there, if there is no such size, or if a budget
        is given with a size or is not positive.

    Example
    -------
    >>> network = SEFlow(width=16, depth=2, head_channels=4)
    >>> enhancer = FlowEnhancer(network, device="cpu", width=0.5)
    >>> noisy = np.zeros((2, 1001), dtype=np.float32)
    >>> enhancer(noisy, sample_rate=44100, far_end=np.zeros(1001)).shape
    (2, 1001)
    """

    def __init__(
        self,
        network: SEFlow,
        device: str | torch.device = "auto",
        width: float | None = None,
        depth: int | None = None,
        budget_gmacs: float | None = None,
    ):
        network.size(width, depth)
        if budget_gmacs is not None:
            if not budget_gmacs > 0:
                raise ValueError(f"budget_gmacs ({budget_gmacs}) must be positive")
            if width is not None or depth is not None:
                raise ValueError(
                    f"only one of budget_gmacs ({budget_gmacs}) and a size (width "
                    f"{width}, depth {depth}) can be given"
                )
        self.device = find_device(device)
        self.network = move_network(network, self.device).eval()
        self.width = width
        self.depth = depth
        self.budget_gmacs = budget_gmacs

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: str | torch.device = "auto",
        width: float | None = None,
        depth: int | None = None,
        budget_gmacs: float | None = None,
    ) -> "FlowEnhancer":
        """Loads a model folder; runs no code out of it.

        Arguments
        ---------
        model : str | Path
            Folder with ``config.json`` and ``model.safetensors``, or
            ``hf://owner/name[@revision]`` on the Hugging Face hub, the only kind of
            name that ever makes a connection.
        device : str | torch.device
            A torch device; "auto" is the first CUDA device, else the CPU.
        width : float | None
            Share of the channels to use.
        depth : int | None
            Blocks to use.
        budget_gmacs : float | None
            Operations instead of a size.

        Returns
        -------
        FlowEnhancer
            Ready to be called.

        Raises
        ------
        ValueError
            If there is no intact model of a SEFlow, or as for the class.

        Example
        -------
        >>> FlowEnhancer.from_pretrained("no/such/model")
        Traceback (most recent call last):
        ValueError: ...no/such/model...
        """
        network = load_seflow_folder(resolve_model(model))
        return cls(network, device, width, depth, budget_gmacs)

    def size(
        self, sample_rate: int, enrolled: bool = False
    ) -> tuple[float | None, int | None]:
        """The sub-network for signals of a rate.

        Arguments
        ---------
        sample_rate : int
            Rate of the signals, Hz.
        enrolled : bool
            Whether they come with an enrollment.

        Returns
        -------
        tuple[float | None, int | None]
            Width and depth, as ``SEFlow.size`` takes them.

        Raises
        ------
        ValueError
            If no sub-network is within the budget.

        Example
        -------
        >>> enhancer = FlowEnhancer(SEFlow(), device="cpu", budget_gmacs=3)
        >>> enhancer.size(16000), enhancer.size(48000)
        ((0.5, 3), (0.375, 4))
        """
        if self.budget_gmacs is None:
            return self.width, self.depth
        num_tokens = self.network.num_tokens if enrolled else 0
        size = size_within(
            self.network, self.budget_gmacs, native_rate(sample_rate), num_tokens
        )
        return float(size.width), size.depth

    def __call__(
        self,
        waveform: np.ndarray | Tensor,
        sample_rate: int,
        *,
        enrollment: Given | Voice | None = None,
        far_end: Given | FarEnd | None = None,
        max_attenuation_db: float | None = None,
        dry: float = 0.0,
        keep_highband: bool = False,
    ) -> np.ndarray | Tensor:
        """Enhances a waveform.

        A far end that is longer or shorter is cut or followed by silence, with a
        ``UserWarning``.

        Shape: waveform (L,) or (channels, L) -> the same, for every L >= 1.

        Arguments
        ---------
        waveform : np.ndarray | Tensor
            float16, float32, float64, bfloat16, int16 or int32.
        sample_rate : int
            Its rate, Hz.
        enrollment : Given | Voice | None
            Voice of the speaker to extract: a waveform at this rate, (waveform, rate)
            or a file.
        far_end : Given | FarEnd | None
            What a loudspeaker plays from the first sample on, given likewise.
        max_attenuation_db : float | None
            Noise is lowered by at most this much [dB]; None is no limit.
        dry : float
            Share of the noisy signal in the result, 0 to 1; another way to say it.
        keep_highband : bool
            Whether what lies above 24 kHz passes unchanged instead of being dropped.

        Returns
        -------
        np.ndarray | Tensor
            As the input. Samples beyond the range of its dtype saturate.

        Raises
        ------
        ValueError
            If a waveform has another shape or dtype or holds NaN or infinity, if a file
            cannot be read, if the enrollment is silent, or if a rate, the attenuation,
            the share or the budget is out of range.
        """
        share = dry_share(max_attenuation_db, dry)
        sample_rate = check_rate(sample_rate)
        samples = read_waveform(waveform)
        unit = full_scale(waveform)
        told = []
        blocks = self.enhance_blocks(
            lambda: [samples / unit],
            sample_rate,
            share,
            keep_highband,
            voice=_voice(enrollment, sample_rate, told),
            far_end=_far_end(far_end, sample_rate, samples.shape[-1], told),
        )
        enhanced = unit * np.concatenate(list(blocks), axis=-1)
        for line in told:
            warnings.warn(line, stacklevel=2)
        return like_input(enhanced.reshape(waveform.shape), waveform)

    def enhance_blocks(
        self,
        signal: Blocks,
        sample_rate: int,
        dry: float = 0.0,
        keep_highband: bool = False,
        progress: Callable[[float], None] | None = None,
        voice: Voice | None = None,
        far_end: FarEnd | None = None,
    ) -> Iterator[np.ndarray]:
        """Enhances a signal that does not fit into memory.

        Arguments
        ---------
        signal : Blocks
            Gives the finite signal from its beginning each time it is called, as
            arrays (channels, n) of float64 with one number of channels, full scale 1.
        sample_rate : int
            Its rate, Hz.
        dry : float
            Share of the noisy signal in the result, 0 to 1.
        keep_highband : bool
            As in the call.
        progress : Callable[[float], None] | None
            Is told the fraction that is done, 0 to 1.
        voice : Voice | None
            Of the speaker to extract, as ``read_voice`` reads it.
        far_end : FarEnd | None
            What a loudspeaker plays, as ``read_far_end`` reads it.

        Returns
        -------
        Iterator[np.ndarray]
            Enhanced blocks (channels, n) of float64, together as long as the signal.
        """
        width, depth = self.size(sample_rate, voice is not None)
        return enhance_stream(
            self.network,
            self.device,
            signal,
            sample_rate,
            width,
            depth,
            voice,
            far_end,
            dry,
            keep_highband,
            progress,
        )

    def enhance_file(
        self,
        source: str | Path,
        target: str | Path,
        *,
        enrollment: Given | Voice | None = None,
        far_end: Given | FarEnd | None = None,
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
        enrollment : Given | Voice | None
            As in the call.
        far_end : Given | FarEnd | None
            As in the call; the report tells if its length is another.
        max_attenuation_db : float | None
            As in the call.
        dry : float
            As in the call.
        keep_highband : bool
            As in the call.
        overwrite : bool
            Whether an existing target is replaced.
        repair_nonfinite : bool
            Whether NaN and infinity are set to 0 and, in the source, counted; they are
            refused else.
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
        share = dry_share(max_attenuation_db, dry)
        told = []

        def process(audio: AudioSource) -> Iterator[np.ndarray]:
            rate, length = audio.info.sample_rate, audio.num_frames
            return self.enhance_blocks(
                audio.blocks,
                rate,
                share,
                keep_highband,
                progress,
                _voice(enrollment, rate, told, repair_nonfinite),
                _far_end(far_end, rate, length, told, repair_nonfinite),
            )

        report = process_file(process, source, target, overwrite, repair_nonfinite)
        return report._replace(warnings=(*report.warnings, *told))


def _voice(given, sample_rate, told, repair_nonfinite=False):
    if given is None:
        return None
    voice = read_voice(given, sample_rate, repair_nonfinite)
    told += voice.warnings
    return voice


def _far_end(given, sample_rate, num_frames, told, repair_nonfinite=False):
    if given is None:
        return None
    far_end = read_far_end(given, sample_rate, repair_nonfinite)
    told += (*far_end.warnings, *far_end.misfit(num_frames, sample_rate))
    return far_end
