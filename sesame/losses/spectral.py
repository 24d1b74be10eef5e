"""Distances between compressed spectra."""

import torch
from torch import Tensor
from torch.nn import functional as F

from sesame.features import CompressedSTFT, at_least_float32


def hann_spectrum(waveform: Tensor, num_samples: int, scale: float = 1.0) -> Tensor:
    """Spectrum with Hann windows that overlap by half.

    Zeros surround the waveform. Shape: (..., L) -> (..., F, T, 2).

    Arguments
    ---------
    waveform : Tensor
        Real waveforms, float32 or float64.
    num_samples : int
        Length of a window.
    scale : float
        Factor of the window.

    Returns
    -------
    Tensor
        Real and imaginary parts.

    Example
    -------
    >>> hann_spectrum(torch.zeros(2, 3, 800), 320).shape
    torch.Size([2, 3, 161, 6, 2])
    """
    window = torch.hann_window(
        num_samples, dtype=waveform.dtype, device=waveform.device
    )
    spectrum = torch.stft(
        waveform.reshape(-1, waveform.shape[-1]),
        num_samples,
        num_samples // 2,
        window=window * scale,
        pad_mode="constant",
        return_complex=True,
    )
    return torch.view_as_real(spectrum).unflatten(0, waveform.shape[:-1])


def magnitude_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of compressed magnitudes.

    Shape: estimate (B, F, T), target (B, F, T) -> scalar.
    Source: yxlu-0102/MP-SENet at 89932cf, train.py; weight there 0.9.

    Arguments
    ---------
    estimate : Tensor
        Estimated compressed magnitude.
    target : Tensor
        Clean compressed magnitude.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> magnitude_loss(torch.full((1, 3, 2), 2.0), torch.zeros(1, 3, 2))
    tensor(4.)
    """
    return F.mse_loss(at_least_float32(estimate), at_least_float32(target))


def complex_loss(
    estimate_magnitude: Tensor,
    estimate_phase: Tensor,
    target_magnitude: Tensor,
    target_phase: Tensor,
) -> Tensor:
    """Mean squared error of the real plus that of the imaginary part.

    Of the compressed complex spectra. This is twice the mean over a stacked
    (real, imaginary) pair, which is how the authors write it.

    Shape: four tensors (B, F, T) -> scalar.
    Source: yxlu-0102/MP-SENet at 89932cf, train.py; weight of this form there 0.1.

    Arguments
    ---------
    estimate_magnitude : Tensor
        Estimated compressed magnitude.
    estimate_phase : Tensor
        Estimated phase [rad].
    target_magnitude : Tensor
        Compressed magnitude to be reached.
    target_phase : Tensor
        Phase to be reached [rad].

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> one, zero = torch.ones(1, 3, 2), torch.zeros(1, 3, 2)
    >>> complex_loss(one, zero, one, zero + torch.pi)
    tensor(4.)
    """
    estimate_magnitude = at_least_float32(estimate_magnitude)
    target_magnitude = at_least_float32(target_magnitude)
    angle = at_least_float32(estimate_phase) - at_least_float32(target_phase)
    # Law of cosines: one sine in place of four sines and cosines. The form with
    # sin^2(angle / 2) has no cancellation where the spectra are nearly equal.
    chord = (angle / 2).sin().square()
    error = (estimate_magnitude - target_magnitude).square()
    return torch.mean(error + 4 * estimate_magnitude * target_magnitude * chord)


def consistency_loss(
    magnitude: Tensor, phase: Tensor, transform: CompressedSTFT, length: int
) -> Tensor:
    """Distance of an estimated spectrum from the spectrum of its own waveform.

    A spectrum is consistent if some waveform has it. Where the waveform is synthesised
    and analysed anyway, ``complex_loss`` of the two spectra is the same.

    Shape: magnitude (B, F, T), phase (B, F, T) -> scalar.
    Source: yxlu-0102/MP-SENet at 89932cf, train.py; weight of this form there 0.1.

    Arguments
    ---------
    magnitude : Tensor
        Estimated compressed magnitude.
    phase : Tensor
        Estimated phase [rad].
    transform : CompressedSTFT
        The transform of the estimate.
    length : int
        Length of the waveform [samples], with T = length // hop_length + 1.

    Returns
    -------
    Tensor
        Scalar, float32 or float64.

    Example
    -------
    >>> transform = CompressedSTFT()
    >>> magnitude, phase = transform(torch.randn(1, 1000))
    >>> bool(consistency_loss(magnitude, phase, transform, 1000) < 1e-4)
    True
    """
    waveform = transform.inverse(magnitude, phase, length)
    return complex_loss(magnitude, phase, *transform(waveform))
