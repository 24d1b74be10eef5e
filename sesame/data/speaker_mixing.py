"""Mixtures of talkers made while training, from any folder of speech.

As LibriMix mixes, without the corpus on the disk: talkers are different speakers, each
at a level of its own. Levels are those of LibriMix (-33 to -25 LUFS), measured as RMS
of the active frames instead: on read speech the two differ by 0.2 dB on average with a
standard deviation of 0.8 dB, and RMS is also defined on segments below 0.4 s.

Source: Cosentino et al., "LibriMix: An Open-Source Dataset for Generalizable Speech
Separation", arXiv:2005.11262; JorisCos/LibriMix.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem

from sesame.data.audio import read_audio
from sesame.data.crops import Counter, current_epoch, keyed_rng, tile
from sesame.data.mixing import check_levels, draw_snr, mix_at_levels
from sesame.data.separation import SEPARATION_KEYS
from sesame.data.utterances import find_utterances, utterance_items
from sesame.data.vb_demandex.sources import Utterance

LEVELS_DBFS = (-33.0, -25.0)
_DRAWS = 8


class MixSpeakers:
    """Draws talkers, reads and adds them; all chance comes from (seed, epoch, id).

    Shape: -> mixture (L,), sources (J, L).

    Arguments
    ---------
    speech : Sequence[Utterance]
        Utterances to draw from.
    num_speakers : int
        J, talkers of a mixture.
    segment_length : int | None
        Samples of a mixture; ``None`` for the length of its shortest utterance.
    sample_rate : int
        Hz of the result.
    level_dbfs : Sequence[float]
        Levels of the talkers; see ``draw_snr`` for ranges and lists.
    sir_db : Sequence[float] | None
        How far the others are below the first; ``None`` draws their levels too.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` mixes the same for ever.

    Raises
    ------
    ValueError
        If there are fewer speakers than talkers.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.full(800, 0.1), 16000)
    >>> speech = [Utterance("a", path, "anna", 800), Utterance("b", path, "ben", 800)]
    >>> mix = MixSpeakers(speech, 2, 400, 16000)
    >>> mixture, sources = mix("a", 0)
    >>> mixture.shape, sources.shape
    (torch.Size([400]), torch.Size([2, 400]))
    """

    def __init__(
        self,
        speech: Sequence[Utterance],
        num_speakers: int,
        segment_length: int | None,
        sample_rate: int,
        level_dbfs: Sequence[float] = LEVELS_DBFS,
        sir_db: Sequence[float] | None = None,
        seed: int = 0,
        epoch_counter: Counter | None = None,
    ):
        self.speech = list(speech)
        self.by_speaker: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in self.speech:
            self.by_speaker[utterance.speaker].append(utterance)
        if len(self.by_speaker) < num_speakers:
            raise ValueError(
                f"num_speakers ({num_speakers}) must be at most the number of speakers "
                f"there are ({len(self.by_speaker)}: {', '.join(self.by_speaker)}). A "
                "speaker is the name of a file up to its first _ or -, or else the "
                "folder it lies in"
            )
        self.num_speakers = num_speakers
        self.segment_length = segment_length
        self.sample_rate = sample_rate
        self.level_dbfs = tuple(level_dbfs)
        self.sir_db = None if sir_db is None else tuple(sir_db)
        self.seed = seed
        self.epoch_counter = epoch_counter

    def draw_talkers(
        self, first: Utterance, rng: np.random.Generator
    ) -> list[Utterance]:
        """Draw who talks beside the first: speakers first, then an utterance of each.

        Speakers are equally likely, however much they say.

        Arguments
        ---------
        first : Utterance
            Of the first talker.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        list[Utterance]
            ``num_speakers`` utterances of different speakers.
        """
        others = [name for name in self.by_speaker if name != first.speaker]
        chosen = rng.choice(len(others), self.num_speakers - 1, replace=False)
        talkers = [first]
        for index in chosen:
            said = self.by_speaker[others[index]]
            talkers.append(said[rng.integers(len(said))])
        return talkers

    def __call__(self, item_id: str, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one mixture.

        Arguments
        ---------
        item_id : str
            Id of the mixture.
        index : int
            Place of its first talker's utterance in ``speech``.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            Mixture and sources, float32.
        """
        rng = keyed_rng(self.seed, current_epoch(self.epoch_counter), item_id)
        for _ in range(_DRAWS):
            talkers = self.draw_talkers(self.speech[index], rng)
            length = self.segment_length or min(row.num_samples for row in talkers)
            sources = np.stack([self._read(row, length, rng) for row in talkers])
            # A silent source has no SI-SNR.
            if sources.any(axis=1).all():
                break
        mixture, sources = mix_at_levels(sources, self._levels(rng), self.sample_rate)
        return torch.from_numpy(mixture), torch.from_numpy(sources)

    def _read(
        self, utterance: Utterance, length: int, rng: np.random.Generator
    ) -> np.ndarray:
        total = utterance.num_samples
        start = int(rng.integers(max(0, total - length) + 1))
        part = read_audio(utterance.path, self.sample_rate, start, min(total, length))
        return tile(part, length)

    def _levels(self, rng: np.random.Generator) -> list[float]:
        levels = [draw_snr(self.level_dbfs, rng)]
        while len(levels) < self.num_speakers:
            if self.sir_db is None:
                levels.append(draw_snr(self.level_dbfs, rng))
            else:
                levels.append(levels[0] - draw_snr(self.sir_db, rng))
        return levels


def speaker_mixture_dataset(
    speech_folder: str | Path | Sequence[str | Path],
    num_speakers: int = 2,
    segment_length: int | None = None,
    sample_rate: int = 16_000,
    level_dbfs: Sequence[float] = LEVELS_DBFS,
    sir_db: Sequence[float] | None = None,
    seed: int = 0,
    epoch_counter: Counter | None = None,
    items_per_file: int = 1,
    num_items: int | None = None,
    speakers: Sequence[str] | None = None,
    exclude_speakers: Sequence[str] = (),
) -> DynamicItemDataset:
    """Data set of mixtures of talkers, made when they are read.

    Each utterance is once the first talker; the others are drawn: speakers that differ
    from it and from each other, an utterance of each, the part of each that is heard,
    and the levels. All that depends on (seed, epoch, id) only: not on the number of
    workers, nor on the order of items. A part that is digitally silent is drawn again.
    Data loader workers must not outlive an epoch (``persistent_workers: False``).

    Shape: items with mixture_sig (L,) and source_sigs (J, L), float32; the mixture is
    the sum of the sources.

    Arguments
    ---------
    speech_folder : str | Path | Sequence[str | Path]
        One folder of clean speech or several, at any depth: wav, flac, ogg, mp3 of any
        rate. For the rule that finds speakers see ``speaker_of_file``; in a folder of
        VoiceBank+DEMAND only its clean files count.
    num_speakers : int
        J, talkers of a mixture, at least 2.
    segment_length : int | None
        Samples of a mixture: random parts of the utterances, shorter utterances being
        repeated. ``None`` is LibriMix's mode "min": mixtures are as long as the
        shortest of their utterances, so that all talk all the time.
    sample_rate : int
        Hz of the result; files of another rate are resampled.
    level_dbfs : Sequence[float]
        Level of each talker (RMS of active frames), dB re full scale. Two values are
        the ends of a range; one value, or three and more, are a list to choose from.
    sir_db : Sequence[float] | None
        How far each other talker is below the first, dB, the same way. ``None`` draws
        the level of each talker by itself.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch, as SpeechBrain's ``EpochCounter``;
        ``None`` gives the same mixtures for ever (validation, test).
    items_per_file : int
        Mixtures in which each utterance is the first talker, at least 1. The ids of all
        but the first end in ``+1``, ``+2`` and so on.
    num_items : int | None
        Keep only this many mixtures, spread evenly over the sorted ones.
    speakers : Sequence[str] | None
        Only these speakers.
    exclude_speakers : Sequence[str]
        Not these speakers.

    Returns
    -------
    DynamicItemDataset
        Items with the keys ``id``, ``mixture_sig``, ``source_sigs``; ``length`` in
        seconds, for whole utterances that of the first talker, is there to sort and
        filter by.

    Raises
    ------
    ValueError
        If a folder is missing or has no audio, a file cannot be read, ids collide,
        there are too few speakers, or an argument is out of range.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("anna_1", "ben_1"):
    ...     soundfile.write(folder / f"{name}.wav", np.full(800, 0.1), 16000)
    >>> dataset = speaker_mixture_dataset(folder, segment_length=400)
    >>> dataset[0]["id"], dataset[0]["source_sigs"].shape
    ('anna_1', torch.Size([2, 400]))
    """
    for name, value, least in (
        ("num_speakers", num_speakers, 2),
        ("segment_length", segment_length, 1),
        ("items_per_file", items_per_file, 1),
        ("num_items", num_items, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"{name} ({value}) must be at least {least}")
    for name, values in (("level_dbfs", level_dbfs), ("sir_db", sir_db)):
        if values is not None:
            check_levels(name, values)
    speech = find_utterances(speech_folder, sample_rate, speakers, exclude_speakers)
    mix = MixSpeakers(
        speech,
        num_speakers,
        segment_length,
        sample_rate,
        level_dbfs,
        sir_db,
        seed,
        epoch_counter,
    )
    items = utterance_items(
        speech, sample_rate, segment_length, items_per_file, num_items
    )
    mixture = DynamicItem(
        takes=["id", "index"], func=mix, provides=["mixture_sig", "source_sigs"]
    )
    return DynamicItemDataset(items, [mixture], list(SEPARATION_KEYS))
