"""The noises and SNRs of VB-DemandEx, mixed while training."""

from collections.abc import Sequence
from pathlib import Path

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem

from sesame.data.crops import Counter, current_epoch, keyed_rng
from sesame.data.mixing import check_levels, draw_snr
from sesame.data.pipelines import OUTPUT_KEYS
from sesame.data.segmental_snr import mix_at_segmental_snr
from sesame.data.vb_demandex.mixture import make_noise, read_piece
from sesame.data.vb_demandex.planning import (
    LEVELS_DBFS,
    SNRS_DB,
    Ingredients,
    find_ingredients,
)
from sesame.data.vb_demandex.sources import TEST_SPEAKERS, VALID_SPEAKERS

_NOISE_DRAWS = 8


class MixDemandEx:
    """Reads speech, makes noise, mixes them; all chance comes from (seed, epoch, id).

    Shape: -> noisy (L,), clean (L,).

    Arguments
    ---------
    ingredients : Ingredients
        Speech and noise.
    segment_length : int | None
        Samples of a segment, ``None`` for whole utterances.
    sample_rate : int
        Hz of the result.
    snr_db : Sequence[float]
        Segmental SNRs; see ``draw_snr``.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` mixes the same for ever.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> from sesame.data.vb_demandex.sources import NoiseTrack, Utterance
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 800), 16000)
    >>> speech = [Utterance("a", path, "p1", 800), Utterance("b", path, "p2", 800)]
    >>> found = Ingredients(speech, [NoiseTrack("office", (path,))], speech)
    >>> noisy, clean = MixDemandEx(found, 1000, 16000, [0.0], seed=0)("a", path, "p1")
    >>> noisy.shape, clean.dtype
    (torch.Size([1000]), torch.float32)
    """

    def __init__(
        self,
        ingredients: Ingredients,
        segment_length: int | None,
        sample_rate: int,
        snr_db: Sequence[float],
        seed: int,
        epoch_counter: Counter | None = None,
    ):
        self.ingredients = ingredients
        self.num_samples = {row.path: row.num_samples for row in ingredients.clean}
        self.segment_length = segment_length
        self.sample_rate = sample_rate
        self.snr_db = tuple(float(value) for value in snr_db)
        self.seed = seed
        self.epoch_counter = epoch_counter

    def __call__(
        self, item_id: str, path: str, speaker: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one pair.

        Arguments
        ---------
        item_id : str
            Id of the utterance.
        path : str
            Its file.
        speaker : str
            Who speaks.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            Noisy and clean waveform, float32.
        """
        rng = keyed_rng(self.seed, current_epoch(self.epoch_counter), item_id)
        total = self.num_samples[path]
        length = total if self.segment_length is None else self.segment_length
        start = int(rng.integers(max(0, total - length) + 1))
        clean = read_piece(path, self.sample_rate, start, length)
        snr_db = draw_snr(self.snr_db, rng)
        level = float(rng.integers(LEVELS_DBFS[0], LEVELS_DBFS[1] + 1))
        types = self.ingredients.noise_types
        noise_type = types[rng.integers(len(types))]
        for _ in range(_NOISE_DRAWS):
            files = self.ingredients.noise_files(noise_type, speaker, rng)
            noise, _ = make_noise(noise_type, files, length, self.sample_rate, rng)
            if noise.any():
                break
        noisy, clean = mix_at_segmental_snr(
            clean, noise, snr_db, self.sample_rate, level
        )
        return torch.from_numpy(noisy), torch.from_numpy(clean)


def demandex_dataset(
    speech_folder: str | Path,
    noise_folder: str | Path,
    babble_folder: str | Path | None = None,
    segment_length: int | None = None,
    sample_rate: int = 16_000,
    snr_db: Sequence[float] = SNRS_DB,
    seed: int = 0,
    epoch_counter: Counter | None = None,
    items_per_file: int = 1,
    split: str = "train",
    valid_speakers: Sequence[str] = VALID_SPEAKERS,
    test_speakers: Sequence[str] = TEST_SPEAKERS,
    noise_types: Sequence[str] | None = None,
) -> DynamicItemDataset:
    """Data set of speech files, each mixed with recorded noise, babble or SSN.

    As ``mixed_dataset``, with the noises, the segmental SNRs and the levels of
    VB-DemandEx. All that is random depends on (seed, epoch, id) only. Kinds of noise
    are equally likely.
    Data loader workers must not outlive an epoch (``persistent_workers: False``).

    Shape: items with noisy_sig (L,) and clean_sig (L,), float32.

    Arguments
    ---------
    speech_folder : str | Path
        Clean speech; see ``plan_mixtures``.
    noise_folder : str | Path
        DEMAND or any folder of noise.
    babble_folder : str | Path | None
        Speech for babble and SSN; ``None`` takes the clean speech of the split.
    segment_length : int | None
        Samples of a segment; shorter speech and noise are repeated. ``None`` gives
        whole utterances.
    sample_rate : int
        Hz of the result; files of another rate are resampled.
    snr_db : Sequence[float]
        Segmental SNR, dB. Two values are the ends of a range; one value, or three and
        more, are a list to choose from.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` gives the same mixtures for
        ever (validation).
    items_per_file : int
        Items that each speech file gives in an epoch, at least 1. The ids of all but
        the first end in ``+1``, ``+2`` and so on.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``: decides on speakers, on channels of
        DEMAND, and on subfolders of this name.
    valid_speakers : Sequence[str]
        Speakers held out for validation. An empty list gives all to split ``"valid"``.
    test_speakers : Sequence[str]
        Speakers of the test set, likewise.
    noise_types : Sequence[str] | None
        See ``plan_mixtures``.

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
    >>> import numpy as np, soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("p1_1", "p2_1"):
    ...     samples = np.random.default_rng(0).normal(0, 0.1, 800)
    ...     soundfile.write(folder / f"{name}.wav", samples, 16000)
    >>> dataset = demandex_dataset(folder, folder, segment_length=400)
    >>> dataset[0]["id"], dataset[0]["noisy_sig"].shape
    ('p1_1', torch.Size([400]))
    """
    if segment_length is not None and segment_length < 1:
        raise ValueError(f"segment_length ({segment_length}) must be at least 1 sample")
    check_levels("snr_db", snr_db)
    if items_per_file < 1:
        raise ValueError(f"items_per_file ({items_per_file}) must be at least 1")
    found = find_ingredients(
        speech_folder,
        noise_folder,
        babble_folder,
        split,
        sample_rate,
        valid_speakers,
        test_speakers,
        noise_types,
    )
    items = {
        item_id: {
            "speech": row.path,
            "speaker": row.speaker,
            "length": row.num_samples / sample_rate,
        }
        for item_id, row in found.items(items_per_file)
    }
    mix_pair = DynamicItem(
        takes=["id", "speech", "speaker"],
        func=MixDemandEx(
            found, segment_length, sample_rate, snr_db, seed, epoch_counter
        ),
        provides=["noisy_sig", "clean_sig"],
    )
    return DynamicItemDataset(items, [mix_pair], list(OUTPUT_KEYS))
