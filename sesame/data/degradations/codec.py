"""Lossy codecs: encoded and decoded in memory."""

import io
from collections.abc import Sequence

import numpy as np
import soundfile
from scipy.signal import correlate

from sesame.data.degradations.degraded import Degraded, check_range, check_waveform

SUBTYPES = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS"}
_MAX_DELAY_SECONDS = 0.1


def encode_and_decode(
    waveform: np.ndarray, sample_rate: int, codec: str, compression: float
) -> np.ndarray:
    """Encode a waveform in memory and decode it.

    Arguments
    ---------
    waveform : np.ndarray
        Samples; those beyond [-1, 1] clip.
    sample_rate : int
        Hz.
    codec : str
        ``"mp3"`` or ``"ogg"`` (Vorbis).
    compression : float
        From 0, best, to below 1.

    Returns
    -------
    np.ndarray
        What the decoder gives: it may be delayed and of another length.

    Raises
    ------
    ValueError
        If the codec is unknown, or cannot encode at this rate.

    Example
    -------
    >>> decoded = encode_and_decode(np.zeros(1600, np.float32), 16000, "ogg", 0.5)
    >>> decoded.shape, float(np.abs(decoded).max())
    ((1600,), 0.0)
    """
    if codec not in SUBTYPES:
        raise ValueError(f"codec ({codec!r}) must be one of {', '.join(SUBTYPES)}")
    file = io.BytesIO()
    try:
        soundfile.write(
            file,
            waveform,
            sample_rate,
            subtype=SUBTYPES[codec],
            format=codec.upper(),
            compression_level=compression,
        )
        file.seek(0)
        decoded, _ = soundfile.read(file, dtype="float32")
    except soundfile.SoundFileError as error:
        raise ValueError(
            f"cannot encode {codec} at {sample_rate} Hz and compression "
            f"{compression}: {error}"
        ) from error
    return decoded


def align(waveform: np.ndarray, reference: np.ndarray, max_delay: int) -> np.ndarray:
    """Undo the delay of a waveform, found by cross-correlation.

    Shape: waveform (M,), reference (L,) -> (L,).

    Arguments
    ---------
    waveform : np.ndarray
        Late version of the reference, perhaps of another length.
    reference : np.ndarray
        Signal to align with.
    max_delay : int
        Largest delay looked for, samples.

    Returns
    -------
    np.ndarray
        Waveform from its delay on, followed by zeros where it ends before.

    Example
    -------
    >>> signal = np.array([0.0, 1.0, -1.0, 2.0, 0.5])
    >>> align(np.pad(signal, (3, 0)), signal, 4).tolist()
    [0.0, 1.0, -1.0, 2.0, 0.5]
    """
    correlation = correlate(waveform, reference, "full", "fft")[len(reference) - 1 :]
    delay = int(np.argmax(correlation[: max_delay + 1]))
    late = waveform[delay:][: len(reference)]
    return np.pad(late, (0, len(reference) - len(late)))


class Codec:
    """Encodes and decodes with a lossy codec; its delay is taken out.

    ``done``: ``codec`` and ``compression``.

    Arguments
    ---------
    codecs : Sequence[str]
        Codecs to choose from: ``"mp3"``, ``"ogg"``.
    compression : tuple[float, float]
        Range of the compression, within [0, 0.99]; about 60 to 28 kbit/s for mp3 and 80
        to 35 for ogg at 16 kHz.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Example
    -------
    >>> speech = np.random.default_rng(0).normal(0, 0.1, 3200).astype(np.float32)
    >>> coded = Codec(["ogg"])(speech, 16000, np.random.default_rng(0))
    >>> coded.waveform.shape, coded.done["codec"]
    ((3200,), 'ogg')
    """

    def __init__(
        self,
        codecs: Sequence[str] = tuple(SUBTYPES),
        compression: tuple[float, float] = (0.3, 0.95),
    ):
        unknown = set(codecs) - set(SUBTYPES)
        if unknown or len(codecs) == 0:
            raise ValueError(
                f"codecs ({list(codecs)}) must be some of {', '.join(SUBTYPES)}"
            )
        self.codecs = tuple(codecs)
        self.compression = check_range("compression", compression, 0, 0.99)

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Encode and decode.

        Arguments
        ---------
        waveform : np.ndarray
            Samples in [-1, 1], (L,).
        sample_rate : int
            Hz that the codec knows: 8000, 16000, 24000, 44100 and 48000 are such.
        rng : np.random.Generator
            Draws codec and compression.

        Returns
        -------
        Degraded
            Decoded waveform.
        """
        check_waveform(waveform)
        codec = self.codecs[rng.integers(len(self.codecs))]
        compression = float(rng.uniform(*self.compression))
        decoded = encode_and_decode(waveform, sample_rate, codec, compression)
        aligned = align(decoded, waveform, round(_MAX_DELAY_SECONDS * sample_rate))
        done = {"codec": codec, "compression": compression}
        return Degraded(aligned.astype(waveform.dtype), done)
