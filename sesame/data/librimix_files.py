"""Files of LibriMix: match them by name, check them."""

import csv
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sesame.data.audio import audio_info, read_audio
from sesame.data.pairs import corpus_files

logger = logging.getLogger(__name__)

NUM_SUMS = 20  # mixtures of a set that are compared with the sum of their parts
MAX_RESIDUAL = 1e-3  # RMS; 16 bits leave 3e-5, a wrong source 2e-2


class LibriMixture(NamedTuple):
    """Files of one mixture.

    Arguments
    ---------
    item_id : str
        Name of the files without suffix.
    wavs : tuple[Path, ...]
        The mixture, then its sources.
    noise : Path | None
        What the mixture holds beside the sources.
    num_samples : int | None
        Length that the metadata name.

    Example
    -------
    >>> wavs = tuple(Path(name) / "a.wav" for name in ("mix_clean", "s1", "s2"))
    >>> LibriMixture("a", wavs, None, 48000).item_id
    'a'
    """

    item_id: str
    wavs: tuple[Path, ...]
    noise: Path | None
    num_samples: int | None


def list_mixtures(folder: Path, num_speakers: int, task: str) -> list[LibriMixture]:
    """Match the files of one set by name.

    Arguments
    ---------
    folder : Path
        Such as ``wav16k/min/test``.
    num_speakers : int
        Speakers of a mixture.
    task : str
        Folder of the mixtures.

    Returns
    -------
    list[LibriMixture]
        Sorted by name.

    Raises
    ------
    ValueError
        If a file has no partner, or the metadata list other mixtures.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> for name in ("mix_clean", "s1", "s2"):
    ...     (root / "test" / name).mkdir(parents=True)
    ...     (root / "test" / name / "a.wav").touch()
    >>> [row.item_id for row in list_mixtures(root / "test", 2, "mix_clean")]
    ['a']
    """
    parts = [task, *(f"s{j}" for j in range(1, num_speakers + 1))]
    if task != "mix_clean":
        parts.append("noise")
    files = {part: corpus_files(folder / part) for part in parts}
    everything = sorted(set().union(*files.values()))
    for part in parts:
        missing = [name for name in everything if name not in files[part]]
        if missing:
            raise ValueError(
                f"{folder / part} lacks {missing[0]} ({len(missing)} of "
                f"{len(everything)} files): delete {folder} and run LibriMix's "
                "scripts again, which pass over folders that are there"
            )
    listed = _read_metadata(folder, task)
    if listed is not None and set(listed) != set(everything):
        odd = sorted(set(listed) ^ set(everything))
        raise ValueError(
            f"{folder} has {len(everything)} mixtures, its metadata list "
            f"{len(listed)}, and {len(odd)} are in one only, such as {odd[0]}: delete "
            f"{folder} and run LibriMix's scripts again"
        )
    return [
        LibriMixture(
            name,
            tuple(files[part][name] for part in parts[: num_speakers + 1]),
            files["noise"][name] if "noise" in files else None,
            None if listed is None else listed[name],
        )
        for name in everything
    ]


def check_mixtures(mixtures: Sequence[LibriMixture], sample_rate: int) -> list[int]:
    """Check the headers of all files, and of 20 mixtures that they are their sum.

    Arguments
    ---------
    mixtures : Sequence[LibriMixture]
        At least one.
    sample_rate : int
        Hz that the files must have.

    Returns
    -------
    list[int]
        Samples of each mixture.

    Raises
    ------
    ValueError
        If a file cannot be read, is not mono, or has another rate or length than the
        others; or if a mixture is not the sum of its parts.

    Example
    -------
    >>> import soundfile
    >>> paths = [getfixture("tmp_path") / f"{name}.wav" for name in ("mix", "s1", "s2")]
    >>> for path, value in zip(paths, (0.75, 0.5, 0.25)):
    ...     soundfile.write(path, np.full(160, value), 16000)
    >>> check_mixtures([LibriMixture("a", tuple(paths), None, None)], 16000)
    [160]
    """
    step = max(1, len(mixtures) // NUM_SUMS)
    executor = ThreadPoolExecutor()
    try:
        work = executor.map(partial(_check_one, sample_rate=sample_rate), mixtures)
        lengths = list(work)
        list(executor.map(_check_sum, mixtures[::step]))
    finally:
        # Without this an error in the first file is told after the last one is read.
        executor.shutdown(cancel_futures=True)
    return lengths


def _read_metadata(folder: Path, task: str) -> dict[str, int] | None:
    """Length in samples of each mixture."""
    path = folder.parent / "metadata" / f"mixture_{folder.name}_{task}.csv"
    if not path.is_file():
        logger.warning(
            "%s is missing: LibriMix's scripts write it last, so %s may be incomplete",
            path,
            folder,
        )
        return None
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = csv.DictReader(file)
            # pandas writes lengths as floats where it met an empty cell.
            return {row["mixture_ID"]: int(float(row["length"])) for row in rows}
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"{path} must have the columns mixture_ID and length: {error!r}"
            ) from error


def _check_one(mixture: LibriMixture, sample_rate: int) -> int:
    expected = mixture.num_samples
    for path in (*mixture.wavs, *([mixture.noise] if mixture.noise else [])):
        info = audio_info(path)
        if info.num_channels != 1:
            raise ValueError(f"{path} has {info.num_channels} channels, must be mono")
        if info.sample_rate != sample_rate:
            raise ValueError(
                f"sample rate of {path} ({info.sample_rate} Hz) must be "
                f"{sample_rate} Hz"
            )
        if expected is None:
            expected = info.num_samples
        if info.num_samples != expected:
            raise ValueError(
                f"length of {path} ({info.num_samples} samples) must be that of the "
                f"mixture ({expected})"
            )
    return expected


def _check_sum(mixture: LibriMixture) -> None:
    signal, *parts = (read_audio(path) for path in mixture.wavs)
    if mixture.noise is not None:
        parts.append(read_audio(mixture.noise))
    residual = np.sqrt(np.mean(np.square(signal - sum(parts), dtype=np.float64)))
    if residual > MAX_RESIDUAL:
        raise ValueError(
            f"{mixture.wavs[0]} must be the sum of its sources: RMS of the difference "
            f"is {residual:.2g}, at most {MAX_RESIDUAL} is allowed"
        )
