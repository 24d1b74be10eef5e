"""SESAME: speech enhancement and separation, sparse, slimmable and streaming.

Letters used in every shape of this package::

    B batch          L waveform samples   T STFT frames    F frequency bins
    C channels       G mel bands          J sources        N folded batch or tokens
    S sequence steps H heads              D head width     E experts
    K chosen experts P state size
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .inference import Enhancer, FlowEnhancer, Separator, StreamingEnhancer

__all__ = [
    "Enhancer",
    "FlowEnhancer",
    "Separator",
    "StreamingEnhancer",
    "__version__",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # On first use: the package itself imports nothing, so `sesame --help` is quick.
    if name in __all__:
        return getattr(import_module(".inference", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
