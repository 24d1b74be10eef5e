"""Noisy speech mixed while training: any folder of speech, any folder of noise."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem

from sesame.data.audio import audio_info, list_audio, read_audio, resampled_length
from sesame.data.crops import Counter, current_epoch, keyed_rng, tile
from sesame.data.mixing import check_levels, draw_snr, mix_at_snr
from sesame.data.pipelines import OUTPUT_KEYS

_NOISE_DRAWS = 8


class MixPair:
    """Reads speech, reads noise, mixes them; all chance comes from (seed, epoch, id).

    Shape: -> noisy (L,), clean (L,).

    Arguments
    ---------
    noise_files : Sequence[tuple[str, int]]
        Path and length, in samples at ``sample_rate``, of each noise file.
    segment_length : int | None
        Samples of a segment, ``None`` for whole utterances.
    sample_rate : int
        Hz of the result.
    snr_db : Sequence[float]
        See ``draw_snr``.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` mixes the same for ever.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.full(800, 0.1), 16000)
    >>> mix = MixPair([(path, 800)], 1000, 16000, [0.0], seed=0)
    >>> noisy, clean = mix("a", path, 800)
    >>> noisy.shape, round(float(noisy[0] / clean[0]), 3)
    (torch.Size([1000]), 2.0)
    """

    def __init__(
        self,
        noise_files: Sequence[tuple[str, int]],
        segment_length: int | None,
        sample_rate: int,
        snr_db: Sequence[float],
        seed: int,
        epoch_counter: Counter | None = None,
    ):
        self.noise_files = list(noise_files)
        self.segment_length = segment_length
        self.sample_rate = sample_rate
        self.snr_db = tuple(float(value) for value in snr_db)
        self.seed = seed
        self.epoch_counter = epoch_counter

    def __call__(
        self, item_id: str, speech: str, num_samples: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one pair.

        Arguments
        ---------
        item_id : str
            Id of the utterance.
        speech : str
            Its file.
        num_samples : int
            Its length in samples at ``sample_rate``.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            Noisy and clean waveform, float32.
        """
        epoch = current_epoch(self.epoch_counter)
        rng = keyed_rng(self.seed, epoch, item_id)
        length = num_samples if self.segment_length is None else self.segment_length
        clean = self._segment(speech, num_samples, length, rng)
        snr_db = draw_snr(self.snr_db, rng)
        noise = self._noise(length, rng)
        noisy, clean = mix_at_snr(clean, noise, snr_db, self.sample_rate)
        return torch.from_numpy(noisy), torch.from_numpy(clean)

    def _segment(
        self, path: str, total: int, length: int, rng: np.random.Generator
    ) -> np.ndarray:
        start = int(rng.integers(max(0, total - length) + 1))
        part = read_audio(path, self.sample_rate, start, min(total, length))
        return tile(part, length)

    def _noise(self, length: int, rng: np.random.Generator) -> np.ndarray:
        for _ in range(_NOISE_DRAWS):
            path, total = self.noise_files[rng.integers(len(self.noise_files))]
            noise = self._segment(path, total, length, rng)
            if noise.any():
                break
        return noise


def mixed_dataset(
    speech_folder: str | Path,
    noise_folder: str | Path,
    segment_length: int | None = None,
    sample_rate: int = 16_000,
    snr_db: Sequence[float] = (0.0, 5.0, 10.0, 15.0),
    seed: int = 0,
    epoch_counter: Counter | None = None,
    items_per_file: int = 1,
) -> DynamicItemDataset:
    """Data set of speech files, each mixed with a random noise when it is read.

    Segment, noise file, place in it and SNR depend on (seed, epoch, id) only: not on
    the number of workers, nor on the order of items.
    Data loader workers must not outlive an epoch (``persistent_workers: False``).

    Shape: items with noisy_sig (L,) and clean_sig (L,), float32.

    Arguments
    ---------
    speech_folder : str | Path
        Clean speech at any depth: wav, flac, ogg, mp3 of any rate.
    noise_folder : str | Path
        Noise, the same way.
    segment_length : int | None
        Samples of a segment; shorter speech and noise are repeated. ``None`` gives
        whole utterances.
    sample_rate : int
        Hz of the result; files of another rate are resampled.
    snr_db : Sequence[float]
        dB. Two values are the ends of a range; one value, or three and more, are a
        list to choose from.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch, as SpeechBrain's ``EpochCounter``;
        ``None`` gives the same mixtures for ever (validation).
    items_per_file : int
        Items that each speech file gives in an epoch, at least 1; they differ in all
        that is random. The ids of all but the first end in ``+1``, ``+2`` and so on.

    Returns
    -------
    DynamicItemDataset
        Items with the keys ``id``, ``noisy_sig``, ``clean_sig``; ``length`` in seconds
        is there to sort and filter by.

    Raises
    ------
    ValueError
        If a folder is missing or has no audio, a file cannot be read, ids collide, or
        an argument is out of range.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.full(800, 0.1), 16000)
    >>> dataset = mixed_dataset(folder, folder, segment_length=400, snr_db=[0.0])
    >>> dataset[0]["id"], dataset[0]["noisy_sig"].shape
    ('a', torch.Size([400]))
    """
    if segment_length is not None and segment_length < 1:
        raise ValueError(f"segment_length ({segment_length}) must be at least 1 sample")
    check_levels("snr_db", snr_db)
    if items_per_file < 1:
        raise ValueError(f"items_per_file ({items_per_file}) must be at least 1")
    items: dict[str, dict[str, str | int | float]] = {}
    for path in list_audio(speech_folder):
        relative = path.relative_to(speech_folder).with_suffix("")
        name = relative.as_posix().replace("/", "-")
        length = _length(path, sample_rate)
        item = {
            "speech": str(path),
            "num_samples": length,
            "length": length / sample_rate,
        }
        for item_id in [name, *(f"{name}+{i}" for i in range(1, items_per_file))]:
            if item_id in items:
                raise ValueError(
                    f"{items[item_id]['speech']} and {path} must not have the same id "
                    f"{item_id!r}"
                )
            items[item_id] = item
    noise_files = [
        (str(path), _length(path, sample_rate)) for path in list_audio(noise_folder)
    ]
    mix_pair = DynamicItem(
        takes=["id", "speech", "num_samples"],
        func=MixPair(
            noise_files, segment_length, sample_rate, snr_db, seed, epoch_counter
        ),
        provides=["noisy_sig", "clean_sig"],
    )
    return DynamicItemDataset(items, [mix_pair], list(OUTPUT_KEYS))


def _length(path: Path, sample_rate: int) -> int:
    info = audio_info(path)
    return resampled_length(info.num_samples, info.sample_rate, sample_rate)
