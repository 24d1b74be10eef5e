"""The web demo: upload or record, listen, see spectrograms, experts and scores.

Names are loaded when they are first used, so that only the demo waits for Gradio.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import build_app, launch

__all__ = ["build_app", "launch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".app", __name__), name)
