"""Trained networks at work: model folders, the enhancer, figures, the command line.

Names are loaded when they are first used, so that ``--help`` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chunks import ChunkedEnhancer
    from .enhancer import Enhancer
    from .figures import (
        routing_figure,
        save_figure,
        showcase_figure,
        spectrogram_figure,
    )
    from .file_enhancement import FileReport
    from .flow_enhancer import FlowEnhancer
    from .model_folder import (
        load_model_folder,
        load_seflow_folder,
        save_model_folder,
    )
    from .routing import ExpertMap, expert_maps
    from .separator import Separator
    from .speechbrain_interface import SesameEnhancement
    from .streaming_enhancer import StreamingEnhancer
    from .training_run import convert_run

__all__ = [
    "ChunkedEnhancer",
    "Enhancer",
    "ExpertMap",
    "FileReport",
    "FlowEnhancer",
    "Separator",
    "SesameEnhancement",
    "StreamingEnhancer",
    "convert_run",
    "expert_maps",
    "load_model_folder",
    "load_seflow_folder",
    "routing_figure",
    "save_figure",
    "save_model_folder",
    "showcase_figure",
    "spectrogram_figure",
]

_MODULES = {
    "ChunkedEnhancer": "chunks",
    "Enhancer": "enhancer",
    "ExpertMap": "routing",
    "FileReport": "file_enhancement",
    "FlowEnhancer": "flow_enhancer",
    "Separator": "separator",
    "SesameEnhancement": "speechbrain_interface",
    "StreamingEnhancer": "streaming_enhancer",
    "convert_run": "training_run",
    "expert_maps": "routing",
    "load_model_folder": "model_folder",
    "load_seflow_folder": "model_folder",
    "routing_figure": "figures",
    "save_figure": "figures",
    "save_model_folder": "model_folder",
    "showcase_figure": "figures",
    "spectrogram_figure": "figures",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
