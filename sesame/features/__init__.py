"""Waveform <-> what the networks see. Nothing in here has parameters."""

from .causal_stft import CausalSTFT
from .compression import to_complex, to_magnitude_phase, to_spectrum
from .continuation import Continuation, continue_spectrum
from .enhance import enhance_waveform
from .front_end import FrontEnd, FrontEnds
from .level import match_levels, normalize, rms
from .precision import at_least_float32
from .rate_bands import RateBands
from .stft import STFT
from .transform import CompressedSTFT

__all__ = [
    "STFT",
    "CausalSTFT",
    "CompressedSTFT",
    "Continuation",
    "FrontEnd",
    "FrontEnds",
    "RateBands",
    "at_least_float32",
    "continue_spectrum",
    "enhance_waveform",
    "match_levels",
    "normalize",
    "rms",
    "to_complex",
    "to_magnitude_phase",
    "to_spectrum",
]
