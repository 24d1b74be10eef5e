"""Degradations of speech: each a small transform that tells what it did."""

from sesame.data.degradations.bandwidth import BandLimit
from sesame.data.degradations.chain import Chain, DrawnChain
from sesame.data.degradations.clipping import Clipping
from sesame.data.degradations.codec import Codec
from sesame.data.degradations.colour import random_colour
from sesame.data.degradations.degraded import Degradation, Degraded
from sesame.data.degradations.echo import EchoPath, loudspeaker
from sesame.data.degradations.level import set_level
from sesame.data.degradations.noise import Noise, NoiseFolder
from sesame.data.degradations.packet_loss import PacketLoss
from sesame.data.degradations.reverberation import Reverberation, reverberate
from sesame.data.degradations.rooms import Room, simulate_room, simulate_rooms
from sesame.data.degradations.scene import Scene, SceneSettings, Signals, mix_scene
from sesame.data.degradations.tasks import TASKS, TRAINING_TASKS, Task

__all__ = [
    "TASKS",
    "TRAINING_TASKS",
    "BandLimit",
    "Chain",
    "Clipping",
    "Codec",
    "Degradation",
    "Degraded",
    "DrawnChain",
    "EchoPath",
    "Noise",
    "NoiseFolder",
    "PacketLoss",
    "Reverberation",
    "Room",
    "Scene",
    "SceneSettings",
    "Signals",
    "Task",
    "loudspeaker",
    "mix_scene",
    "random_colour",
    "reverberate",
    "set_level",
    "simulate_room",
    "simulate_rooms",
]
