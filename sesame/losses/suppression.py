"""A signal-to-noise ratio that minds what is cut more than what is left over."""

import torch
from torch import Tensor

from sesame.features import at_least_float32

from .spectral import hann_spectrum

# Power added to each bin of the estimate, whose magnitude then has a finite gradient.
_POWER_FLOOR = 1e-12


def suppression_snr(
    estimate: Tensor,
    target: Tensor,
    mixture: Tensor,
    sample_rate: int,
    suppression_weight: float,
    window_ms: float = 20.0,
    eps: float = 1e-8,
) -> Tensor:
    """SNR of spectra in which what is cut out of the target weighs more.

    ``10 log10(|T|^2 / (|Y - T|^2 + (w - 1) max(min(|T|, |X|) - |Y|, 0)^2))``, the
    energies summed over all bins. Only what the input X has can be cut: a lost packet
    that is not filled costs no more than in the plain SNR. Where a network is not sure,
    the plain SNR asks for the mean, this one for an expectile above it: voices unlike
    those of the training keep what might be noise.

    Shape: estimate (..., B, L), target (B, L), mixture (B, L) -> (..., B).

    Arguments
    ---------
    estimate : Tensor
        Waveforms; broadcast against the targets.
    target : Tensor
        Clean waveforms.
    mixture : Tensor
        Inputs, in step with the targets.
    sample_rate : int
        Sampling rate [Hz].
    suppression_weight : float
        w, at least 1.
    window_ms : float
        Length of the Hann windows, which overlap by half [ms].
    eps : float
        Guards the division, in units of energy, and bounds the ratio from below.

    Returns
    -------
    Tensor
        dB, float32 or float64.

    Raises
    ------
    ValueError
        If the weight is below 1.

    Example
    -------
    >>> target = torch.randn(1, 16000)
    >>> cut, louder = 0.5 * target, 1.5 * target
    >>> round(suppression_snr(cut, target, target, 16000, 4.0).item())
    0
    >>> round(suppression_snr(louder, target, target, 16000, 4.0).item())
    6
    """
    if not suppression_weight >= 1:
        raise ValueError(f"suppression_weight ({suppression_weight}) must be 1 or more")
    num_samples = round(window_ms * sample_rate / 1000)
    ours, theirs, given = (
        hann_spectrum(at_least_float32(x), num_samples)
        for x in (estimate, target, mixture)
    )
    wanted = torch.minimum(_power(theirs), _power(given)).sqrt()
    cut = (wanted - (_power(ours) + _POWER_FLOOR).sqrt()).clamp_min(0).square()
    error = _power(ours - theirs) + (suppression_weight - 1) * cut
    ratio = _power(theirs).sum((-2, -1)) / (error.sum((-2, -1)) + eps)
    return 10 * torch.log10(ratio.clamp_min(eps))


def _power(spectrum):
    return spectrum.square().sum(-1)
