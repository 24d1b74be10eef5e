"""Speech degraded while training, for all tasks of one network that has no task id."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem

from sesame.data.audio import audio_info
from sesame.data.both_voices import OTHER_VOICE_KEYS
from sesame.data.crops import Counter, current_epoch, keyed_rng
from sesame.data.degradations.colour import random_colour
from sesame.data.degradations.level import set_level
from sesame.data.degradations.noise import Noise, NoiseFolder
from sesame.data.degradations.rooms import T60_SECONDS, Room, simulate_rooms
from sesame.data.degradations.scene import SceneSettings, Signals, mix_scene
from sesame.data.degradations.tasks import TASKS, TRAINING_TASKS, Task
from sesame.data.enrollment import Voices
from sesame.data.mixing import draw_snr
from sesame.data.task_weights import shares, wanted_tasks
from sesame.data.utterances import find_utterances, utterance_items

DEGRADED_KEYS = (
    "id",
    "degraded_sig",
    "target_sig",
    "far_end_sig",
    "enrollment_sig",
    "task",
    "has_far_end",
    "has_enrollment",
)


class DegradeSpeech:
    """Draws a task, reads what it needs, mixes; all chance from (seed, epoch, id).

    Shape: -> degraded (L,), target (L,), far end (L,), enrollment (Le,).

    Arguments
    ---------
    voices : Sequence[Voices]
        Speech at one speed or several, the same utterances each time.
    sample_rate : int
        Hz of the result. ``voices`` whose rate is lower are played faster, and higher.
    noise : NoiseFolder | None
        Noise, where a task has some.
    rooms : Sequence[Room]
        Rooms, where a task needs some.
    tasks : Mapping[str, tuple[Task, float]]
        Task and weight of each name.
    segment_length : int | None
        Samples of a segment; ``None`` for whole utterances.
    settings : SceneSettings
        What scenes are drawn from.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` gives the same for ever.
    task_stages : Sequence[tuple[int, Mapping[str, float]]]
        Last epoch, and weights of names of ``tasks`` until then; one after the other.
    both_voices : bool
        Whether the first other talker of an extraction is enrolled, too.

    Example
    -------
    >>> import soundfile
    >>> from sesame.data.vb_demandex.sources import Utterance
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.linspace(0, 0.5, 800), 16000)
    >>> voices = Voices([Utterance("a", path, "anna", 800)], 16000)
    >>> tasks = {"declip": (TASKS["declip"], 1.0)}
    >>> settings = SceneSettings()
    >>> degrade = DegradeSpeech([voices], 16000, None, (), tasks, 400, settings, 0)
    >>> degraded, target, *_ = degrade("a", 0)
    >>> bool(degraded.abs().max() < target.abs().max())
    True
    """

    def __init__(
        self,
        voices: Sequence[Voices],
        sample_rate: int,
        noise: NoiseFolder | None,
        rooms: Sequence[Room],
        tasks: Mapping[str, tuple[Task, float]],
        segment_length: int | None,
        settings: SceneSettings,
        seed: int,
        epoch_counter: Counter | None = None,
        task_stages: Sequence[tuple[int, Mapping[str, float]]] = (),
        both_voices: bool = False,
    ):
        self.voices = voices
        self.sample_rate = sample_rate
        self.noise = noise
        self.rooms = rooms
        self.names = list(tasks)
        self.tasks = [task for task, _ in tasks.values()]
        self.weights = shares(weight for _, weight in tasks.values())
        self.stages = [
            (last_epoch, shares(weights.get(name, 0) for name in tasks))
            for last_epoch, weights in task_stages
        ]
        self.segment_length = segment_length
        self.settings = settings
        self.seed = seed
        self.epoch_counter = epoch_counter
        self.both_voices = both_voices

    def __call__(self, item_id: str, index: int) -> tuple[Any, ...]:
        """Make one item.

        Arguments
        ---------
        item_id : str
            Id of the item.
        index : int
            Place of its utterance.

        Returns
        -------
        tuple[Any, ...]
            What stands in ``DEGRADED_KEYS`` after ``id``, then what stands in
            ``OTHER_VOICE_KEYS``, then what was done.
        """
        epoch = current_epoch(self.epoch_counter)
        rng = keyed_rng(self.seed, epoch, item_id)
        weights = (stage for last, stage in self.stages if 0 < epoch <= last)
        chosen = int(rng.choice(len(self.tasks), p=next(weights, self.weights)))
        task, rate = self.tasks[chosen], self.sample_rate
        several = len(self.voices) > 1
        voices = self.voices[rng.integers(len(self.voices)) if several else 0]
        speech, enrollment = self._speech(voices, task, index, self.segment_length, rng)
        length = len(speech)
        num_others = 0
        if task.extraction:
            num_others = 1 + int(rng.random() < self.settings.third_talker)
        drawn = voices.draw_others(index, num_others + task.echo, rng)
        others, other_enrollment = [], np.zeros(0, dtype=np.float32)
        if self.both_voices and task.extraction:
            other, other_enrollment = self._speech(
                voices, task, drawn.pop(0), length, rng
            )
            others.append(other)
        others += [
            other
            for i in drawn
            for other in self._coloured([voices.segment(i, length, rng)], rng)
        ]
        noise = None
        if task.noise:
            (noise,) = self._coloured([self.noise(length, rng)], rng)
        signals = Signals(
            speech,
            noise,
            others[:num_others],
            others[-1] if task.echo else None,
        )
        room = None
        if task.needs_room:
            room = self.rooms[rng.integers(len(self.rooms))]
        scene = mix_scene(task, signals, room, self.settings, rate, rng)
        return (
            torch.from_numpy(scene.degraded),
            torch.from_numpy(scene.target),
            torch.from_numpy(scene.far_end),
            torch.from_numpy(enrollment),
            self.names[chosen],
            task.echo,
            task.extraction,
            torch.from_numpy(scene.other_target),
            torch.from_numpy(other_enrollment),
            {**scene.done, "parts": scene.parts},
        )

    def _coloured(
        self, signals: Sequence[np.ndarray], rng: np.random.Generator
    ) -> Sequence[np.ndarray]:
        coloured = self.settings.coloured
        if coloured and rng.random() < coloured:
            return random_colour(signals, rng)
        return signals

    def _speech(
        self,
        voices: Voices,
        task: Task,
        index: int,
        length: int | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        if not task.extraction:
            whole = voices.utterances[index].num_samples
            speech = voices.segment(index, length or whole, rng)
            (speech,) = self._coloured([speech], rng)
            return speech, np.zeros(0, dtype=np.float32)
        rate = self.sample_rate
        shortest, longest = self.settings.enrollment_seconds
        wanted = round(float(rng.uniform(shortest, longest)) * rate)
        speech, enrollment = self._coloured(
            voices.segment_and_enrollment(
                index, length, wanted, round(shortest * rate), rng
            ),
            rng,
        )
        clean = enrollment
        if self.noise is not None and rng.random() < self.settings.noisy_enrollment:
            add_noise = Noise(self.noise, self.settings.snr_db)
            enrollment = add_noise(clean, rate, rng).waveform
        level = draw_snr(self.settings.level_dbfs, rng)
        (enrollment,), _ = set_level([enrollment], clean, level, rate)
        return speech, enrollment


def degraded_dataset(
    speech_folder: str | Path | Sequence[str | Path],
    noise_folder: str | Path | None = None,
    tasks: Mapping[str, float] = TRAINING_TASKS,
    segment_length: int | None = None,
    sample_rate: int = 16_000,
    settings: SceneSettings | None = None,
    num_rooms: int = 100,
    t60_seconds: tuple[float, float] = T60_SECONDS,
    seed: int = 0,
    epoch_counter: Counter | None = None,
    task_stages: Sequence[tuple[int, Mapping[str, float]]] = (),
    items_per_file: int = 1,
    num_items: int | None = None,
    min_native_rate: int | None = None,
    speakers: Collection[str] | None = None,
    exclude_speakers: Collection[str] = (),
    speeds: Sequence[float] = (1.0,),
    both_voices: bool = False,
    definitions: Mapping[str, Task] = TASKS,
) -> DynamicItemDataset:
    """Data set of speech that is degraded when it is read, for one or several tasks.

    Each utterance is once the talker. Task, segment, others, room, noise and all else
    that is random depend on (seed, epoch, id) only: not on the number of workers, nor
    on the order of items. The rooms are simulated now, once, and depend on the seed.
    Data loader workers must not outlive an epoch (``persistent_workers: False``).

    Shape: items with degraded_sig (L,), target_sig (L,), far_end_sig (L,),
    enrollment_sig (Le,), float32.

    Arguments
    ---------
    speech_folder : str | Path | Sequence[str | Path]
        One folder of clean speech or several, at any depth: wav, flac, ogg, mp3 of any
        rate. For the rule that finds speakers see ``speaker_of_file``.
    noise_folder : str | Path | None
        Noise, where a task has some. Without it enrollments have none either.
    tasks : Mapping[str, float]
        Weights of tasks: ``enhancement``, ``extraction``, ``echo_cancellation``,
        ``extraction_and_echo_cancellation`` do everything at once (training);
        ``denoise``, ``dereverberate``, ``declip``, ``conceal``, ``extract`` and
        ``cancel_echo`` one thing each (evaluation).
    segment_length : int | None
        Samples of a segment; shorter speech and noise are repeated. ``None`` gives
        whole utterances.
    sample_rate : int
        Hz of the result; files of another rate are resampled.
    settings : SceneSettings | None
        What scenes are drawn from; ``None`` for the defaults.
    num_rooms : int
        Rooms to simulate where a task needs some, at about 0.05 s each at 16 kHz.
    t60_seconds : tuple[float, float]
        Ends of the range of their reverberation times.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch, as SpeechBrain's ``EpochCounter``;
        ``None`` gives the same items for ever (validation, test).
    task_stages : Sequence[tuple[int, Mapping[str, float]]]
        Last epoch of a stage, and weights of some of the tasks until then: what is
        easier, to start with. After the last stage ``tasks`` holds.
    items_per_file : int
        Items in which each utterance is the talker, at least 1. The ids of all but the
        first end in ``+1``, ``+2`` and so on.
    num_items : int | None
        Keep only this many items, spread evenly over the sorted ones.
    min_native_rate : int | None
        Hz; speech of a lower rate is left out. ``None`` takes all.
    speakers : Collection[str] | None
        Take these speakers only; ``None`` takes all.
    exclude_speakers : Collection[str]
        Leave these speakers out.
    speeds : Sequence[float]
        Speeds, one of which all speech of an item is played at: higher voices where it
        is above 1. So few speakers sound like more.
    both_voices : bool
        Whether items have ``OTHER_VOICE_KEYS``, too, of which ``degraded_batch`` makes
        a second item of each extraction; see ``with_other_voice``.
    definitions : Mapping[str, Task]
        What the tasks are made of, for others than the usual.

    Returns
    -------
    DynamicItemDataset
        Items with the keys in ``DEGRADED_KEYS``. ``far_end_sig`` is zeros and
        ``enrollment_sig`` empty where the task has none; ``task`` is its name. ``done``
        (see ``Scene``: what was drawn, and ``parts``) is there to be asked for.
        Batches need ``degraded_batch``. ``length`` in seconds is there to sort by.

    Raises
    ------
    ValueError
        If a folder is missing or has no audio, a file cannot be read, ids collide,
        there are too few speakers, or an argument is out of range.
    ImportError
        If a task needs a room and pyroomacoustics is missing.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.linspace(-0.1, 0.1, 800), 16000)
    >>> dataset = degraded_dataset(folder, folder, {"denoise": 1.0}, 400)
    >>> dataset[0]["id"], dataset[0]["task"], dataset[0]["degraded_sig"].shape
    ('a', 'denoise', torch.Size([400]))
    """
    for name, value in (
        ("segment_length", segment_length),
        ("items_per_file", items_per_file),
        ("num_items", num_items),
    ):
        if value is not None and value < 1:
            raise ValueError(f"{name} ({value}) must be at least 1")
    weights = wanted_tasks("tasks", tasks, definitions)
    task_stages = [
        (epoch, wanted_tasks("task_stages", stage, weights))
        for epoch, stage in task_stages
    ]
    chosen = {name: (definitions[name], weight) for name, weight in weights.items()}
    settings = SceneSettings() if settings is None else settings
    if len(speeds) == 0 or not all(0.5 <= speed <= 2 for speed in speeds):
        raise ValueError(f"speeds ({list(speeds)}) must be in [0.5, 2], at least one")
    voices = []
    for rate in [round(sample_rate / speed) for speed in speeds]:
        found = find_utterances(speech_folder, rate, speakers, exclude_speakers)
        rows = [
            row
            for row in found
            if audio_info(row.path).sample_rate >= (min_native_rate or 0)
        ]
        if not rows:
            raise ValueError(
                f"speech_folder ({speech_folder}) must have speech of the wanted "
                f"speakers, of min_native_rate ({min_native_rate} Hz) or more"
            )
        voices.append(Voices(rows, rate))
    _check_speakers(voices[0], chosen, settings)
    noise = None if noise_folder is None else NoiseFolder(noise_folder, sample_rate)
    noisy = [name for name, (task, _) in chosen.items() if task.noise]
    if noise is None and noisy:
        raise ValueError(f"noise_folder (None) must be given for {', '.join(noisy)}")
    items = utterance_items(
        voices[0].utterances, sample_rate, segment_length, items_per_file, num_items
    )
    rooms: list[Room] = []
    if any(task.needs_room for task, _ in chosen.values()):
        rooms = simulate_rooms(num_rooms, sample_rate, t60_seconds, seed)
    degrade = DynamicItem(
        takes=["id", "index"],
        func=DegradeSpeech(
            voices,
            sample_rate,
            noise,
            rooms,
            chosen,
            segment_length,
            settings,
            seed,
            epoch_counter,
            task_stages,
            both_voices,
        ),
        provides=[*DEGRADED_KEYS[1:], *OTHER_VOICE_KEYS, "done"],
    )
    keys = [*DEGRADED_KEYS, *(OTHER_VOICE_KEYS if both_voices else ())]
    return DynamicItemDataset(items, [degrade], keys)


def _check_speakers(
    voices: Voices, tasks: Mapping[str, tuple[Task, float]], settings: SceneSettings
) -> None:
    most_others = 1 + (settings.third_talker > 0)
    for name, (task, _) in tasks.items():
        needed = 1 + task.extraction * most_others + task.echo
        if len(voices.by_speaker) < needed:
            raise ValueError(
                f"number of speakers ({len(voices.by_speaker)}) must be at least "
                f"{needed} for {name}. A speaker is the name of a file up to its first "
                "_ or -, or else the folder it lies in"
            )
