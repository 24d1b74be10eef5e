"""Mixtures of any length, rate and level through a separator, in bounded memory."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from sesame.features import match_levels

from .long_audio import measure_range
from .network_rate import Blocks, RateBridge, finite_samples, mono
from .overlap import overlap_add, window_spans
from .stitching import SpeakerOrder

__all__ = ["separate_blocks"]

# Up to this length, that of the corpora's mixtures, a signal is one window. A longer
# one is cut into windows of which half is heard twice: only where a speaker is heard
# twice can they be followed from one window to the next.
WHOLE_SECONDS = 12.0
WINDOW_SECONDS = 8.0
CONTEXT_SECONDS = 1.5
FADE_SECONDS = 1.0


def separate_blocks(
    network: Callable[[Tensor], Tensor],
    network_rate: int,
    device: torch.device,
    signal: Blocks,
    sample_rate: int,
    progress: Callable[[float], None] | None = None,
) -> Iterator[np.ndarray]:
    """Separates a mixture of any length.

    Several channels are averaged into one before: a speaker is one signal, whatever
    the microphone. Memory does not grow with the length. The order of the speakers is
    arbitrary and the same from beginning to end; they have the levels with which they
    add up to the mixture. Silence gives silence.

    Arguments
    ---------
    network : Callable[[Tensor], Tensor]
        Maps mixtures (B, L) to sources (B, J, L).
    network_rate : int
        Rate the network was trained with, Hz.
    device : torch.device
        Where the network is.
    signal : Blocks
        Gives the finite mixture from its beginning each time it is called, as arrays
        (channels, n) of float64 with one number of channels.
    sample_rate : int
        Rate of the mixture, Hz.
    progress : Callable[[float], None] | None
        Is told the fraction that is done, 0 to 1, after each window.

    Yields
    ------
    np.ndarray
        Sources (J, n), float64, together as long as the mixture.

    Raises
    ------
    ValueError
        If the network returns another shape or a value that is not finite.

    Example
    -------
    >>> def thirds(mixture):
    ...     return torch.stack((mixture / 3, 2 * mixture / 3), dim=1)
    >>> mixture = np.random.default_rng(0).standard_normal((1, 1000))
    >>> blocks = separate_blocks(thirds, 16000, torch.device("cpu"),
    ...     lambda: [mixture], 16000)
    >>> sources = np.concatenate(list(blocks), axis=-1)
    >>> np.allclose(sources, [mixture[0] / 3, 2 * mixture[0] / 3])
    True
    """
    signal = mono(signal)
    length, scale = measure_range(signal)
    if length == 0:
        return
    bridge = RateBridge(signal, sample_rate, network_rate, length, scale)
    own_length = bridge.own_length
    window, context, fade = (
        max(1, round(seconds * network_rate))
        for seconds in (WINDOW_SECONDS, CONTEXT_SECONDS, FADE_SECONDS)
    )
    spans = [(0, own_length)]
    if own_length > WHOLE_SECONDS * network_rate:
        spans = window_spans(own_length, window, 2 * context + fade, step=1)
    upcoming, speakers = iter(spans), SpeakerOrder()

    def process(mixture: np.ndarray) -> np.ndarray:
        begin, end = next(upcoming)
        sources = _separate(network, mixture, device)
        if progress is not None:
            progress(end / own_length)
        return speakers(sources, begin)

    yield from bridge.back(overlap_add(bridge.forth(), spans, context, fade, process))


def _separate(
    network: Callable[[Tensor], Tensor], mixture: np.ndarray, device: torch.device
) -> np.ndarray:
    """Mixture (1, L) -> sources (J, L)."""
    with torch.inference_mode():
        waveform = torch.from_numpy(np.ascontiguousarray(mixture)).to(device)
        sources = network(waveform)
    if sources.ndim != 3 or sources.shape[::2] != mixture.shape:
        raise ValueError(
            f"the network gave {tuple(sources.shape)} for a mixture "
            f"{mixture.shape}; it must give (1, J, {mixture.shape[1]})"
        )
    finite_samples(sources)
    return match_levels(sources, waveform)[0].cpu().numpy()
