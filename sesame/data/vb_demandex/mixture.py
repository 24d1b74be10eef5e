"""One mixture: what it is made of, and how its noise and its samples are made."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sesame.data.audio import audio_info, read_audio, resampled_length
from sesame.data.babble import babble, talking
from sesame.data.crops import keyed_rng, tile
from sesame.data.segmental_snr import mix_at_segmental_snr, segmental_snr
from sesame.data.speech_shaped_noise import speech_shaped_noise

BABBLE = "babble"
SPEECH_SHAPED = "ssn"
FULL_SCALE = 2**15
SNR_TOLERANCE_DB = 0.05
_DRAWS = 32


class Mixture(NamedTuple):
    """The plan of one pair of files.

    Arguments
    ---------
    item_id : str
        Id of the pair.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``.
    clean : str
        File of the clean speech.
    clean_start : int
        First sample of it that is used, at the rate of the mixture.
    num_samples : int
        Samples of the pair.
    noise_type : str
        ``"babble"``, ``"ssn"``, or the category of a noise track.
    noise_files : tuple[str, ...]
        The talkers of babble, the speech whose spectrum SSN has, or the files of a
        noise track.
    snr_db : float
        Segmental SNR, dB.
    level_dbfs : float
        RMS of the noisy signal, dB re full scale; see ``mix_at_segmental_snr``.
    seed : int
        Seed of the set.

    Example
    -------
    >>> mixture = Mixture("a", "test", "a.wav", 0, 9, "ssn", ("b.wav",), 5.0, -25.0, 1)
    >>> mixture.noise_type
    'ssn'
    """

    item_id: str
    split: str
    clean: str
    clean_start: int
    num_samples: int
    noise_type: str
    noise_files: tuple[str, ...]
    snr_db: float
    level_dbfs: float
    seed: int


class Mixed(NamedTuple):
    """A mixture as 16-bit files hold it.

    Arguments
    ---------
    noisy : np.ndarray
        int16.
    clean : np.ndarray
        int16.
    noise_offset : int | None
        First sample of the noise track that is used; ``None`` for babble and SSN.
    draw : int
        How many draws of the noise were passed over.
    snr_db : float
        Segmental SNR of these samples, dB.
    level_dbfs : float
        RMS of ``noisy``, dB re full scale.

    Example
    -------
    >>> Mixed(np.ones(2), np.ones(2), None, 0, 5.0, -20.0).draw
    0
    """

    noisy: np.ndarray
    clean: np.ndarray
    noise_offset: int | None
    draw: int
    snr_db: float
    level_dbfs: float


def mix(mixture: Mixture, sample_rate: int) -> Mixed:
    """Make one pair; the same plan gives the same samples.

    The noise is drawn anew, at most 32 times, while 16 bits cannot hold the mixture
    at its SNR within 0.05 dB: where noise or speech is all but silent.

    Arguments
    ---------
    mixture : Mixture
        The plan.
    sample_rate : int
        Hz.

    Returns
    -------
    Mixed
        Samples and what was measured on them.

    Raises
    ------
    ValueError
        If a file cannot be read, or no draw gives the SNR.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 4000), 16000)
    >>> plan = Mixture("a", "test", path, 0, 4000, "rain", (path,), 5.0, -25.0, 1)
    >>> round(mix(plan, 16000).snr_db, 1)
    5.0
    """
    clean = read_piece(
        mixture.clean, sample_rate, mixture.clean_start, mixture.num_samples
    )
    for draw in range(_DRAWS):
        rng = keyed_rng(mixture.seed, draw, f"{mixture.split}/{mixture.item_id}/mix")
        noise, offset = make_noise(
            mixture.noise_type, mixture.noise_files, len(clean), sample_rate, rng
        )
        pair = mix_at_segmental_snr(
            clean, noise, mixture.snr_db, sample_rate, mixture.level_dbfs
        )
        noisy, target = (to_int16(signal) for signal in pair)
        snr_db = measured_snr(noisy, target, sample_rate)
        if abs(snr_db - mixture.snr_db) <= SNR_TOLERANCE_DB:
            return Mixed(noisy, target, offset, draw, snr_db, level_dbfs(noisy))
    raise ValueError(
        f"{mixture.item_id}: {mixture.clean} and {mixture.noise_type} "
        f"({', '.join(mixture.noise_files)}) cannot be mixed at {mixture.snr_db} dB "
        f"in 16 bits: in {_DRAWS} draws speech or noise was all but silent"
    )


def make_noise(
    noise_type: str,
    files: Sequence[str],
    num_samples: int,
    sample_rate: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int | None]:
    """Make or read noise.

    Arguments
    ---------
    noise_type : str
        ``"babble"``, ``"ssn"``, or anything else for a noise track.
    files : Sequence[str]
        See ``Mixture``.
    num_samples : int
        Length wanted; a shorter noise track is repeated.
    sample_rate : int
        Hz.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    tuple[np.ndarray, int | None]
        Noise (num_samples,) as float32 and its place in the track, ``None`` for babble
        and SSN.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.full(400, 0.1), 16000)
    >>> noise, _ = make_noise("ssn", [path], 1000, 16000, np.random.default_rng(0))
    >>> noise.shape, noise.dtype
    ((1000,), dtype('float32'))
    """
    if noise_type == BABBLE:
        talkers = read_talkers(files, sample_rate)
        return babble(talkers, num_samples, rng), None
    if noise_type == SPEECH_SHAPED:
        speech = np.concatenate(read_talkers(files, sample_rate))
        return speech_shaped_noise(speech, num_samples, rng), None
    lengths = [_length(path, sample_rate) for path in files]
    offset = int(rng.integers(max(0, sum(lengths) - num_samples) + 1))
    pieces, start, stop = [], offset, offset + num_samples
    for path, length in zip(files, lengths, strict=True):
        first, last = max(start, 0), min(stop, length)
        if first < last:
            pieces.append(read_audio(path, sample_rate, first, last - first))
        start, stop = start - length, stop - length
    return tile(np.concatenate(pieces), num_samples), offset


def read_talkers(files: Sequence[str], sample_rate: int) -> list[np.ndarray]:
    """Read speech without its silence, each file at an RMS of 1.

    Arguments
    ---------
    files : Sequence[str]
        Utterances.
    sample_rate : int
        Hz.

    Returns
    -------
    list[np.ndarray]
        See ``talking``.

    Raises
    ------
    ValueError
        If a file cannot be read or is silent; the message names it.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.full(400, 0.1), 16000)
    >>> round(float(read_talkers([path], 16000)[0].max()), 3)
    1.0
    """
    talkers = []
    for path in files:
        try:
            talkers.append(talking(read_audio(path, sample_rate), sample_rate))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return talkers


def read_piece(path: str, sample_rate: int, start: int, num_samples: int) -> np.ndarray:
    """Read a piece of speech, repeated where the file ends before.

    Arguments
    ---------
    path : str
        File.
    sample_rate : int
        Hz.
    start : int
        First sample at this rate.
    num_samples : int
        Samples wanted.

    Returns
    -------
    np.ndarray
        float32.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, [0.25, 0.5], 16000)
    >>> read_piece(path, 16000, 0, 3).tolist()
    [0.25, 0.5, 0.25]
    """
    available = _length(path, sample_rate) - start
    part = read_audio(path, sample_rate, start, min(available, num_samples))
    return tile(part, num_samples)


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Round to 16 bits, to the nearest step.

    Arguments
    ---------
    waveform : np.ndarray
        Samples in [-1, 1].

    Returns
    -------
    np.ndarray
        int16.

    Example
    -------
    >>> to_int16(np.array([0.5, -1.0, 1.0])).tolist()
    [16384, -32768, 32767]
    """
    rounded = np.rint(waveform * np.float32(FULL_SCALE))
    return rounded.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def measured_snr(noisy: np.ndarray, clean: np.ndarray, sample_rate: int) -> float:
    """Segmental SNR of a pair of 16-bit signals.

    Arguments
    ---------
    noisy : np.ndarray
        int16.
    clean : np.ndarray
        int16.
    sample_rate : int
        Hz.

    Returns
    -------
    float
        dB; NaN where there is no ratio.

    Example
    -------
    >>> clean = np.full(800, 1000, dtype=np.int16)
    >>> measured_snr(clean + np.int16(100), clean, 16000)
    20.0
    """
    clean = clean.astype(np.float64)
    return segmental_snr(clean, noisy - clean, sample_rate)


def level_dbfs(waveform: np.ndarray) -> float:
    """RMS of a 16-bit signal.

    Arguments
    ---------
    waveform : np.ndarray
        int16, not silent.

    Returns
    -------
    float
        dB re full scale.

    Example
    -------
    >>> round(level_dbfs(np.full(10, 2**14, dtype=np.int16)), 2)
    -6.02
    """
    power = np.mean(np.square(waveform, dtype=np.float64))
    return float(10 * np.log10(power / FULL_SCALE**2))


def _length(path: str, sample_rate: int) -> int:
    info = audio_info(path)
    return resampled_length(info.num_samples, info.sample_rate, sample_rate)
