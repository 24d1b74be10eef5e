"""Complex spectrum <-> power-law compressed magnitude and phase.

The small constants keep every gradient finite on digital silence; they are those of
MP-SENet, so that its weights see the numbers they were trained on.
"""

import torch
from torch import Tensor

from .precision import at_least_float32

POWER_FLOOR = 1e-9
REAL_OFFSET = 1e-5
IMAGINARY_OFFSET = 1e-10


def to_magnitude_phase(
    spectrum: Tensor, exponent: float = 0.3
) -> tuple[Tensor, Tensor]:
    """Splits a spectrum into compressed magnitude and phase.

    ``magnitude = sqrt(re^2 + im^2 + 1e-9) ** exponent`` and
    ``phase = atan2(im + 1e-10, re + 1e-5)``. On silence the magnitude is 0.0447 (for
    the exponent 0.3), the phase 1e-5 rad, and gradients stay below about 1e5.

    Shape: spectrum (...) complex -> two real tensors (...).
    Source: yxlu-0102/MP-SENet at 89932cf, dataset.py.

    Arguments
    ---------
    spectrum : Tensor
        Complex spectrum.
    exponent : float
        Exponent on the magnitude, above 0.

    Returns
    -------
    tuple[Tensor, Tensor]
        Compressed magnitude and phase [rad, -pi to pi].

    Example
    -------
    >>> magnitude, phase = to_magnitude_phase(torch.tensor([0.0 + 16.0j]), exponent=0.5)
    >>> magnitude, phase
    (tensor([4.]), tensor([1.5708]))
    """
    real, imaginary = spectrum.real, spectrum.imag
    power = real.square() + imaginary.square() + POWER_FLOOR
    magnitude = power.pow(exponent / 2)
    phase = torch.atan2(imaginary + IMAGINARY_OFFSET, real + REAL_OFFSET)
    return magnitude, phase


def to_complex(magnitude: Tensor, phase: Tensor) -> Tensor:
    """Joins magnitude and phase without touching the compression.

    Shape: magnitude (...), phase (...) -> (...) complex.

    Arguments
    ---------
    magnitude : Tensor
        Magnitude, compressed or not.
    phase : Tensor
        Phase [rad].

    Returns
    -------
    Tensor
        ``magnitude * exp(i phase)``, complex64 (complex128 for float64).

    Example
    -------
    >>> to_complex(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([2.+0.j])
    """
    magnitude, phase = at_least_float32(magnitude), at_least_float32(phase)
    # Not torch.polar: its gradient with respect to a magnitude of 0 is 0.
    return torch.complex(magnitude * phase.cos(), magnitude * phase.sin())


def to_spectrum(magnitude: Tensor, phase: Tensor, exponent: float = 0.3) -> Tensor:
    """Undoes the compression and joins magnitude and phase.

    Shape: magnitude (...), phase (...) -> (...) complex.
    Source: yxlu-0102/MP-SENet at 89932cf, dataset.py.

    Arguments
    ---------
    magnitude : Tensor
        Compressed magnitude, not negative.
    phase : Tensor
        Phase [rad].
    exponent : float
        Exponent on the magnitude that was used for the compression, above 0.

    Returns
    -------
    Tensor
        ``magnitude ** (1 / exponent) * exp(i phase)``.

    Example
    -------
    >>> to_spectrum(torch.tensor([4.0]), torch.tensor([0.0]), exponent=0.5)
    tensor([16.+0.j])
    """
    return to_complex(at_least_float32(magnitude).pow(1 / exponent), phase)
