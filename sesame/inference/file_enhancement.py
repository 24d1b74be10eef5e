"""From a noisy audio file to an enhanced one of the same kind, block by block."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile

from .audio_files import (
    UNBOUNDED_SUBTYPES,
    AudioInfo,
    check_audio,
    new_audio_file,
    read_blocks,
)

if TYPE_CHECKING:
    from .enhancer import Enhancer

__all__ = [
    "AudioSource",
    "FileReport",
    "check_target",
    "count_clipped",
    "enhance_file",
    "process_file",
    "scan_source",
]


class FileReport(NamedTuple):
    """What was found in a file, and done to it.

    Arguments
    ---------
    source : Path
        The noisy file, or the mixture.
    target : Path
        The file that was made, of several the first.
    seconds : float
        Length of the audio [s].
    sample_rate : int
        Hz.
    channels : int
        Number of channels.
    num_clipped : int
        Samples beyond full scale that the sample format cannot hold: they saturated.
    num_repaired : int
        Samples that were NaN or infinite and were set to 0.
    warnings : tuple[str, ...]
        What a person should know, one line each.

    Example
    -------
    >>> FileReport(Path("a.wav"), Path("b.wav"), 1.5, 16000, 1, 0, 0, ()).seconds
    1.5
    """

    source: Path
    target: Path
    seconds: float
    sample_rate: int
    channels: int
    num_clipped: int
    num_repaired: int
    warnings: tuple[str, ...]


class AudioSource(NamedTuple):
    """A file that was read once from beginning to end and can be read again.

    Arguments
    ---------
    path : Path
        The file.
    info : AudioInfo
        What its header says.
    num_frames : int
        Frames that can be read.
    num_broken : int
        Samples that are NaN or infinite.

    Example
    -------
    >>> info = AudioInfo(16000, 1, 400, "WAV", "PCM_16", ())
    >>> AudioSource(Path("a.wav"), info, 300, 0).warnings()
    ('a.wav: its header says 400 frames, 300 can be read',)
    """

    path: Path
    info: AudioInfo
    num_frames: int
    num_broken: int

    def blocks(self) -> Iterator[np.ndarray]:
        """Reads the file, with 0 for what is not finite.

        Yields
        ------
        np.ndarray
            (channels, n) float64.
        """
        for block in read_blocks(self.path):
            yield np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)

    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the file.

        Returns
        -------
        tuple[str, ...]
            One line each.
        """
        warnings = list(self.info.warnings)
        if self.num_frames != self.info.num_frames:
            warnings.append(
                f"{self.path}: its header says {self.info.num_frames} frames, "
                f"{self.num_frames} can be read"
            )
        if self.num_frames == 0:
            warnings.append(f"{self.path} has no sample: an empty file was written")
        return tuple(warnings)

    def report(self, target: Path, num_clipped: int) -> FileReport:
        """Reports what was made of the file.

        Arguments
        ---------
        target : Path
            The file that was made, of several the first.
        num_clipped : int
            Samples that saturated.

        Returns
        -------
        FileReport
            What was found and done.
        """
        return FileReport(
            self.path,
            target,
            self.num_frames / self.info.sample_rate,
            self.info.sample_rate,
            self.info.channels,
            num_clipped,
            self.num_broken,
            self.warnings(),
        )


def check_target(source: Path, target: Path, overwrite: bool) -> None:
    """Checks that a file may be made.

    Arguments
    ---------
    source : Path
        File that it is made of; must exist.
    target : Path
        File to make.
    overwrite : bool
        Whether an existing file is replaced.

    Raises
    ------
    ValueError
        If it exists, is the source itself, or is a folder.

    Example
    -------
    >>> check_target(Path("a.wav"), Path("."), overwrite=True)
    Traceback (most recent call last):
    ValueError: . is a folder, not a file
    """
    if target.is_dir():
        raise ValueError(f"{target} is a folder, not a file")
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the noisy file itself")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists and is not to be replaced")


def scan_source(
    path: Path, info: AudioInfo, repair_nonfinite: bool = False
) -> AudioSource:
    """Reads a file to its end to see whether it can be worked on.

    Arguments
    ---------
    path : Path
        The file.
    info : AudioInfo
        What ``check_audio`` found in its header.
    repair_nonfinite : bool
        Whether NaN and infinity are taken, as 0; they are refused else.

    Returns
    -------
    AudioSource
        Can be read again and again.

    Raises
    ------
    ValueError
        If nothing of it is intact, or it is not finite and is not to be repaired.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.wav"
    >>> soundfile.write(path, np.zeros(100), 16000)
    >>> scan_source(path, check_audio(path)).num_frames
    100
    """
    num_frames, num_broken = _scan(path)
    if info.num_frames and not num_frames:
        raise ValueError(
            f"cannot read {path}: none of its {info.num_frames} frames is intact"
        )
    if num_broken and not repair_nonfinite:
        raise ValueError(
            f"{path} has {num_broken} samples that are NaN or infinite; they can be "
            "set to 0 (repair_nonfinite)"
        )
    return AudioSource(path, info, num_frames, num_broken)


def count_clipped(file: soundfile.SoundFile, block: np.ndarray) -> int:
    """Counts the samples that a file cannot hold: they saturate.

    Arguments
    ---------
    file : soundfile.SoundFile
        File that is written to.
    block : np.ndarray
        What is written.

    Returns
    -------
    int
        Samples beyond full scale; 0 where the file holds them.

    Example
    -------
    >>> import io
    >>> file = soundfile.SoundFile(io.BytesIO(), "w", 16000, 1, format="WAV")
    >>> count_clipped(file, np.array([0.5, -1.5]))
    1
    """
    if file.subtype in UNBOUNDED_SUBTYPES:
        return 0
    return int((np.abs(block) > 1).sum())


def enhance_file(
    enhancer: "Enhancer",
    source: str | Path,
    target: str | Path,
    *,
    dry: float = 0.0,
    keep_highband: bool = False,
    overwrite: bool = False,
    repair_nonfinite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> FileReport:
    """Enhances a file; memory does not grow with its length.

    The result has the rate, the channels, the length and, where its format allows, the
    sample format of the source. It is written beside its final place first: what fails
    or is interrupted leaves nothing. A file without samples gives such a file.

    Arguments
    ---------
    enhancer : Enhancer
        Enhances blocks.
    source : str | Path
        Noisy file, in any format that libsndfile reads.
    target : str | Path
        File to make, in the source's format if it has its suffix.
    dry : float
        Share of the noisy signal in the result, 0 to 1.
    keep_highband : bool
        Whether what lies above half of the network's rate passes unchanged.
    overwrite : bool
        Whether an existing target is replaced.
    repair_nonfinite : bool
        Whether NaN and infinity are set to 0; they are refused else.
    progress : Callable[[float], None] | None
        Is told the fraction that is done, 0 to 1.

    Returns
    -------
    FileReport
        What was found and done.

    Raises
    ------
    ValueError
        If the target exists or is the source, if the source is not audio within the
        limits of ``check_audio`` or is not finite, if the network returns what is not
        finite, or if the target cannot be written.

    Example
    -------
    >>> enhance_file(None, "no/such.wav", "out.wav")
    Traceback (most recent call last):
    ValueError: cannot read no/such.wav: there is no such file
    """

    def process(audio: AudioSource) -> Iterator[np.ndarray]:
        return enhancer.enhance_blocks(
            audio.blocks, audio.info.sample_rate, dry, keep_highband, progress
        )

    return process_file(process, source, target, overwrite, repair_nonfinite)


def process_file(
    process: Callable[[AudioSource], Iterable[np.ndarray]],
    source: str | Path,
    target: str | Path,
    overwrite: bool = False,
    repair_nonfinite: bool = False,
) -> FileReport:
    """Makes a file of the rate, channels and length of another, as ``enhance_file``.

    Arguments
    ---------
    process : Callable[[AudioSource], Iterable[np.ndarray]]
        Makes blocks (channels, n) of what it reads, together as long.
    source : str | Path
        File to read.
    target : str | Path
        File to make.
    overwrite : bool
        Whether an existing target is replaced.
    repair_nonfinite : bool
        Whether NaN and infinity are set to 0; they are refused else.

    Returns
    -------
    FileReport
        What was found and done.

    Raises
    ------
    ValueError
        As ``enhance_file``.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.zeros(100), 16000)
    >>> process = lambda audio: (block / 2 for block in audio.blocks())
    >>> process_file(process, folder / "a.wav", folder / "b.wav").num_clipped
    0
    """
    source, target = Path(source), Path(target)
    info = check_audio(source)
    check_target(source, target, overwrite)
    audio = scan_source(source, info, repair_nonfinite)
    same_format = source.suffix.lower() == target.suffix.lower()
    num_clipped = 0
    with new_audio_file(target, info, same_format) as file:
        for block in process(audio):
            num_clipped += count_clipped(file, block)
            file.write(block.T)
    return audio.report(target, num_clipped)


def _scan(path: Path) -> tuple[int, int]:
    """Number of frames that can be read, and of samples that are not finite."""
    num_frames = num_broken = 0
    for block in read_blocks(path):
        num_frames += block.shape[-1]
        num_broken += int((~np.isfinite(block)).sum())
    return num_frames, num_broken
