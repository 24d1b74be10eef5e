"""Speech of one talker twice: a part to hear, another part to know the voice by."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sesame.data.audio import read_audio
from sesame.data.crops import tile
from sesame.data.vb_demandex.sources import Utterance

_DRAWS = 8


class Voices:
    """Cuts segments and enrollments from utterances.

    Shape: -> (L,).

    Arguments
    ---------
    utterances : Sequence[Utterance]
        Utterances of any number of speakers.
    sample_rate : int
        Hz in which their lengths are counted, and of the result.

    Example
    -------
    >>> import soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.arange(8) / 8, 16000)
    >>> voices = Voices([Utterance("a", path, "anna", 8)], 16000)
    >>> rng = np.random.default_rng(0)
    >>> segment, enrollment = voices.segment_and_enrollment(0, 4, 3, 3, rng)
    >>> segment.tolist(), enrollment.tolist()
    ([0.125, 0.25, 0.375, 0.5], [0.625, 0.75, 0.875])
    """

    def __init__(self, utterances: Sequence[Utterance], sample_rate: int):
        self.utterances = list(utterances)
        self.sample_rate = sample_rate
        self.by_speaker: dict[str, list[int]] = defaultdict(list)
        for index, utterance in enumerate(self.utterances):
            self.by_speaker[utterance.speaker].append(index)

    def draw_others(
        self, index: int, number: int, rng: np.random.Generator
    ) -> list[int]:
        """Draw utterances of speakers that differ from one and from each other.

        Speakers are equally likely, however much they say.

        Arguments
        ---------
        index : int
            Place of the utterance whose speaker is not wanted.
        number : int
            Utterances to draw.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        list[int]
            Their places.

        Raises
        ------
        ValueError
            If there are too few speakers.

        Example
        -------
        >>> rows = [Utterance(name, "", name, 8) for name in ("anna", "ben")]
        >>> Voices(rows, 16000).draw_others(0, 1, np.random.default_rng(0))
        [1]
        """
        own = self.utterances[index].speaker
        others = [name for name in self.by_speaker if name != own]
        if number > len(others):
            raise ValueError(
                f"number of others ({number}) must be at most {len(others)}"
            )
        said = [
            self.by_speaker[others[i]]
            for i in rng.choice(len(others), number, replace=False)
        ]
        return [places[rng.integers(len(places))] for places in said]

    def segment(
        self,
        index: int,
        length: int,
        rng: np.random.Generator,
        within: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Cut a random segment; what is digitally silent is drawn again.

        Arguments
        ---------
        index : int
            Place of the utterance.
        length : int
            Samples; less speech than that is repeated.
        rng : np.random.Generator
            Source of chance.
        within : tuple[int, int] | None
            First sample of the utterance that may be taken, and the one after the last.

        Returns
        -------
        np.ndarray
            float32.
        """
        utterance = self.utterances[index]
        first, last = within or (0, utterance.num_samples)
        for _ in range(_DRAWS):
            start = first + int(rng.integers(max(0, last - first - length) + 1))
            taken = min(length, last - first)
            part = read_audio(utterance.path, self.sample_rate, start, taken)
            if part.any():
                break
        return tile(part, length)

    def segment_and_enrollment(
        self,
        index: int,
        length: int | None,
        enrollment_length: int,
        min_enrollment_length: int,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a segment of an utterance, and an enrollment of the same speaker.

        The enrollment is a random part of another utterance. A speaker who has only one
        gives another part of this: the enrollment is its beginning or its end, and the
        segment is cut from the rest. Then the enrollment is shorter where the utterance
        is, down to ``min_enrollment_length`` or half of the utterance.

        Arguments
        ---------
        index : int
            Place of the utterance.
        length : int | None
            Samples of the segment; ``None`` for all there are.
        enrollment_length : int
            Samples wanted of the enrollment; it is shorter where an utterance is.
        min_enrollment_length : int
            Samples that the segment must leave.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        tuple[np.ndarray, np.ndarray]
            Segment and enrollment, float32; the enrollment is not repeated.

        Raises
        ------
        ValueError
            If a speaker has nothing but one utterance of one sample.
        """
        utterance = self.utterances[index]
        total = utterance.num_samples
        others = [i for i in self.by_speaker[utterance.speaker] if i != index]
        if others:
            other = others[rng.integers(len(others))]
            taken = min(enrollment_length, self.utterances[other].num_samples)
            enrollment = self.segment(other, taken, rng)
            return self.segment(index, length or total, rng), enrollment
        if total < 2:
            raise ValueError(f"{utterance.path} is too short to cut an enrollment off")
        spare = max(total - (length or total), min(min_enrollment_length, total // 2))
        taken = min(enrollment_length, spare)
        rest = total - taken
        if rng.random() < 0.5:
            within, start = (taken, total), 0
        else:
            within, start = (0, rest), rest
        enrollment = read_audio(utterance.path, self.sample_rate, start, taken)
        return self.segment(index, length or rest, rng, within), enrollment
