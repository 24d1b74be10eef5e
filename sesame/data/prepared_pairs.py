"""Pairs of files that were read, checked, and resampled where needed."""

import logging
import os
import struct
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from sesame.data.audio import (
    AudioInfo,
    audio_info,
    read_audio,
    resample,
    resampled_length,
)
from sesame.data.pairs import Pair

logger = logging.getLogger(__name__)

COPY_SUBTYPE = "PCM_16"


class PreparedPair(NamedTuple):
    """A pair that was read completely and found right.

    Arguments
    ---------
    item_id : str
        Id of the utterance.
    noisy : Path
        Noisy file at the wanted rate.
    clean : Path
        Clean file at the wanted rate.
    num_samples : int
        Length of both.
    noisy_energy : float
        Sum of the squared samples.
    clean_energy : float
        The same of the clean file.

    Example
    -------
    >>> PreparedPair("a", Path("n.wav"), Path("c.wav"), 16000, 1.0, 0.5).num_samples
    16000
    """

    item_id: str
    noisy: Path
    clean: Path
    num_samples: int
    noisy_energy: float
    clean_energy: float


def prepare_pairs(
    pairs: Sequence[Pair], sample_rate: int, resampled_folder: str | Path
) -> list[PreparedPair]:
    """Read every pair completely, check it, and resample it if its rate is higher.

    16-bit copies are written one by one, each completely or not at all; a copy that is
    there already, as long as expected and not older than its source, is not made again.
    So an interrupted preparation goes on where it stopped.

    A file that is not audio, truncated, not mono or of a lower rate than wanted is a
    ``ValueError`` that names it, and so is a pair of unequal rates or lengths.

    Arguments
    ---------
    pairs : Sequence[Pair]
        Files to check.
    sample_rate : int
        Hz wanted.
    resampled_folder : str | Path
        Where copies go: ``<resampled_folder>/<folder of the file>/<name>.wav``.

    Returns
    -------
    list[PreparedPair]
        In the order of ``pairs``.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.zeros(4800), 48000)
    >>> pair = Pair("a", folder / "a.wav", folder / "a.wav")
    >>> prepare_pairs([pair], 16000, folder / "copies")[0].num_samples
    1600
    """
    folder = Path(resampled_folder)
    logger.info("Checking %d pairs", len(pairs))
    executor = ThreadPoolExecutor()
    try:
        work = executor.map(lambda pair: _prepare(pair, sample_rate, folder), pairs)
        return list(work)
    finally:
        # Without this an error in the first pair is told after the last one is read.
        executor.shutdown(cancel_futures=True)


def _prepare(pair: Pair, sample_rate: int, resampled_folder: Path) -> PreparedPair:
    infos = []
    for path in (pair.noisy, pair.clean):
        info = audio_info(path)
        _check_whole(path)
        if info.num_channels != 1:
            raise ValueError(f"{path} has {info.num_channels} channels, must be mono")
        if info.sample_rate < sample_rate:
            raise ValueError(
                f"sample rate of {path} ({info.sample_rate} Hz) must be at least "
                f"{sample_rate} Hz"
            )
        infos.append(info)
    if infos[0] != infos[1]:
        raise ValueError(
            f"{pair.noisy} ({infos[0].num_samples} samples at {infos[0].sample_rate} "
            f"Hz) and {pair.clean} ({infos[1].num_samples} at {infos[1].sample_rate} "
            "Hz) must have equal lengths and rates"
        )
    noisy, noisy_energy = _at_rate(pair.noisy, infos[0], sample_rate, resampled_folder)
    clean, clean_energy = _at_rate(pair.clean, infos[1], sample_rate, resampled_folder)
    length = resampled_length(infos[0].num_samples, infos[0].sample_rate, sample_rate)
    return PreparedPair(pair.item_id, noisy, clean, length, noisy_energy, clean_energy)


def _at_rate(
    path: Path, info: AudioInfo, sample_rate: int, resampled_folder: Path
) -> tuple[Path, float]:
    """Path of the file at the wanted rate, and its energy."""
    if info.sample_rate != sample_rate:
        copy = resampled_folder / path.parent.name / f"{path.stem}.wav"
        if not _is_current(copy, path, info, sample_rate):
            waveform = resample(read_audio(path), info.sample_rate, sample_rate)
            _write(copy, waveform, sample_rate)
        path = copy
    return path, float(np.square(read_audio(path), dtype=np.float64).sum())


def _is_current(copy: Path, source: Path, info: AudioInfo, sample_rate: int) -> bool:
    if not copy.is_file() or copy.stat().st_mtime < source.stat().st_mtime:
        return False
    length = resampled_length(info.num_samples, info.sample_rate, sample_rate)
    return audio_info(copy) == AudioInfo(length, sample_rate, 1)


def _write(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    # libsndfile would round down: half a bit of DC offset.
    rounded = np.rint(waveform * 2.0**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            soundfile.write(file, rounded, sample_rate, COPY_SUBTYPE, format="WAV")
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _check_whole(path: Path) -> None:
    """libsndfile reads a truncated WAV file as a shorter one; the header knows."""
    with path.open("rb") as file:
        header = file.read(8)
    if header[:4] != b"RIFF":
        return
    claimed = struct.unpack("<I", header[4:])[0] + 8
    size = path.stat().st_size
    if size < claimed:
        raise ValueError(
            f"audio file {path} is truncated: its header says {claimed} bytes, "
            f"it has {size}"
        )
