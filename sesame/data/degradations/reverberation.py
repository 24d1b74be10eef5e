"""Reverberation: a signal in a room, and the part of it that counts as target."""

from collections.abc import Sequence

import numpy as np
from scipy.signal import oaconvolve

from sesame.data.degradations.degraded import Degraded, check_waveform
from sesame.data.degradations.rooms import Room

EARLY_SECONDS = 0.05


def reverberate(
    waveform: np.ndarray,
    response: np.ndarray,
    sample_rate: int,
    early_seconds: float = EARLY_SECONDS,
) -> tuple[np.ndarray, np.ndarray]:
    """Convolve with a response, and with its early part.

    The response starts at the direct path, so both results are in step with the
    waveform. As long as it: what sounds on after the end is cut.

    Shape: waveform (L,), response (taps,) -> reverberant (L,), early (L,).

    Arguments
    ---------
    waveform : np.ndarray
        Samples.
    response : np.ndarray
        From the direct path on, which has gain 1; see ``simulate_room``.
    sample_rate : int
        Hz.
    early_seconds : float
        End of the early part after the direct path, seconds.

    Returns
    -------
    tuple[np.ndarray, np.ndarray]
        Reverberant signal, and its early part: the target of dereverberation.

    Raises
    ------
    ValueError
        If ``early_seconds`` is negative or the waveform is not (L,).

    Source: early part as in the URGENT challenges, 50 ms.

    Example
    -------
    >>> response = np.array([1.0, 0.5, 0.25], dtype=np.float32)
    >>> impulse = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
    >>> reverberant, early = reverberate(impulse, response, 1000, 0.001)
    >>> reverberant.round(3).tolist(), early.round(3).tolist()
    ([1.0, 0.5, 0.25, 0.0], [1.0, 0.5, 0.0, 0.0])
    """
    if not early_seconds >= 0:
        raise ValueError(f"early_seconds ({early_seconds}) must not be negative")
    check_waveform(waveform)
    until = 1 + round(early_seconds * sample_rate)
    early, late = response[:until], response[until:]
    early = oaconvolve(waveform, early)[: len(waveform)].astype(waveform.dtype)
    reverberant = early.copy()
    if late.size and until < len(waveform):
        added = oaconvolve(waveform[:-until], late)[: len(waveform) - until]
        reverberant[until:] += added
    return reverberant, early


class Reverberation:
    """Puts a talker into one of some rooms.

    ``done``: ``t60`` in seconds, ``early`` (L,), the target.

    Arguments
    ---------
    rooms : Sequence[Room]
        Rooms to draw from, each as likely as the others.
    early_seconds : float
        End of the early part, seconds after the direct path.

    Raises
    ------
    ValueError
        If there is no room.

    Example
    -------
    >>> one = np.array([[1.0, 0.5]] * 3, dtype=np.float32)
    >>> reverberation = Reverberation([Room(one, one[:2], 0.2, (4.0, 3.0, 2.5))])
    >>> speech = np.array([1.0, 0.0, 0.0], dtype=np.float32)
    >>> reverberation(speech, 16000, np.random.default_rng(0)).waveform.tolist()
    [1.0, 0.5, 0.0]
    """

    def __init__(self, rooms: Sequence[Room], early_seconds: float = EARLY_SECONDS):
        if not rooms:
            raise ValueError("rooms must hold at least one room")
        self.rooms = rooms
        self.early_seconds = early_seconds

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Draw a room and a place in it.

        Arguments
        ---------
        waveform : np.ndarray
            Speech, (L,).
        sample_rate : int
            Hz, that of the rooms.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        Degraded
            Reverberant speech.
        """
        room = self.rooms[rng.integers(len(self.rooms))]
        response = room.talkers[rng.integers(len(room.talkers))]
        reverberant, early = reverberate(
            waveform, response, sample_rate, self.early_seconds
        )
        return Degraded(reverberant, {"t60": room.t60, "early": early})
