"""What each task of speech restoration is made of."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sesame.data.degradations.chain import EXTRA_WEIGHTS
from sesame.data.degradations.clipping import Clipping
from sesame.data.degradations.degraded import Degradation
from sesame.data.degradations.packet_loss import PacketLoss


class Task(NamedTuple):
    """What is done to speech before a network gets it.

    Arguments
    ---------
    room : float
        Probability that the talkers are in a room.
    noise : bool
        Whether there is noise.
    extraction : bool
        Whether others talk, too, and an enrollment tells who is wanted.
    echo : bool
        Whether there is a far-end signal, and its echo.
    distortions : Sequence[Degradation]
        Done to the mixture, in this order; some are drawn.
    distortion_weights : Sequence[float]
        Weights of 0, 1, 2, ... distortions; see ``DrawnChain``.

    Example
    -------
    >>> Task(noise=True).echo
    False
    """

    room: float = 0.0
    noise: bool = False
    extraction: bool = False
    echo: bool = False
    distortions: Sequence[Degradation] = ()
    distortion_weights: Sequence[float] = (1.0,)

    @property
    def needs_room(self) -> bool:
        """Whether rooms must be simulated."""
        return self.room > 0 or self.echo


_ALL = Task(
    room=0.5,
    noise=True,
    distortions=(Clipping(), PacketLoss()),
    distortion_weights=EXTRA_WEIGHTS,
)
# The first four are for training, the others, which do one thing each, for evaluation.
TASKS: Mapping[str, Task] = {
    "enhancement": _ALL,
    "extraction": _ALL._replace(extraction=True),
    "echo_cancellation": _ALL._replace(echo=True),
    "extraction_and_echo_cancellation": _ALL._replace(extraction=True, echo=True),
    "denoise": Task(noise=True),
    "dereverberate": Task(room=1.0),
    "declip": Task(distortions=(Clipping(),), distortion_weights=(0.0, 1.0)),
    "conceal": Task(distortions=(PacketLoss(),), distortion_weights=(0.0, 1.0)),
    "extract": Task(extraction=True),
    "cancel_echo": Task(echo=True),
}
TRAINING_TASKS: Mapping[str, float] = {
    "enhancement": 0.5,
    "extraction": 0.25,
    "echo_cancellation": 0.2,
    "extraction_and_echo_cancellation": 0.05,
}
