"""Rooms with talkers and a loudspeaker, by the image method.

The early part of a response is that of all mirror images of the source, as
pyroomacoustics finds them. Their number grows with the cube of time, so from the
moment at which the sound has decayed by 20 dB the response is noise that decays on at
the same rate; with all images one room of 1 s reverberation takes minutes.

Responses are given from the direct path on: it is sample 0 and has gain 1, so that a
signal and its reverberant version are in step and comparable in level.

Source: J. B. Allen and D. A. Berkley, "Image method for efficiently simulating
small-room acoustics", JASA 65, 1979 (pyroomacoustics); E. A. Lehmann and A. M.
Johansson, "Diffuse reverberation model for efficient image-source simulation of room
impulse responses", IEEE TASLP 18, 2010.
"""

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import numpy as np

from sesame.data.crops import keyed_rng
from sesame.data.degradations.degraded import check_range

T60_SECONDS = (0.1, 1.0)
SIZE_METRES = ((3.0, 10.0), (3.0, 8.0), (2.5, 4.0))
TALKER_METRES = (0.5, 2.5)
LOUDSPEAKER_METRES = (0.2, 1.0)
NUM_TALKERS = 3
NUM_LOUDSPEAKERS = 2
_T60_LIMITS = (0.05, 3.0)  # s; below, the images would last longer than the response
_WALL_METRES = 0.3  # nothing stands closer to a wall
_IMAGES_DB = 20.0
_FADE_SECONDS = 0.004
_MATCH_SECONDS = 0.02
_SPEED_OF_SOUND = 343.0  # m/s


class Room(NamedTuple):
    """Responses of a room at one microphone.

    Shape: talkers (3, taps), loudspeakers (2, taps); sample 0 is the direct path, with
    gain 1.

    Arguments
    ---------
    talkers : np.ndarray
        From places 0.5 to 2.5 m away, float32.
    loudspeakers : np.ndarray
        From a loudspeaker 0.2 to 1 m away: where it is, and after it was moved.
    t60 : float
        Wanted reverberation time in seconds.
    size : tuple[float, float, float]
        Length, width and height in metres.

    Example
    -------
    >>> one = np.ones((3, 1), dtype=np.float32)
    >>> Room(one, one[:2], 0.0, (4.0, 3.0, 2.5)).talkers.shape
    (3, 1)
    """

    talkers: np.ndarray
    loudspeakers: np.ndarray
    t60: float
    size: tuple[float, float, float]


def import_pyroomacoustics() -> ModuleType:
    """The package that finds the images.

    Returns
    -------
    ModuleType
        ``pyroomacoustics``.

    Raises
    ------
    ImportError
        If it cannot be imported; says how to install it.

    Example
    -------
    >>> import_pyroomacoustics().__name__
    'pyroomacoustics'
    """
    try:
        return import_module("pyroomacoustics")
    except ImportError as error:
        raise ImportError(
            "pyroomacoustics is missing, which rooms need: pip install '.[rooms]'"
        ) from error


def simulate_room(
    t60: float,
    size: tuple[float, float, float],
    sample_rate: int,
    rng: np.random.Generator,
) -> Room:
    """Simulate a room, a microphone, three talkers and a loudspeaker in two places.

    All walls absorb alike, so much that a diffuse sound field decays by 60 dB in
    ``t60`` (Eyring).

    Arguments
    ---------
    t60 : float
        Reverberation time in seconds.
    size : tuple[float, float, float]
        Length, width and height, metres.
    sample_rate : int
        Hz.
    rng : np.random.Generator
        Draws the places and the late noise.

    Returns
    -------
    Room
        Responses, as long as the reverberation time or longer.

    Raises
    ------
    ValueError
        If ``t60`` is not in [0.05, 3] or there are not three sides of 1.5 m or more.
    ImportError
        If pyroomacoustics is missing.

    Example
    -------
    >>> room = simulate_room(0.2, (4.0, 3.0, 2.5), 8000, np.random.default_rng(0))
    >>> room.talkers.shape[0], round(float(room.talkers[0, 0]), 3)
    (3, 1.0)
    """
    if not _T60_LIMITS[0] <= t60 <= _T60_LIMITS[1]:
        raise ValueError(f"t60 ({t60} s) must be in {list(_T60_LIMITS)}")
    if len(size) != 3 or not all(1.5 <= side < np.inf for side in size):
        raise ValueError(f"size ({size} m) must be at least 1.5 m each way")
    pyroomacoustics = import_pyroomacoustics()
    sides = np.asarray(size, dtype=np.float64)
    volume = sides.prod()
    surface = 2 * (sides.prod() / sides).sum()
    rate = 24 * np.log(10) * volume / (_SPEED_OF_SOUND * surface * t60)
    images_seconds = t60 * _IMAGES_DB / 60
    # The largest sphere in the diamond that images up to an order fill.
    nearest = min(
        a * b / np.hypot(a, b) for a, b in zip(sides, np.roll(sides, 1), strict=True)
    )
    simulated = pyroomacoustics.ShoeBox(
        sides,
        fs=sample_rate,
        materials=pyroomacoustics.Material(float(1 - np.exp(-rate))),
        max_order=1 + int(_SPEED_OF_SOUND * images_seconds / nearest),
    )
    microphone = rng.uniform(_WALL_METRES, sides - _WALL_METRES)
    bounds = [TALKER_METRES] * NUM_TALKERS + [LOUDSPEAKER_METRES] * NUM_LOUDSPEAKERS
    step = _SPEED_OF_SOUND / sample_rate
    places = [_place(microphone, sides, bound, step, rng) for bound in bounds]
    for place in places:
        simulated.add_source(place)
    simulated.add_microphone(microphone)
    simulated.compute_rir()
    half = pyroomacoustics.constants.get("frac_delay_length") // 2
    responses = np.zeros((len(places), int(np.ceil(1.1 * t60 * sample_rate)) + 1))
    for response, place, images in zip(
        responses, places, simulated.rir[0], strict=True
    ):
        metres = float(np.linalg.norm(place - microphone))
        direct = round(metres / step) + half
        early = images[direct:][: len(response)] / images[direct]
        since = metres / _SPEED_OF_SOUND
        until = max(images_seconds, since + 2 * _MATCH_SECONDS) - since
        response[: len(early)] = early
        _add_late(response, until, t60, sample_rate, rng)
    responses = responses.astype(np.float32)
    return Room(responses[:NUM_TALKERS], responses[NUM_TALKERS:], t60, tuple(size))


def simulate_rooms(
    num_rooms: int,
    sample_rate: int,
    t60_seconds: tuple[float, float] = T60_SECONDS,
    seed: int = 0,
) -> list[Room]:
    """Simulate rooms of all sizes and reverberation times.

    Reverberation times are uniform in their range; lengths in 3-10 m, widths in 3-8 m,
    heights in 2.5-4 m. A room depends on (seed, its place in the list) only; where
    pyroomacoustics takes another number of threads, its last digits differ (1e-7).

    Arguments
    ---------
    num_rooms : int
        At least 1.
    sample_rate : int
        Hz.
    t60_seconds : tuple[float, float]
        Ends of the range of reverberation times.
    seed : int
        Seed of the run.

    Returns
    -------
    list[Room]
        Rooms.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Example
    -------
    >>> rooms = simulate_rooms(2, 8000, (0.1, 0.2))
    >>> [0.1 <= room.t60 <= 0.2 for room in rooms]
    [True, True]
    """
    if num_rooms < 1:
        raise ValueError(f"num_rooms ({num_rooms}) must be at least 1")
    bounds = check_range("t60_seconds", t60_seconds, *_T60_LIMITS)
    rooms = []
    for index in range(num_rooms):
        rng = keyed_rng(seed, 0, f"room {index}")
        size = tuple(float(rng.uniform(*side)) for side in SIZE_METRES)
        t60 = float(rng.uniform(*bounds))
        rooms.append(simulate_room(t60, size, sample_rate, rng))
    return rooms


def _place(
    microphone: np.ndarray,
    sides: np.ndarray,
    metres: tuple[float, float],
    step: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """A place in the room, a whole number of samples from the microphone.

    So the direct path is one sample, not the two sides of a sinc.
    """
    while True:
        away = rng.normal(size=3)
        away /= np.linalg.norm(away)
        distance = round(rng.uniform(*metres) / step) * step
        place = microphone + distance * away
        if (place > _WALL_METRES).all() and (place < sides - _WALL_METRES).all():
            return place


def _add_late(
    response: np.ndarray,
    until: float,
    t60: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> None:
    """Continue a response, in place, from ``until`` seconds on with decaying noise.

    The noise has the power that the images have in the 20 ms before, each weighted
    back to the same moment.
    """
    seconds = np.arange(len(response)) / sample_rate
    envelope = 10 ** (-3 * seconds / t60)
    match = (seconds >= until - _MATCH_SECONDS) & (seconds < until)
    level = np.sqrt(np.mean((response[match] / envelope[match]) ** 2))
    late = level * envelope * rng.normal(size=len(response))
    fade = np.clip((seconds - until) / _FADE_SECONDS + 1, 0, 1)
    response[:] = np.sqrt(1 - fade) * response + np.sqrt(fade) * late
