"""A whole enhancement pass: waveform in, waveform of the same length out."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from .level import normalize, rms
from .precision import at_least_float32
from .transform import CompressedSTFT


def enhance_waveform(
    network: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    transform: CompressedSTFT,
    noisy: Tensor,
    level: Tensor | None = None,
) -> Tensor:
    """Enhances waveforms with a network that maps magnitude and phase.

    The level of each noisy waveform is taken off before and put back after the
    network, so a gain on the input is the same gain on the output, and silence gives
    zeros whatever the network makes of it. Gradients and autocast are the caller's.

    Shape: noisy (B, L) -> (B, L), for every L >= 1.

    Arguments
    ---------
    network : Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
        Maps compressed (magnitude, phase), both (B, F, T), to the same pair.
    transform : CompressedSTFT
        The transform the network was trained with.
    noisy : Tensor
        Waveforms of one length, at the sampling rate the network was trained with.
        A float64 waveform needs a float64 network.
    level : Tensor | None
        Level of each, (B, 1), 0 for silence: for the pieces of a longer waveform, which
        have one level. ``None`` measures ``noisy``.

    Returns
    -------
    Tensor
        Enhanced waveforms in the dtype of ``noisy``.

    Raises
    ------
    ValueError
        If ``noisy`` is not a floating-point (B, L) with L >= 1.

    Example
    -------
    >>> import torch
    >>> noisy = torch.randn(2, 777)
    >>> network = lambda magnitude, phase: (magnitude, phase)
    >>> enhanced = enhance_waveform(network, CompressedSTFT(), noisy)
    >>> torch.allclose(enhanced, noisy, atol=1e-3)
    True
    """
    if noisy.ndim != 2 or noisy.shape[-1] == 0:
        raise ValueError(f"expected noisy (B, L) with L >= 1, got {tuple(noisy.shape)}")
    if not noisy.is_floating_point():
        raise ValueError(f"expected a floating-point noisy, got {noisy.dtype}")
    length = noisy.shape[-1]
    waveform = at_least_float32(noisy)
    level = rms(waveform) if level is None else level
    padding = -length % transform.hop_length
    padded = F.pad(normalize(waveform, level), (0, padding))
    magnitude, phase = network(*transform(padded))
    enhanced = transform.inverse(magnitude, phase, length + padding)[:, :length]
    # A mask and not only a product: 0 times what a network makes of silence may be NaN.
    enhanced = (enhanced * level).masked_fill(level == 0, 0)
    return enhanced.to(noisy.dtype)
