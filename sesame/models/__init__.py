"""Systems with a name in a paper.

``__all__`` is the allowlist of classes that a model folder's ``config.json`` may name:
the networks, each buildable from its constructor arguments alone, and the
discriminator they are trained with.
"""

from sesame.models.discriminator import MetricDiscriminator
from sesame.models.mp_senet import MPSENet
from sesame.models.sesame import SESAME

__all__ = ["SESAME", "MPSENet", "MetricDiscriminator"]
