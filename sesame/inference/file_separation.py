"""From an audio file with a mixture to a file per speaker, block by block."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from .audio_files import check_audio, new_audio_file
from .file_enhancement import FileReport, check_target, count_clipped, scan_source

if TYPE_CHECKING:
    from .separator import Separator

__all__ = ["FIRST_SPEAKER", "separate_file", "speaker_file"]

LABEL = "_speaker"
# Ends the name of the file that is there only when all files of a mixture are.
FIRST_SPEAKER = f"{LABEL}1"


def speaker_file(source: Path, folder: Path, number: int) -> Path:
    """Where a speaker of a mixture is written to.

    Arguments
    ---------
    source : Path
        File with the mixture.
    folder : Path
        Folder of the results.
    number : int
        The speaker, from 1.

    Returns
    -------
    Path
        In the folder, with the suffix of the mixture.

    Example
    -------
    >>> speaker_file(Path("in/mix.flac"), Path("out"), 2).as_posix()
    'out/mix_speaker2.flac'
    """
    return folder / f"{source.stem}{LABEL}{number}{source.suffix}"


def separate_file(
    separator: "Separator",
    source: str | Path,
    folder: str | Path,
    *,
    overwrite: bool = False,
    repair_nonfinite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> FileReport:
    """Separates a file; memory does not grow with its length.

    The results have one channel, and the rate, length, format and, where it can be,
    sample format of the source. They are written beside their final places first: what
    fails or is interrupted leaves nothing. The file of the first speaker takes its
    place last; where it is, all are.

    Arguments
    ---------
    separator : Separator
        Separates blocks.
    source : str | Path
        File with the mixture, in any format that libsndfile reads; several channels
        are averaged.
    folder : str | Path
        Folder of the files, which ``speaker_file`` names.
    overwrite : bool
        Whether existing files are replaced.
    repair_nonfinite : bool
        Whether NaN and infinity are set to 0; they are refused else.
    progress : Callable[[float], None] | None
        Is told the fraction that is done, 0 to 1.

    Returns
    -------
    FileReport
        What was found and done; ``target`` is the first speaker's file.

    Raises
    ------
    ValueError
        If a target exists or is the source, if the source is not audio within the
        limits of ``check_audio`` or is not finite, if the network returns what is not
        finite, or if a target cannot be written.

    Example
    -------
    >>> separate_file(None, "no/such.wav", "out")
    Traceback (most recent call last):
    ValueError: cannot read no/such.wav: there is no such file
    """
    source, folder = Path(source), Path(folder)
    info = check_audio(source)
    numbers = range(1, separator.num_sources + 1)
    targets = [speaker_file(source, folder, number) for number in numbers]
    for target in targets:
        check_target(source, target, overwrite)
    audio = scan_source(source, info, repair_nonfinite)
    num_clipped = 0
    with ExitStack() as stack:
        # The last one to be opened is the first to take its place.
        files = [
            stack.enter_context(
                new_audio_file(target, info._replace(channels=1), same_format=True)
            )
            for target in targets
        ]
        blocks = separator.separate_blocks(audio.blocks, info.sample_rate, progress)
        for block in blocks:
            for file, samples in zip(files, block, strict=True):
                num_clipped += count_clipped(file, samples)
                file.write(samples)
    return audio.report(targets[0], num_clipped)
