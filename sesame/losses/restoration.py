"""What a network of several tasks is trained on, also where the target is silence."""

from collections.abc import Sequence

from torch import Tensor

from sesame.features import at_least_float32

from .multi_resolution import multi_resolution_loss
from .perceptual import pesq_mos
from .suppression import suppression_snr
from .time import snr

# Mean square of -60 dBFS: what a network makes of silence must not outweigh all else.
_QUIET = 1e-6


def residual_energy(estimate: Tensor, mixture: Tensor) -> Tensor:
    """Energy of the output in units of that of the input, item by item.

    The loss where nothing should be heard. The input counts as 1e-6 (-60 dBFS) louder.

    Shape: estimate (..., L), mixture (..., L) -> (...).

    Arguments
    ---------
    estimate : Tensor
        Outputs; broadcast against the inputs.
    mixture : Tensor
        Inputs.

    Returns
    -------
    Tensor
        Ratios, float32 or float64.

    Example
    -------
    >>> import torch
    >>> mixture = torch.ones(1, 8)
    >>> round(residual_energy(0.5 * mixture, mixture).item(), 3)
    0.25
    """
    estimate, mixture = at_least_float32(estimate), at_least_float32(mixture)
    return estimate.square().mean(-1) / (mixture.square().mean(-1) + _QUIET)


def restoration_terms(
    estimate: Tensor,
    target: Tensor,
    mixture: Tensor,
    sample_rate: int,
    max_snr: float | None = 30.0,
    suppression_weight: float = 1.0,
    windows_ms: Sequence[float] = (10.0, 20.0, 40.0),
    exponent: float = 0.3,
) -> dict[str, Tensor]:
    """The losses of each item, by name.

    ``complex`` and ``magnitude`` are those of ``multi_resolution_loss``. ``snr`` is the
    negative SNR [dB] of items with a target, and 0 of those whose target is silence:
    the far end alone is heard, or the wanted speaker is absent; so is ``mos``, their
    negative ``pesq_mos``. ``silence`` is ``residual_energy`` of what has no
    target, and 0 of the others. All have finite gradients, on silence too. The SNR
    minds the level: with SI-SNR in its place outputs become 4 to 10 dB too quiet, which
    compressed spectra hardly mind.

    Shape: estimate (..., B, L), target (B, L), mixture (B, L) -> (..., B).

    Arguments
    ---------
    estimate : Tensor
        Outputs, of several exits of a network for example.
    target : Tensor
        Waveforms to be reached, as late as the outputs are.
    mixture : Tensor
        Inputs, as late.
    sample_rate : int
        Sampling rate [Hz].
    max_snr : float | None
        An item that is better has no gradient of its SNR, dB; ``None``: off.
    suppression_weight : float
        Not 1: ``snr`` is that of ``suppression_snr`` with this weight.
    windows_ms : Sequence[float]
        See ``multi_resolution_loss``.
    exponent : float
        See ``multi_resolution_loss``.

    Returns
    -------
    dict[str, Tensor]
        Unweighted losses, float32 or float64.

    Raises
    ------
    ValueError
        If the lengths differ.

    Example
    -------
    >>> import torch
    >>> target = torch.stack([torch.randn(1600), torch.zeros(1600)])
    >>> mixture = target + 0.1
    >>> terms = restoration_terms(mixture, target, mixture, sample_rate=16000)
    >>> [name for name, value in terms.items() if value[1] != 0]
    ['complex', 'magnitude', 'silence']
    >>> list(terms)
    ['complex', 'magnitude', 'snr', 'mos', 'silence']
    """
    lengths = [signal.shape[-1] for signal in (estimate, target, mixture)]
    if len(set(lengths)) > 1:
        raise ValueError(
            "lengths of estimate ({}), target ({}) and mixture ({}) must be "
            "equal".format(*lengths)
        )
    spectra, magnitudes = multi_resolution_loss(
        estimate, target, sample_rate, windows_ms, exponent
    )
    silent = (target == 0).all(-1)
    if suppression_weight == 1:
        cost = -snr(estimate, target)
    else:
        cost = -suppression_snr(
            estimate, target, mixture, sample_rate, suppression_weight
        )
    if max_snr is not None:
        cost = cost.clamp_min(-max_snr)
    score = pesq_mos(estimate, target, sample_rate)
    return {
        "complex": spectra,
        "magnitude": magnitudes,
        "snr": cost.masked_fill(silent, 0.0),
        "mos": (-score).masked_fill(silent, 0.0),
        "silence": residual_energy(estimate, mixture).masked_fill(~silent, 0.0),
    }
