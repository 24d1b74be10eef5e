"""Name maps from the authors' checkpoints to ours, one module per system.

Use ``sesame.compat.<system>.convert_state_dict``: the modules share function names.
"""

from sesame.compat import (
    codec,
    mambattention,
    metric_discriminator,
    mp_senet,
    semamba,
    xlstm_senet,
)

__all__ = [
    "codec",
    "mambattention",
    "metric_discriminator",
    "mp_senet",
    "semamba",
    "xlstm_senet",
]
