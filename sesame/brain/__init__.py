"""SpeechBrain Brains and what they need: control flow only, no architecture."""

from sesame.brain.checkpoints import FallbackCheckpointer
from sesame.brain.enhancement import EnhancementBrain
from sesame.brain.optimization import (
    exponential_moving_average,
    gradient_step,
    warmup_then_decay,
)

__all__ = [
    "EnhancementBrain",
    "FallbackCheckpointer",
    "exponential_moving_average",
    "gradient_step",
    "warmup_then_decay",
]
