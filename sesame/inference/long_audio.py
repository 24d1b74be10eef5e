"""Signals of any length, rate and level through a network, in bounded memory.

A signal is something that can be read several times, block by block: once for its
range, once for its level at the network's rate, once to be enhanced.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from sesame.features import CompressedSTFT, enhance_waveform

from .network_rate import Blocks, RateBridge, finite_samples, measure_peak
from .overlap import chunk_spans, overlap_add, window_spans

__all__ = ["Blocks", "dry_share", "enhance_blocks", "measure_range"]

# Up to this length, that of the corpora's utterances, a signal is one window, as in the
# test of a training run. A longer one is cut into shorter windows: what a network with
# attention and instance normalisation makes of a signal depends on how much of it it
# hears, and gets worse beyond what it was trained on (docs/deviations.md).
WHOLE_SECONDS = 12.0
WINDOW_SECONDS = 6.0
CONTEXT_SECONDS = 0.5
FADE_SECONDS = 1.0
# Channels are signals of their own; a CPU gains nothing from several at once.
CHANNELS_AT_ONCE = {"cpu": 1}
MANY_CHANNELS = 8


def dry_share(max_attenuation_db: float | None = None, dry: float = 0.0) -> float:
    """Share of the noisy signal in the result.

    Arguments
    ---------
    max_attenuation_db : float | None
        Noise is lowered by at most this much [dB], at least 0; None is no limit.
    dry : float
        The share itself, 0 to 1.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        If a value is out of range, or both are given.

    Example
    -------
    >>> dry_share(max_attenuation_db=20)
    0.1
    """
    if not 0 <= dry <= 1:
        raise ValueError(f"dry ({dry}) must be in [0, 1]")
    if max_attenuation_db is None:
        return dry
    if dry:
        raise ValueError(
            f"only one of max_attenuation_db ({max_attenuation_db}) and dry ({dry}) "
            "can be given"
        )
    if not max_attenuation_db >= 0:
        raise ValueError(
            f"max_attenuation_db ({max_attenuation_db}) must be at least 0"
        )
    return 10 ** (-max_attenuation_db / 20)


def enhance_blocks(
    network: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    transform: CompressedSTFT,
    network_rate: int,
    device: torch.device,
    signal: Blocks,
    sample_rate: int,
    dry: float = 0.0,
    keep_highband: bool = False,
    progress: Callable[[float], None] | None = None,
    chunk_seconds: float | None = None,
) -> Iterator[np.ndarray]:
    """Enhances a signal of any length.

    The level of each channel is measured once for the whole signal. Memory does not
    grow with its length. A silent channel stays silent.

    With ``chunk_seconds`` the signal is cut as in ``chunks.ChunkedEnhancer`` instead:
    each piece has a level of its own, and nothing hides the joins.

    Arguments
    ---------
    network : Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
        Maps compressed (magnitude, phase), both (B, F, T), to the same pair.
    transform : CompressedSTFT
        The transform the network was trained with.
    network_rate : int
        Rate the network was trained with, Hz.
    device : torch.device
        Where the network is.
    signal : Blocks
        Gives the finite signal from its beginning each time it is called, as arrays
        (channels, n) of float64 with one number of channels.
    sample_rate : int
        Rate of the signal, Hz.
    dry : float
        Share of the noisy signal in the result, 0 to 1.
    keep_highband : bool
        Whether what lies above half of the network's rate passes unchanged. Otherwise
        ``dry`` of it is left.
    progress : Callable[[float], None] | None
        Is told the fraction that is done, 0 to 1, after each window.
    chunk_seconds : float | None
        Length of pieces that are enhanced as if each were a file [s].

    Yields
    ------
    np.ndarray
        Enhanced blocks (channels, n), float64, together as long as the signal.

    Raises
    ------
    ValueError
        If the network returns a value that is not finite.

    Example
    -------
    >>> transform = CompressedSTFT(n_fft=16, hop_length=4, win_length=16)
    >>> noisy = np.random.default_rng(0).standard_normal((1, 1000))
    >>> blocks = enhance_blocks(lambda magnitude, phase: (magnitude, phase), transform,
    ...     16000, torch.device("cpu"), lambda: [noisy], 16000)
    >>> np.allclose(np.concatenate(list(blocks), axis=-1), noisy, atol=1e-2)
    True
    """
    length, scale = measure_range(signal)
    if length == 0:
        return
    bridge = RateBridge(signal, sample_rate, network_rate, length, scale)
    own_length = bridge.own_length
    hop = transform.hop_length
    window, context, fade = (
        max(1, round(seconds * network_rate / hop)) * hop
        for seconds in (WINDOW_SECONDS, CONTEXT_SECONDS, FADE_SECONDS)
    )
    # One window is its own measure: bit for bit what the test of a training run does.
    spans, level = [(0, own_length)], None
    if chunk_seconds is not None:
        spans = chunk_spans(own_length, max(1, round(chunk_seconds * network_rate)))
        context = fade = 0
    elif own_length > WHOLE_SECONDS * network_rate:
        spans = window_spans(own_length, window, 2 * context + fade, hop)
        if len(spans) > 1:
            level = _measure_level(bridge.forth(), own_length)
    done = iter(spans)

    def process(noisy: np.ndarray) -> np.ndarray:
        noisy = np.ascontiguousarray(noisy)
        at_once = CHANNELS_AT_ONCE.get(device.type, MANY_CHANNELS)
        enhanced = []
        with torch.inference_mode():
            for first in range(0, len(noisy), at_once):
                some = slice(first, first + at_once)
                waveform = torch.from_numpy(noisy[some]).to(device)
                known = None if level is None else level[some].to(device)
                enhanced.append(enhance_waveform(network, transform, waveform, known))
        result = finite_samples(torch.cat(enhanced))
        if progress is not None:
            progress(next(done)[1] / own_length)
        return result

    enhanced = overlap_add(bridge.forth(), spans, context, fade, process)
    yield from bridge.back(enhanced, dry, keep_highband)


def measure_range(signal: Blocks) -> tuple[int, np.ndarray]:
    """Length of a signal, and a power of two that brings its peak into [1, 2).

    Divided by that, what float64 can hold keeps within float32, without any rounding.

    Arguments
    ---------
    signal : Blocks
        As for ``enhance_blocks``.

    Returns
    -------
    tuple[int, np.ndarray]
        Samples per channel, and the power for each channel, (channels, 1).

    Example
    -------
    >>> measure_range(lambda: [np.array([[0.0, 5.0]]), np.array([[-3.0]])])
    (3, array([[4.]]))
    """
    length, peak = measure_peak(signal)
    _, exponent = np.frexp(peak)
    return length, np.ldexp(1.0, exponent - 1)


def _measure_level(blocks: Iterable[np.ndarray], length: int) -> Tensor:
    """Root mean square of each channel, (channels, 1) float32."""
    energy = sum(
        np.square(block, dtype=np.float64).sum(axis=-1, keepdims=True)
        for block in blocks
    )
    return torch.from_numpy(np.sqrt(energy / length)).float()
