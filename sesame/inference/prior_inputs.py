"""What SEFlow can be given beside a signal: a voice, and what a loudspeaker plays."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sesame.models.seflow import SEFlow
from sesame.models.seflow_enrollment import Enrollment

from .audio_files import check_audio
from .file_enhancement import scan_source
from .network_rate import Blocks, measure_peak, mono
from .overlap import BlockQueue
from .resampling import resample, resample_blocks, resampled_length
from .waveforms import check_rate, full_scale, read_waveform

__all__ = ["FarEnd", "Given", "Voice", "level_scale", "read_far_end", "read_voice"]

# A waveform at the rate of the signal, one with its own rate [Hz], or an audio file.
Given = np.ndarray | Tensor | tuple[np.ndarray | Tensor, int] | str | Path

# The voice is heard in one piece; no more than this is learned from.
LONGEST_VOICE = 30.0  # s
SHORT_VOICE = 1.0  # s, of less little can be learned
QUIETEST_VOICE = -80.0  # dB below full scale


class Voice(NamedTuple):
    """A voice that was found to be one.

    Arguments
    ---------
    waveform : np.ndarray
        (1, L) float32.
    sample_rate : int
        Hz.
    warnings : tuple[str, ...]
        What a person should know, one line each.

    Example
    -------
    >>> Voice(np.ones((1, 800), np.float32), 8000, ()).at_rate(16000).shape
    (1, 1600)
    """

    waveform: np.ndarray
    sample_rate: int
    warnings: tuple[str, ...]

    def at_rate(self, sample_rate: int) -> np.ndarray:
        """The voice at another sampling rate.

        Arguments
        ---------
        sample_rate : int
            Hz.

        Returns
        -------
        np.ndarray
            (1, L) float32.
        """
        return resample(self.waveform, self.sample_rate, sample_rate)

    @torch.inference_mode()
    def enroll(
        self,
        network: SEFlow,
        sample_rate: int,
        width: float | None = None,
        depth: int | None = None,
    ) -> Enrollment:
        """What a network keeps of the voice.

        Arguments
        ---------
        network : SEFlow
            The network, on any device.
        sample_rate : int
            Sampling rate at which it runs [Hz].
        width : float | None
            Share of the channels.
        depth : int | None
            Blocks.

        Returns
        -------
        Enrollment
            For any number of signals and streams of this rate and size.
        """
        waveform = torch.from_numpy(self.at_rate(sample_rate)).to(network.role.device)
        return network.enroll(waveform, sample_rate, width, depth)


class FarEnd(NamedTuple):
    """What a loudspeaker plays, block by block.

    Arguments
    ---------
    name : str
        A name for messages.
    signal : Blocks
        Gives it from its beginning each time it is called, as (1, n) float64.
    length : int
        Samples.
    scale : np.ndarray
        What it is divided by, (1, 1).
    sample_rate : int
        Hz.
    warnings : tuple[str, ...]
        What a person should know, one line each.

    Example
    -------
    >>> far_end = read_far_end(np.ones(800), sample_rate=8000)
    >>> np.concatenate(list(far_end.at_rate(16000, length=1000)), axis=-1).shape
    (1, 1000)
    >>> far_end.misfit(num_frames=1600, sample_rate=16000)
    ()
    """

    name: str
    signal: Blocks
    length: int
    scale: np.ndarray
    sample_rate: int
    warnings: tuple[str, ...]

    def at_rate(self, sample_rate: int, length: int) -> Iterator[np.ndarray]:
        """The signal at another sampling rate, cut where it is longer.

        Arguments
        ---------
        sample_rate : int
            Hz.
        length : int
            Samples at this rate, at most.

        Returns
        -------
        Iterator[np.ndarray]
            Arrays (1, n) of float32, together of this length or as long as it is.
        """
        longest = resampled_length(self.length, self.sample_rate, sample_rate)
        length = min(length, longest)
        scaled = ((block / self.scale).astype(np.float32) for block in self.signal())
        return resample_blocks(scaled, self.sample_rate, sample_rate, length)

    def misfit(self, num_frames: int, sample_rate: int) -> tuple[str, ...]:
        """Tells whether it is longer or shorter than the signal it belongs to.

        Arguments
        ---------
        num_frames : int
            Samples of that signal.
        sample_rate : int
            Its rate, Hz.

        Returns
        -------
        tuple[str, ...]
            Nothing, or one line for a person.
        """
        own, other = self.length / self.sample_rate, num_frames / sample_rate
        # At another rate the last sample is elsewhere.
        if abs(own - other) < 1 / min(self.sample_rate, sample_rate):
            return ()
        done = "its end is not used" if own > other else "silence follows"
        return (f"{self.name} lasts {own:.3f} s, the signal {other:.3f} s: {done}",)


class _Source(NamedTuple):
    """A signal with one channel, float64 with full scale 1."""

    name: str
    signal: Blocks
    length: int
    sample_rate: int
    warnings: tuple[str, ...]


def level_scale(peak: np.ndarray) -> np.ndarray:
    """What signals are divided by that go far beyond full scale.

    SEFlow takes levels as they are. What float32 cannot hold, it cannot take.

    Arguments
    ---------
    peak : np.ndarray
        Largest magnitudes, where full scale is 1.

    Returns
    -------
    np.ndarray
        1 for peaks below 2, else the power of two that brings them into [1, 2).

    Example
    -------
    >>> level_scale(np.array([0.0, 1.9, 5.0]))
    array([1., 1., 4.])
    """
    _, exponent = np.frexp(peak)
    return np.ldexp(1.0, np.maximum(exponent - 1, 0))


def read_voice(
    voice: Given | Voice,
    sample_rate: int | None = None,
    repair_nonfinite: bool = False,
) -> Voice:
    """Reads the voice of the speaker to extract: an enrollment.

    Channels are averaged. Of a long one, the first 30 s are taken.

    Arguments
    ---------
    voice : Given | Voice
        A waveform, a waveform and its rate, or a file; a ``Voice`` stays what it is.
    sample_rate : int | None
        Rate of a waveform that comes without one [Hz].
    repair_nonfinite : bool
        Whether NaN and infinity in a file are set to 0; they are refused else.

    Returns
    -------
    Voice
        Ready to be used for many signals.

    Raises
    ------
    ValueError
        If it cannot be read, is not finite, has no sample or is silent.

    Example
    -------
    >>> read_voice(np.zeros(800), sample_rate=8000)
    Traceback (most recent call last):
    ValueError: enrollment (-inf dB) must hold a voice of at least -80 dB, full scale...
    """
    if isinstance(voice, Voice):
        return voice
    source = _read("enrollment", voice, sample_rate, repair_nonfinite)
    longest = round(LONGEST_VOICE * source.sample_rate)
    samples = BlockQueue(source.signal()).take(longest)
    samples = samples / level_scale(np.abs(samples).max())
    with np.errstate(divide="ignore"):
        level = 10 * np.log10(np.square(samples).mean())
    if level < QUIETEST_VOICE:
        raise ValueError(
            f"{source.name} ({level:.0f} dB) must hold a voice of at least "
            f"{QUIETEST_VOICE:.0f} dB, full scale is 0 dB"
        )
    warnings = source.warnings
    seconds = source.length / source.sample_rate
    if seconds < SHORT_VOICE:
        warnings += (
            f"{source.name} lasts {seconds:.3f} s: a voice is hardly known by less "
            f"than {SHORT_VOICE:g} s",
        )
    if source.length > longest:
        warnings += (
            f"{source.name} lasts {seconds:.1f} s: the first {LONGEST_VOICE:g} s are "
            "used",
        )
    return Voice(samples.astype(np.float32), source.sample_rate, warnings)


def read_far_end(
    far_end: Given | FarEnd,
    sample_rate: int | None = None,
    repair_nonfinite: bool = False,
) -> FarEnd:
    """Reads what a loudspeaker plays while the signal is recorded.

    Channels are averaged. Both begin at the same time.

    Arguments
    ---------
    far_end : Given | FarEnd
        A waveform, a waveform and its rate, or a file, which is read block by block; a
        ``FarEnd`` stays what it is.
    sample_rate : int | None
        Rate of a waveform that comes without one [Hz].
    repair_nonfinite : bool
        Whether NaN and infinity in a file are set to 0; they are refused else.

    Returns
    -------
    FarEnd
        Can be read again and again.

    Raises
    ------
    ValueError
        If it cannot be read, is not finite or has no sample.

    Example
    -------
    >>> read_far_end("no/such.wav", sample_rate=8000)
    Traceback (most recent call last):
    ValueError: far end: cannot read no/such.wav: there is no such file
    """
    if isinstance(far_end, FarEnd):
        return far_end
    source = _read("far end", far_end, sample_rate, repair_nonfinite)
    _, peak = measure_peak(source.signal)
    return FarEnd(
        source.name,
        source.signal,
        source.length,
        level_scale(peak),
        source.sample_rate,
        source.warnings,
    )


def _read(what: str, given: Given, sample_rate: int, repair_nonfinite: bool) -> _Source:
    try:
        if isinstance(given, (str, Path)):
            return _read_file(what, Path(given), repair_nonfinite)
        waveform, rate = given if isinstance(given, tuple) else (given, sample_rate)
        rate = check_rate(rate)
        samples = read_waveform(waveform) / full_scale(waveform)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    return _Source(what, mono(lambda: [samples]), samples.shape[-1], rate, ())


def _read_file(what: str, path: Path, repair_nonfinite: bool) -> _Source:
    audio = scan_source(path, check_audio(path), repair_nonfinite)
    if audio.num_frames == 0:
        raise ValueError(f"{path} has no sample")
    return _Source(
        f"{what} {path}",
        mono(audio.blocks),
        audio.num_frames,
        audio.info.sample_rate,
        audio.warnings(),
    )
