"""From a noisy audio file to an enhanced one of the same kind, block by block."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .audio_files import (
    UNBOUNDED_SUBTYPES,
    check_audio,
    new_audio_file,
    read_blocks,
)

if TYPE_CHECKING:
    from .enhancer import Enhancer

__all__ = ["FileReport", "enhance_file"]


class FileReport(NamedTuple):
    """What was found in a file, and done to it.

    Arguments
    ---------
    source : Path
        The noisy file.
    target : Path
        The enhanced file.
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
    source, target = Path(source), Path(target)
    info = check_audio(source)
    if target.is_dir():
        raise ValueError(f"{target} is a folder, not a file")
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target} is the noisy file itself")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists and is not to be replaced")
    num_frames, num_broken = _scan(source)
    if info.num_frames and not num_frames:
        raise ValueError(
            f"cannot read {source}: none of its {info.num_frames} frames is intact"
        )
    if num_broken and not repair_nonfinite:
        raise ValueError(
            f"{source} has {num_broken} samples that are NaN or infinite; they can be "
            "set to 0 (repair_nonfinite)"
        )

    def signal() -> Iterator[np.ndarray]:
        for block in read_blocks(source):
            yield np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)

    same_format = source.suffix.lower() == target.suffix.lower()
    num_clipped = 0
    with new_audio_file(target, info, same_format) as file:
        enhanced = enhancer.enhance_blocks(
            signal, info.sample_rate, dry, keep_highband, progress
        )
        for block in enhanced:
            if file.subtype not in UNBOUNDED_SUBTYPES:
                num_clipped += int((np.abs(block) > 1).sum())
            file.write(block.T)
    return FileReport(
        source,
        target,
        num_frames / info.sample_rate,
        info.sample_rate,
        info.channels,
        num_clipped,
        num_broken,
        info.warnings + _warnings(source, info.num_frames, num_frames),
    )


def _scan(path: Path) -> tuple[int, int]:
    """Number of frames that can be read, and of samples that are not finite."""
    num_frames = num_broken = 0
    for block in read_blocks(path):
        num_frames += block.shape[-1]
        num_broken += int((~np.isfinite(block)).sum())
    return num_frames, num_broken


def _warnings(path: Path, promised: int, found: int) -> tuple[str, ...]:
    warnings = []
    if found != promised:
        warnings.append(
            f"{path}: its header says {promised} frames, {found} can be read"
        )
    if found == 0:
        warnings.append(f"{path} has no sample: an empty file was written")
    return tuple(warnings)
