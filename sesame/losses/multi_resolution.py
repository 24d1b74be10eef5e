"""Distances between compressed spectra at several resolutions, at any sampling rate."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sesame.features import at_least_float32

from .spectral import hann_spectrum

# The rate at which spectra have the scale of a transform that is not normalised.
_REFERENCE_RATE = 16000
# Power added to each bin: it keeps gradients finite where there is silence.
_POWER_FLOOR = 1e-9


def multi_resolution_loss(
    estimate: Tensor,
    target: Tensor,
    sample_rate: int,
    windows_ms: Sequence[float] = (10.0, 20.0, 40.0),
    exponent: float = 0.3,
) -> tuple[Tensor, Tensor]:
    """Squared errors of compressed spectra and of their magnitudes, item by item.

    With ``Y`` and ``T`` the spectra, ``|Y|^c`` their compressed magnitudes and ``Y^c``
    these with the phase of ``Y``: the means over bins and frames of ``|Y^c - T^c|^2``
    and of ``(|Y|^c - |T|^c)^2``, then over the windows. Windows are durations, and
    spectra are scaled to what they would be at 16 kHz, so the same signal costs about
    the same at every rate. Frames overlap by half; beyond the signal there are zeros.

    The error of a magnitude that is too small can weigh more than that of one that is
    too large: noise that is left does less harm than speech that is lost.

    Shape: estimate (..., L), target (..., L) -> complex (...), magnitude (...).
    Source: Xiaobin-Rong/gtcrn, loss.py, for the two terms and the exponent;
    arXiv:2009.04323 (VoiceFilter-Lite), section 2.4, for the asymmetry.

    Arguments
    ---------
    estimate : Tensor
        Waveforms; broadcast against the targets.
    target : Tensor
        Waveforms to be reached; each is analysed once.
    sample_rate : int
        Sampling rate [Hz].
    windows_ms : Sequence[float]
        Lengths of the Hann windows [ms].
    exponent : float
        c, above 0.

    Returns
    -------
    tuple[Tensor, Tensor]
        Errors of the spectra and of the magnitudes, float32 or float64.

    Raises
    ------
    ValueError
        If there is no window, or a window has fewer than two samples, or the weight is
        not above 0.

    Example
    -------
    >>> target = torch.randn(2, 1600)
    >>> errors = multi_resolution_loss(-target, target, sample_rate=16000)
    >>> [error.shape for error in errors], bool(errors[1].max() < 1e-9)
    ([torch.Size([2]), torch.Size([2])], True)
    """
    if len(windows_ms) == 0:
        raise ValueError("windows_ms () must have at least one window")
    estimate, target = at_least_float32(estimate), at_least_float32(target)
    errors = []
    for window_ms in windows_ms:
        num_samples = round(window_ms * sample_rate / 1000)
        if num_samples < 2:
            raise ValueError(
                f"a window ({window_ms} ms at {sample_rate} Hz) must have at least two "
                "samples"
            )
        scale = _REFERENCE_RATE / sample_rate
        ours = _compressed(estimate, num_samples, scale, exponent)
        theirs = _compressed(target, num_samples, scale, exponent)
        spectra, magnitudes = (a - b for a, b in zip(ours, theirs, strict=True))
        errors.append([e.square().mean((-3, -2, -1)) for e in (spectra, magnitudes)])
    spectra, magnitudes = zip(*errors, strict=True)
    # Real and imaginary part are one error: their sum, not their mean.
    return 2 * torch.stack(spectra).mean(0), torch.stack(magnitudes).mean(0)


def _compressed(waveform, num_samples, scale, exponent):
    """Compressed spectrum (..., F, T, 2) and its magnitude (..., F, T, 1)."""
    spectrum = hann_spectrum(waveform, num_samples, scale)
    power = spectrum.square().sum(-1, keepdim=True) + _POWER_FLOOR
    gain = power.pow((exponent - 1) / 2)
    return gain * spectrum, gain * power.sqrt()
