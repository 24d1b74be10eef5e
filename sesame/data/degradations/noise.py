"""Recorded noise, added at a signal-to-noise ratio."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from sesame.data.audio import audio_info, list_audio, read_audio, resampled_length
from sesame.data.crops import tile
from sesame.data.degradations.degraded import Degraded, check_waveform
from sesame.data.mixing import check_levels, draw_snr, ratio_gain

_DRAWS = 8


class NoiseFolder:
    """Cuts random pieces from the files of a folder.

    Shape: -> (length,).

    Arguments
    ---------
    folder : str | Path
        Noise at any depth: wav, flac, ogg, mp3 of any rate.
    sample_rate : int
        Hz of the pieces.

    Raises
    ------
    ValueError
        If the folder is missing, has no audio, or a file cannot be read.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.full(800, 0.25), 16000)
    >>> NoiseFolder(folder, 16000)(3, np.random.default_rng(0)).tolist()
    [0.25, 0.25, 0.25]
    """

    def __init__(self, folder: str | Path, sample_rate: int):
        self.sample_rate = sample_rate
        self.files = []
        for path in list_audio(folder):
            info = audio_info(path)
            length = resampled_length(info.num_samples, info.sample_rate, sample_rate)
            self.files.append((str(path), length))

    def __call__(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Cut a piece.

        Arguments
        ---------
        length : int
            Samples.
        rng : np.random.Generator
            Draws file and place.

        Returns
        -------
        np.ndarray
            float32; shorter files are repeated. A piece that is digitally silent is
            drawn again.
        """
        for _ in range(_DRAWS):
            path, total = self.files[rng.integers(len(self.files))]
            start = int(rng.integers(max(0, total - length) + 1))
            part = read_audio(path, self.sample_rate, start, min(total, length))
            piece = tile(part, length)
            if piece.any():
                break
        return piece


class Noise:
    """Adds noise.

    ``done``: ``snr_db``, of the levels while each is active (``active_rms``).

    Arguments
    ---------
    source : Callable[[int, np.random.Generator], np.ndarray]
        Gives so many samples of noise, such as a ``NoiseFolder``.
    snr_db : Sequence[float]
        Two values are the ends of a range; one value, or three and more, are a list to
        choose from. dB.

    Raises
    ------
    ValueError
        If ``snr_db`` is empty, not finite, or a range out of order.

    Example
    -------
    >>> noise = Noise(lambda length, rng: np.full(length, 0.5, np.float32), [20.0])
    >>> speech = np.ones(320, dtype=np.float32)
    >>> noise(speech, 16000, np.random.default_rng(0)).waveform[:2].round(3).tolist()
    [1.100..., 1.100...]
    """

    def __init__(
        self,
        source: Callable[[int, np.random.Generator], np.ndarray],
        snr_db: Sequence[float] = (-5.0, 20.0),
    ):
        check_levels("snr_db", snr_db)
        self.source = source
        self.snr_db = tuple(snr_db)

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Add noise.

        Arguments
        ---------
        waveform : np.ndarray
            Speech, (L,). It is not scaled: the sum may exceed 1.
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Draws ratio and noise.

        Returns
        -------
        Degraded
            Noisy speech.
        """
        check_waveform(waveform)
        snr_db = draw_snr(self.snr_db, rng)
        noise = self.source(len(waveform), rng)
        gain = waveform.dtype.type(ratio_gain(waveform, noise, snr_db, sample_rate))
        return Degraded(waveform + gain * noise, {"snr_db": snr_db})
