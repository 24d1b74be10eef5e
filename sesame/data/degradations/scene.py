"""A scene: a talker, a room, others who talk, an echo, noise, and a bad connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sesame.data.degradations.chain import DrawnChain
from sesame.data.degradations.degraded import check_range, check_waveform
from sesame.data.degradations.echo import EchoPath
from sesame.data.degradations.level import set_level
from sesame.data.degradations.reverberation import reverberate
from sesame.data.degradations.rooms import Room
from sesame.data.degradations.tasks import Task
from sesame.data.mixing import check_levels, draw_snr, ratio_gain

SCENARIOS = ("double_talk", "far_end", "near_end")


@dataclass(frozen=True)
class SceneSettings:
    """Ranges and probabilities from which scenes are drawn.

    Levels are those of active speech (``active_rms``). All ratios and levels are told
    of the talker, also where the talker is silent: there they are what they would be.
    Two values are the ends of a range; one value, or three and more, are a list.

    Arguments
    ---------
    snr_db : Sequence[float]
        Talker to noise.
    sir_db : Sequence[float]
        Talker to each other talker.
    ser_db : Sequence[float]
        Talker to echo.
    level_dbfs : Sequence[float]
        Level of the talker, and of enrollment and far-end signal.
    coloured : float
        Probability that a source is coloured, see ``random_colour``: talker and
        enrollment alike, each other talker, noise and far-end signal by itself.
    third_talker : float
        Probability of two others instead of one.
    absent : float
        Probability that the wanted talker is silent in extraction.
    enrollment_seconds : tuple[float, float]
        Range of the length of an enrollment.
    noisy_enrollment : float
        Probability of noise in an enrollment.
    scenarios : Sequence[float]
        Weights of double talk, far end only (the talker is silent) and near end only
        (the far-end signal is).
    nonlinear : float
        Probability of a nonlinear loudspeaker.
    delay_seconds : tuple[float, float]
        Range of the delay of the echo.
    path_change : float
        Probability that the echo path changes.
    gain_step : float
        Probability that the loudspeaker is turned up or down.

    Raises
    ------
    ValueError
        If a value is out of range.

    Source: the ranges are those of our specification of SEFlow; SNR, room and extra
    distortions as in the URGENT challenge.

    Example
    -------
    >>> SceneSettings(snr_db=[0.0, 10.0]).absent
    0.05
    """

    snr_db: Sequence[float] = (-5.0, 20.0)
    sir_db: Sequence[float] = (-5.0, 5.0)
    ser_db: Sequence[float] = (-10.0, 10.0)
    level_dbfs: Sequence[float] = (-35.0, -15.0)
    coloured: float = 0.0
    third_talker: float = 0.15
    absent: float = 0.05
    enrollment_seconds: tuple[float, float] = (3.0, 10.0)
    noisy_enrollment: float = 0.3
    scenarios: Sequence[float] = (0.6, 0.2, 0.2)
    nonlinear: float = 0.5
    delay_seconds: tuple[float, float] = (0.0, 0.5)
    path_change: float = 0.1
    gain_step: float = 0.1

    def __post_init__(self):
        for name in ("snr_db", "sir_db", "ser_db", "level_dbfs"):
            check_levels(name, getattr(self, name))
        for name in (
            "coloured",
            "third_talker",
            "absent",
            "noisy_enrollment",
            "nonlinear",
            "path_change",
            "gain_step",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be in [0, 1]")
        if (
            len(self.scenarios) != len(SCENARIOS)
            or min(self.scenarios) < 0
            or not 0 < sum(self.scenarios) < np.inf
        ):
            raise ValueError(
                f"scenarios ({list(self.scenarios)}) must be three weights, 0 or "
                f"more, of {', '.join(SCENARIOS)}"
            )
        check_range("enrollment_seconds", self.enrollment_seconds, 0.1, 60)
        check_range("delay_seconds", self.delay_seconds, 0, 10)


class Signals(NamedTuple):
    """What a scene is mixed from.

    Shape: speech (L,), noise (L,) | None, others (J, L), far_end (L,) | None.

    Arguments
    ---------
    speech : np.ndarray
        Of the talker.
    noise : np.ndarray | None
        Where the task has noise.
    others : Sequence[np.ndarray]
        Of other talkers, at most two.
    far_end : np.ndarray | None
        Where the task has an echo.

    Example
    -------
    >>> Signals(np.zeros(4)).others
    ()
    """

    speech: np.ndarray
    noise: np.ndarray | None = None
    others: Sequence[np.ndarray] = ()
    far_end: np.ndarray | None = None


class Scene(NamedTuple):
    """What a network gets and what it should give.

    Shape: (L,) each.

    Arguments
    ---------
    degraded : np.ndarray
        Input.
    target : np.ndarray
        Speech of the talker up to 50 ms after the direct path; zeros if silent.
    other_target : np.ndarray
        The same of the first other talker; zeros without.
    far_end : np.ndarray
        What the loudspeaker plays; zeros without.
    parts : Mapping[str, np.ndarray]
        ``talker``, ``others``, ``echo``, ``noise``: their sum is the mixture before the
        distortions.
    done : Mapping[str, Any]
        What was drawn.

    Example
    -------
    >>> Scene(*[np.zeros(4)] * 4, {}, {"snr_db": 5.0}).done["snr_db"]
    5.0
    """

    degraded: np.ndarray
    target: np.ndarray
    other_target: np.ndarray
    far_end: np.ndarray
    parts: Mapping[str, np.ndarray]
    done: Mapping[str, Any]


def mix_scene(
    task: Task,
    signals: Signals,
    room: Room | None,
    settings: SceneSettings,
    sample_rate: int,
    rng: np.random.Generator,
) -> Scene:
    """Mix a scene.

    Talkers and loudspeaker are in the same room. Input and target are scaled alike to
    the level of the talker, less where a sample would exceed 1; then the mixture is
    distorted.

    Arguments
    ---------
    task : Task
        What to do.
    signals : Signals
        What to mix; noise, others and far end must be there if the task has them.
    room : Room | None
        Room, where ``task.needs_room``.
    settings : SceneSettings
        What to draw from.
    sample_rate : int
        Hz.
    rng : np.random.Generator
        Source of chance.

    Returns
    -------
    Scene
        Signals, float32.

    Raises
    ------
    ValueError
        If a signal or the room is missing, or the lengths differ.

    Example
    -------
    >>> from sesame.data.degradations.tasks import TASKS
    >>> rng = np.random.default_rng(0)
    >>> speech, noise = rng.normal(0, 0.1, (2, 1600)).astype(np.float32)
    >>> settings = SceneSettings(level_dbfs=[-20.0])
    >>> signals = Signals(speech, noise)
    >>> scene = mix_scene(TASKS["denoise"], signals, None, settings, 16000, rng)
    >>> round(float(np.sqrt(np.mean(scene.target**2))), 3)
    0.1
    """
    _check(task, signals, room)
    done: dict[str, Any] = {"level_dbfs": draw_snr(settings.level_dbfs, rng)}
    in_room = bool(rng.random() < task.room)
    talks = not (task.extraction and rng.random() < settings.absent)
    scenario = "near_end"
    if task.echo:
        weights = np.asarray(settings.scenarios, dtype=np.float64)
        scenario = SCENARIOS[rng.choice(len(SCENARIOS), p=weights / weights.sum())]
        talks = talks and scenario != "far_end"
        done["scenario"] = scenario
    done |= {"t60": room.t60 if in_room else 0.0, "talks": talks}

    def place(waveform: np.ndarray, where: int) -> tuple[np.ndarray, np.ndarray]:
        if not in_room:
            return waveform, waveform
        return reverberate(waveform, room.talkers[where], sample_rate)

    def gain(other: np.ndarray, ratio_db: float) -> np.floating:
        return other.dtype.type(ratio_gain(talker, other, ratio_db, sample_rate))

    talker, target = place(signals.speech, 0)
    silence = np.zeros_like(talker)
    parts = {"talker": talker if talks else silence}
    far_end = other_target = silence
    if task.extraction:
        done["sir_db"] = [draw_snr(settings.sir_db, rng) for _ in signals.others]
        placed = [place(other, 1 + i) for i, other in enumerate(signals.others)]
        ratios = zip(placed, done["sir_db"], strict=True)
        parts["others"] = sum(
            other * gain(other, ratio) for (other, _), ratio in ratios
        )
        other, early = placed[0]
        other_target = early * gain(other, done["sir_db"][0])
    if task.echo:
        done["ser_db"] = draw_snr(settings.ser_db, rng)
        path = EchoPath(
            room.loudspeakers,
            settings.nonlinear,
            settings.delay_seconds,
            settings.path_change,
            settings.gain_step,
        )
        echo, done["echo"] = path(signals.far_end, sample_rate, rng)
        level = draw_snr(settings.level_dbfs, rng)
        if scenario != "near_end":
            parts["echo"] = echo * gain(echo, done["ser_db"])
            played = signals.far_end
            (far_end,), _ = set_level([played], played, level, sample_rate)
    if task.noise:
        done["snr_db"] = draw_snr(settings.snr_db, rng)
        parts["noise"] = signals.noise * gain(signals.noise, done["snr_db"])
    target = target if talks else silence
    together = [sum(parts.values()), target, *parts.values()]
    (mixture, target, *levelled), level_gain = set_level(
        together, signals.speech, done["level_dbfs"], sample_rate
    )
    distort = DrawnChain(task.distortions, task.distortion_weights)
    degraded, done["distortions"] = distort(mixture, sample_rate, rng)
    parts = dict(zip(parts, levelled, strict=True))
    other_target = other_target * other_target.dtype.type(level_gain)
    return Scene(degraded, target, other_target, far_end, parts, done)


def _check(task: Task, signals: Signals, room: Room | None) -> None:
    wanted = {"speech": signals.speech}
    if task.noise:
        wanted["noise"] = signals.noise
    if task.echo:
        wanted["far_end"] = signals.far_end
    if task.extraction and not 1 <= len(signals.others) <= 2:
        raise ValueError(f"others ({len(signals.others)}) must be one or two")
    wanted |= {f"others[{i}]": other for i, other in enumerate(signals.others)}
    for name, signal in wanted.items():
        if signal is None:
            raise ValueError(f"the task needs {name}")
        check_waveform(signal, name)
        if len(signal) != len(signals.speech):
            raise ValueError(
                f"{name} ({len(signal)} samples) must be as long as speech "
                f"({len(signals.speech)})"
            )
    if room is None and task.needs_room:
        raise ValueError("the task needs a room")
