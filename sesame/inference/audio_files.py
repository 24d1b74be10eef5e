"""Audio files in and out, and files that are either written whole or not at all."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

__all__ = [
    "MAX_CHANNELS",
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "AudioFile",
    "AudioInfo",
    "check_audio",
    "format_of_suffix",
    "new_audio_file",
    "new_file",
    "read_audio",
    "read_blocks",
    "write_audio",
]

MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 384_000  # Hz
MAX_CHANNELS = 32
BLOCK_FRAMES = 4096
# Names that libsndfile gives other than the suffix does.
FORMAT_OF_SUFFIX = {
    "AIF": "AIFF",
    "AIFC": "AIFF",
    "OGA": "OGG",
    "OPUS": "OGG",
    "SND": "AU",
}
# Sample formats that hold values beyond full scale.
UNBOUNDED_SUBTYPES = {"FLOAT", "DOUBLE", "VORBIS", "OPUS"}
# A WAV file counts its bytes with 32 bits.
MAX_WAV_BYTES = 2**32 - 2**16
BYTES_PER_SAMPLE = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "DOUBLE": 8}
WRONG_SIZE = re.compile(r"(\w+) *: (\d+) \(should be (\d+)\)")


class AudioInfo(NamedTuple):
    """What the header of an audio file says.

    Arguments
    ---------
    sample_rate : int
        Hz.
    channels : int
        Number of channels.
    num_frames : int
        Length [samples per channel]; a damaged file may hold fewer.
    format : str
        libsndfile's name of the container.
    subtype : str
        libsndfile's name of the sample format.
    warnings : tuple[str, ...]
        What is wrong with the header of a file that can be read all the same.

    Example
    -------
    >>> AudioInfo(16000, 1, 400, "WAV", "PCM_16", ()).channels
    1
    """

    sample_rate: int
    channels: int
    num_frames: int
    format: str
    subtype: str
    warnings: tuple[str, ...]


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


def check_audio(path: str | Path) -> AudioInfo:
    """Reads the header of an audio file and checks it against the limits.

    Arguments
    ---------
    path : str | Path
        Any format that libsndfile reads.

    Returns
    -------
    AudioInfo
        Rate, channels, length and format.

    Raises
    ------
    ValueError
        If the file is missing, is not audio, or its rate or its number of channels is
        out of range.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.flac"
    >>> soundfile.write(path, np.zeros((10, 2)), 8000)
    >>> check_audio(path)
    AudioInfo(sample_rate=8000, channels=2, num_frames=10, format='FLAC', ...)
    """
    with _open(path) as file:
        sizes = WRONG_SIZE.findall(file.extra_info)
        warnings = [
            f"{path}: its header says {said} bytes ({name}), there are {found}"
            for name, said, found in sizes[-1:]
        ]
        return AudioInfo(
            file.samplerate,
            file.channels,
            file.frames,
            file.format,
            file.subtype,
            tuple(warnings),
        )


def read_blocks(path: str | Path) -> Iterator[np.ndarray]:
    """Reads an audio file block by block, up to where it can be read.

    Arguments
    ---------
    path : str | Path
        Any format that libsndfile reads.

    Yields
    ------
    np.ndarray
        (channels, n) float64, full scale 1. A damaged file ends early: compare with
        ``check_audio(path).num_frames``.

    Raises
    ------
    ValueError
        As ``check_audio``.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.wav"
    >>> soundfile.write(path, np.zeros((5000, 2)), 8000)
    >>> [block.shape for block in read_blocks(path)]
    [(2, 4096), (2, 904)]
    """
    with _open(path) as file:
        while True:
            try:
                samples = file.read(BLOCK_FRAMES, dtype="float64", always_2d=True)
            except soundfile.SoundFileError:
                return
            if len(samples) == 0:
                return
            yield samples.T


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
        As ``check_audio``, or if the file has no sample.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.wav"
    >>> soundfile.write(path, np.zeros((10, 2)), 8000)
    >>> read_audio(path).waveform.shape
    (2, 10)
    """
    info = check_audio(path)
    blocks = list(read_blocks(path))
    if not blocks:
        raise ValueError(f"{path} has no sample")
    return AudioFile(np.concatenate(blocks, axis=-1), info.sample_rate, info.subtype)


@contextmanager
def new_audio_file(
    path: str | Path, source: AudioInfo, same_format: bool = False
) -> Iterator[soundfile.SoundFile]:
    """An audio file to write blocks to; it is there when all went well.

    Arguments
    ---------
    path : str | Path
        File to make or replace; its suffix says the format.
    source : AudioInfo
        Rate, channels, length and sample format to keep. Where the format does not have
        that sample format, its default is taken.
    same_format : bool
        Whether the format is that of the source, whatever the suffix.

    Yields
    ------
    soundfile.SoundFile
        Takes blocks (n, channels) with ``write``; integer formats saturate.

    Raises
    ------
    ValueError
        If libsndfile does not know the suffix or cannot write such a file.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.flac"
    >>> info = AudioInfo(16000, 2, 10, "WAV", "PCM_24", ())
    >>> with new_audio_file(path, info) as file:
    ...     file.write(np.zeros((10, 2)))
    >>> check_audio(path).subtype
    'PCM_24'
    """
    path = Path(path)
    container = source.format if same_format else format_of_suffix(path)
    if container is None:
        raise ValueError(
            f"suffix of {path} must name an audio format, such as .wav, .flac or .ogg"
        )
    subtype = source.subtype
    if not soundfile.check_format(container, subtype):
        subtype = soundfile.default_subtype(container)
    size = source.num_frames * source.channels * BYTES_PER_SAMPLE.get(subtype, 4)
    if container in ("WAV", "WAVEX") and size > MAX_WAV_BYTES:
        container = "RF64"
    try:
        with (
            new_file(path) as temporary,
            soundfile.SoundFile(
                temporary,
                "w",
                source.sample_rate,
                source.channels,
                subtype,
                format=container,
            ) as file,
        ):
            yield file
    except soundfile.SoundFileError as error:
        raise ValueError(
            f"cannot write {path} as {container} {subtype}, {source.sample_rate} Hz, "
            f"{source.channels} channels: {error}"
        ) from error


def write_audio(
    path: str | Path, waveform: np.ndarray, sample_rate: int, subtype: str = ""
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
    subtype : str
        Sample format; where the file format does not have it, or if empty, that
        format's default.

    Raises
    ------
    ValueError
        If libsndfile does not know the suffix or cannot write such a file.

    Example
    -------
    >>> path = Path(getfixture("tmp_path")) / "a.flac"
    >>> write_audio(path, np.zeros((1, 10)), 16000, "FLOAT")
    >>> check_audio(path).subtype
    'PCM_16'
    """
    channels, length = waveform.shape
    info = AudioInfo(sample_rate, channels, length, "", subtype, ())
    with new_audio_file(path, info) as file:
        # In blocks: libsndfile's Vorbis encoder keeps what it is given on the stack.
        for start in range(0, length, BLOCK_FRAMES):
            file.write(waveform[:, start : start + BLOCK_FRAMES].T)


def _open(path: str | Path) -> soundfile.SoundFile:
    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "there is no such file"
        raise ValueError(f"cannot read {path}: {what}")
    try:
        file = soundfile.SoundFile(path)
    # A headerless format asks for what only a header could say.
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        reason = getattr(error, "error_string", error)
        raise ValueError(f"cannot read {path} as audio: {reason}") from error
    try:
        if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
            raise ValueError(
                f"sampling rate of {path} ({file.samplerate} Hz) must be in "
                f"[{MIN_SAMPLE_RATE}, {MAX_SAMPLE_RATE}] Hz"
            )
        if file.channels > MAX_CHANNELS:
            raise ValueError(
                f"{path} has {file.channels} channels, {MAX_CHANNELS} are allowed"
            )
    except ValueError:
        file.close()
        raise
    return file


def format_of_suffix(path: str | Path) -> str | None:
    """The audio format that the suffix of a path names.

    Arguments
    ---------
    path : str | Path
        Need not exist.

    Returns
    -------
    str | None
        libsndfile's name of the container; None if the suffix names none.

    Example
    -------
    >>> format_of_suffix("a.AIF"), format_of_suffix("a.txt")
    ('AIFF', None)
    """
    suffix = Path(path).suffix[1:].upper()
    name = FORMAT_OF_SUFFIX.get(suffix, suffix)
    # A raw file says nothing of what it holds.
    known = name in soundfile.available_formats() and name != "RAW"
    return name if known else None
