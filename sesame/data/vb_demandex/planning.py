"""Which speech is mixed with which noise at which SNR."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from sesame.data.babble import choose_talkers
from sesame.data.crops import keyed_rng
from sesame.data.vb_demandex.mixture import BABBLE, SPEECH_SHAPED, Mixture
from sesame.data.vb_demandex.sources import (
    SPLITS,
    TEST_SPEAKERS,
    VALID_SPEAKERS,
    NoiseTrack,
    Utterance,
    clean_speech,
    find_noise,
    find_speech,
    is_demand,
    own_folder,
)

SNRS_DB = (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
LEVELS_DBFS = (-35, -15)  # ends of the range, whole dB, as in the DNS script
SEED = 0


class Ingredients:
    """Speech and noise of one split, by kind; draws from them.

    Arguments
    ---------
    clean : Sequence[Utterance]
        Speech to be heard.
    tracks : Sequence[NoiseTrack]
        Recorded noise.
    speech : Sequence[Utterance]
        Speech of which babble and SSN are made.
    noise_types : Sequence[str] | None
        Some of the categories of ``tracks``, ``"babble"`` and ``"ssn"``; ``None`` for
        all of them.

    Raises
    ------
    ValueError
        If a type is not there.

    Example
    -------
    >>> speech = [Utterance("p1_1", "p1_1.wav", "p1", 100)]
    >>> Ingredients(speech, [NoiseTrack("office", ("o.wav",))], speech).noise_types
    ('office', 'babble', 'ssn')
    """

    def __init__(
        self,
        clean: Sequence[Utterance],
        tracks: Sequence[NoiseTrack],
        speech: Sequence[Utterance],
        noise_types: Sequence[str] | None = None,
    ):
        self.clean = list(clean)
        self.tracks: dict[str, list[NoiseTrack]] = defaultdict(list)
        for track in tracks:
            self.tracks[track.category].append(track)
        self.speech: dict[str, list[str]] = defaultdict(list)
        for utterance in speech:
            self.speech[utterance.speaker].append(utterance.path)
        available = (*self.tracks, BABBLE, SPEECH_SHAPED)
        self.noise_types = tuple(available if noise_types is None else noise_types)
        unknown = [name for name in self.noise_types if name not in available]
        if unknown or not self.noise_types:
            raise ValueError(
                f"noise_types ({list(self.noise_types)}) must be among "
                f"{', '.join(available)}"
            )

    def items(self, items_per_file: int) -> list[tuple[str, Utterance]]:
        """Each clean utterance some times.

        Arguments
        ---------
        items_per_file : int
            How many times; all ids but the first end in ``+1``, ``+2`` and so on.

        Returns
        -------
        list[tuple[str, Utterance]]
            Id and utterance.

        Raises
        ------
        ValueError
            If ids collide.
        """
        items: dict[str, Utterance] = {}
        for utterance in self.clean:
            for copy in range(items_per_file):
                item_id = utterance.name + (f"+{copy}" if copy else "")
                if item_id in items:
                    raise ValueError(
                        f"{items[item_id].path} and {utterance.path} must not have the "
                        f"same id {item_id!r}"
                    )
                items[item_id] = utterance
        return list(items.items())

    def noise_files(
        self, noise_type: str, speaker: str, rng: np.random.Generator
    ) -> tuple[str, ...]:
        """Draw what a noise is made of.

        Arguments
        ---------
        noise_type : str
            One of ``noise_types``.
        speaker : str
            Who is to be heard, and so is not in the noise.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        tuple[str, ...]
            See ``Mixture``.
        """
        if noise_type in (BABBLE, SPEECH_SHAPED):
            return tuple(choose_talkers(self.speech, speaker, rng))
        tracks = self.tracks[noise_type]
        return tracks[rng.integers(len(tracks))].files


def find_ingredients(
    clean_folder: str | Path,
    noise_folder: str | Path,
    babble_folder: str | Path | None,
    split: str,
    sample_rate: int = 16_000,
    valid_speakers: Sequence[str] = VALID_SPEAKERS,
    test_speakers: Sequence[str] = TEST_SPEAKERS,
    noise_types: Sequence[str] | None = None,
) -> Ingredients:
    """Find speech and noise of one split.

    Arguments
    ---------
    clean_folder : str | Path
        See ``plan_mixtures``.
    noise_folder : str | Path
        See ``plan_mixtures``.
    babble_folder : str | Path | None
        See ``plan_mixtures``.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``.
    sample_rate : int
        Hz.
    valid_speakers : Sequence[str]
        See ``plan_mixtures``.
    test_speakers : Sequence[str]
        See ``plan_mixtures``.
    noise_types : Sequence[str] | None
        See ``plan_mixtures``.

    Returns
    -------
    Ingredients
        Of this split.

    Raises
    ------
    ValueError
        If something is missing, cannot be read or is out of range.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a_1.wav", np.full(800, 0.1), 16000)
    >>> found = find_ingredients(folder, folder, None, "train")
    >>> len(found.clean), dict(found.speech).keys()
    (1, dict_keys(['a']))
    """
    if split not in SPLITS:
        raise ValueError(f"split ({split!r}) must be one of {', '.join(SPLITS)}")
    clean = clean_speech(
        clean_folder, split, sample_rate, valid_speakers, test_speakers
    )
    tracks = find_noise(noise_folder, split, sample_rate)
    speech = clean
    if babble_folder is not None:
        speech = find_speech(own_folder(babble_folder, split), sample_rate)
    return Ingredients(clean, tracks, speech, noise_types)


def plan_mixtures(
    clean_folder: str | Path,
    noise_folder: str | Path,
    babble_folder: str | Path | None = None,
    splits: Sequence[str] = SPLITS,
    valid_speakers: Sequence[str] = VALID_SPEAKERS,
    test_speakers: Sequence[str] = TEST_SPEAKERS,
    noise_types: Sequence[str] | None = None,
    snr_db: Sequence[float] = SNRS_DB,
    items_per_file: int = 1,
    max_seconds: float | None = None,
    seed: int = SEED,
    sample_rate: int = 16_000,
) -> list[Mixture]:
    """Decide what is mixed with what.

    Every combination of a noise type and an SNR occurs as often as any other in a
    split, or once more. All else is drawn. The same files and arguments give the same
    plan, and that of a split does not hang on the other splits asked for.

    Arguments
    ---------
    clean_folder : str | Path
        Clean speech: VoiceBank+DEMAND, VoiceBank, or any folder; see
        ``speaker_of_file`` for the speakers and ``clean_speech`` for the splits.
    noise_folder : str | Path
        DEMAND, or any folder of noise; see ``find_noise``.
    babble_folder : str | Path | None
        Speech for babble and speech-shaped noise, in subfolders train, valid, test or
        for all splits asked for; ``None`` takes the clean speech of the split. Never
        the speaker of the clean utterance.
    splits : Sequence[str]
        Some of ``"train"``, ``"valid"``, ``"test"``.
    valid_speakers : Sequence[str]
        Speakers held out for validation.
    test_speakers : Sequence[str]
        Speakers of the test set. An empty list gives all speakers to that split.
    noise_types : Sequence[str] | None
        Some of ``"babble"``, ``"ssn"`` and DEMAND's ``"domestic"``, ``"nature"``,
        ``"office"``, ``"public"``, ``"street"``, ``"transportation"``, or
        ``"environment"`` for other noise. ``None`` takes all that there are.
    snr_db : Sequence[float]
        Segmental SNRs, dB.
    items_per_file : int
        Mixtures of each clean file; ids of all but the first end in ``+1`` and so on.
    max_seconds : float | None
        Longer speech is cut to a piece of this length; ``None`` takes all of it.
    seed : int
        Another seed gives another set.
    sample_rate : int
        Hz.

    Returns
    -------
    list[Mixture]
        Split by split, sorted by file.

    Raises
    ------
    ValueError
        If files are missing or cannot be read, an argument is out of range, or splits
        would share noise or babble.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("p232_001", "p257_001"):
    ...     soundfile.write(folder / f"{name}.wav", np.full(800, 0.1), 16000)
    >>> plan = plan_mixtures(folder, folder, splits=["test"], noise_types=["babble"])
    >>> [(row.item_id, Path(row.noise_files[0]).stem) for row in plan]
    [('p232_001', 'p257_001'), ('p257_001', 'p232_001')]
    """
    if not splits or any(split not in SPLITS for split in splits):
        raise ValueError(f"splits ({list(splits)}) must be among {', '.join(SPLITS)}")
    if len(snr_db) == 0:
        raise ValueError("snr_db must hold at least one value")
    if items_per_file < 1:
        raise ValueError(f"items_per_file ({items_per_file}) must be at least 1")
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"max_seconds ({max_seconds}) must be positive")
    splits = [split for split in SPLITS if split in splits]
    if not is_demand(noise_folder):
        _check_apart(noise_folder, splits, "DEMAND, or ")
    if babble_folder is not None:
        _check_apart(babble_folder, splits)
    if not (valid_speakers and test_speakers):
        _check_apart(clean_folder, splits, "one with speakers for each split, or ")
    plan: list[Mixture] = []
    for split in splits:
        found = find_ingredients(
            clean_folder,
            noise_folder,
            babble_folder,
            split,
            sample_rate,
            valid_speakers,
            test_speakers,
            noise_types,
        )
        items = found.items(items_per_file)
        kinds = _deal(
            list(product(found.noise_types, (float(value) for value in snr_db))),
            len(items),
            keyed_rng(seed, 0, f"{split}/kinds"),
        )
        for (item_id, utterance), (noise_type, snr) in zip(items, kinds, strict=True):
            rng = keyed_rng(seed, 0, f"{split}/{item_id}")
            length = utterance.num_samples
            if max_seconds is not None:
                length = min(length, max(1, round(max_seconds * sample_rate)))
            start = int(rng.integers(utterance.num_samples - length + 1))
            files = found.noise_files(noise_type, utterance.speaker, rng)
            level = float(rng.integers(LEVELS_DBFS[0], LEVELS_DBFS[1] + 1))
            plan.append(
                Mixture(
                    item_id=item_id,
                    split=split,
                    clean=utterance.path,
                    clean_start=start,
                    num_samples=length,
                    noise_type=noise_type,
                    noise_files=files,
                    snr_db=snr,
                    level_dbfs=level,
                    seed=seed,
                )
            )
    return plan


def _check_apart(
    folder: str | Path, splits: Sequence[str], alternative: str = ""
) -> None:
    apart = all(own_folder(folder, split) != Path(folder) for split in splits)
    if len(splits) > 1 and not apart:
        raise ValueError(
            f"{folder} must be {alternative}a folder with subfolders "
            f"{', '.join(splits)}, so that splits share nothing; or build one split "
            "at a time"
        )


def _deal(
    kinds: list[tuple[str, float]], count: int, rng: np.random.Generator
) -> list[tuple[str, float]]:
    dealt: list[tuple[str, float]] = []
    while len(dealt) < count:
        dealt += [kinds[i] for i in rng.permutation(len(kinds))]
    return dealt[:count]
