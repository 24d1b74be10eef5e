"""SpeechBrain Brains and what they need: control flow only, no architecture."""

from sesame.brain.checkpoints import FallbackCheckpointer
from sesame.brain.enhancement import EnhancementBrain
from sesame.brain.muon import Muon
from sesame.brain.optimization import (
    average_gradients,
    exponential_moving_average,
    gradient_step,
    warmup_then_cosine,
    warmup_then_decay,
    weight_decay_groups,
)
from sesame.brain.separation import SeparationBrain
from sesame.brain.slimmable import SlimmableBrain

__all__ = [
    "EnhancementBrain",
    "FallbackCheckpointer",
    "Muon",
    "SeparationBrain",
    "SlimmableBrain",
    "average_gradients",
    "exponential_moving_average",
    "gradient_step",
    "warmup_then_cosine",
    "warmup_then_decay",
    "weight_decay_groups",
]
