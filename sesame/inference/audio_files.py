"""Audio files in and out, and files that are either written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

__all__ = ["AudioFile", "new_file", "read_audio", "resample", "write_audio"]

RESAMPLING_QUALITY = "VHQ"


class AudioFile(NamedTuple):
    """Content of an audio file.

    Shape: waveform (channels, L) float64, full scale 1.

    Example
    -------
    >>> AudioFile(np.zeros((1, 4)), 16000, "PCM_16").subtype
    'PCM_16'
    """

    waveform: np.ndarray
    sample_rate: int
    subtype: str


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` when all went well.

    Arguments
    ---------
    path : str | Path
        File to make or replace; its folder is made.

    Yields
    ------
    Path
        Path in the same folder and with the same suffix, to be written to.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.txt"
    >>> with new_file(path) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('whole', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}.", path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files, as some writers do; a result is as readable as
        # any other file.
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_audio(path: str | Path) -> AudioFile:
    """Reads all channels of an audio file.

    Arguments
    ---------
    path : str | Path
        Any format that libsndfile reads.

    Returns
    -------
    AudioFile
        Samples, rate [Hz] and libsndfile's name of the sample format.

    Raises
    ------
    ValueError
        If the file is missing, is not audio or has no sample.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.wav"
    >>> soundfile.write(path, np.zeros((10, 2)), 8000)
    >>> read_audio(path).waveform.shape
    (2, 10)
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="float64", always_2d=True)
            rate, subtype = file.samplerate, file.subtype
    except (soundfile.SoundFileError, OSError) as error:
        raise ValueError(f"cannot read {path} as audio: {error}") from error
    if len(samples) == 0:
        raise ValueError(f"{path} has no sample")
    return AudioFile(samples.T, rate, subtype)


def write_audio(
    path: str | Path, waveform: np.ndarray, sample_rate: int, subtype: str | None = None
) -> None:
    """Writes an audio file; integer formats saturate at full scale.

    Shape: waveform (channels, L).

    Arguments
    ---------
    path : str | Path
        File to make or replace; its suffix says the format.
    waveform : np.ndarray
        Samples, full scale 1.
    sample_rate : int
        Hz.
    subtype : str | None
        Sample format; where the file format does not have it, or for ``None``, that
        format's default.

    Raises
    ------
    ValueError
        If libsndfile does not know the suffix or cannot write such a file.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.flac"
    >>> write_audio(path, np.zeros((1, 10)), 16000, "FLOAT")
    >>> read_audio(path).subtype
    'PCM_16'
    """
    file_format = Path(path).suffix[1:].upper()
    if file_format not in soundfile.available_formats():
        known = ", ".join(sorted(f".{name.lower()}" for name in _common_formats()))
        raise ValueError(f"suffix of {path} must name an audio format, such as {known}")
    if subtype is None or not soundfile.check_format(file_format, subtype):
        subtype = soundfile.default_subtype(file_format)
    try:
        with new_file(path) as temporary:
            soundfile.write(
                temporary, waveform.T, sample_rate, subtype=subtype, format=file_format
            )
    except soundfile.SoundFileError as error:
        raise ValueError(f"cannot write {path}: {error}") from error


def resample(waveform: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Resamples each channel.

    Shape: waveform (channels, L) -> (channels, ceil(L * target_rate / source_rate)).

    Arguments
    ---------
    waveform : np.ndarray
        float32 or float64.
    source_rate : int
        Hz.
    target_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        The same dtype.

    Example
    -------
    >>> resample(np.zeros((2, 48_001)), 48_000, 16_000).shape
    (2, 16001)
    """
    if source_rate == target_rate:
        return waveform
    length = -(-waveform.shape[-1] * target_rate // source_rate)
    out = soxr.resample(waveform.T, source_rate, target_rate, RESAMPLING_QUALITY).T
    # soxr rounds to the nearest length; ours is a rule that others can rely on.
    missing = max(0, length - out.shape[-1])
    return np.pad(out, ((0, 0), (0, missing)))[:, :length]


def _common_formats() -> set[str]:
    return {"WAV", "FLAC", "OGG", "MP3", "AIFF"} & set(soundfile.available_formats())
