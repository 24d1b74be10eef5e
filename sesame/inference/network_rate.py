"""Signals at the rate and level that a network takes, and results brought back."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from torch import Tensor

from .overlap import BlockQueue
from .resampling import resample_blocks, resampled_length

__all__ = ["Blocks", "RateBridge", "finite_samples", "measure_peak", "mono"]

# A signal that can be read several times, from its beginning each time it is called.
Blocks = Callable[[], Iterable[np.ndarray]]


class RateBridge:
    """Takes a signal to the rate of a network, and what the network made of it back.

    Both ways go block by block.

    Arguments
    ---------
    signal : Blocks
        Gives the finite signal from its beginning each time it is called, as arrays
        (channels, n) of float64 with one number of channels.
    sample_rate : int
        Its rate, Hz.
    network_rate : int
        Hz.
    length : int
        Samples of the signal.
    scale : np.ndarray
        What the network's signal is divided by, powers of two, (channels, 1).

    Example
    -------
    >>> noise = np.random.default_rng(0).standard_normal((1, 500))
    >>> bridge = RateBridge(lambda: [noise], 8000, 8000, 500, np.array([[4.0]]))
    >>> bool(next(bridge.forth()).std() < 0.3)
    True
    >>> np.allclose(next(bridge.back(bridge.forth())), noise, atol=1e-6)
    True
    """

    def __init__(
        self,
        signal: Blocks,
        sample_rate: int,
        network_rate: int,
        length: int,
        scale: np.ndarray,
    ):
        self.signal = signal
        self.sample_rate = sample_rate
        self.network_rate = network_rate
        self.length = length
        self.scale = scale
        self.own_length = resampled_length(length, sample_rate, network_rate)

    def forth(self) -> Iterator[np.ndarray]:
        """The signal as the network takes it.

        Returns
        -------
        Iterator[np.ndarray]
            Arrays (channels, n) of float32, together ``own_length`` long.
        """
        scaled = ((block / self.scale).astype(np.float32) for block in self.signal())
        return resample_blocks(
            scaled, self.sample_rate, self.network_rate, self.own_length
        )

    def back(
        self,
        enhanced: Iterable[np.ndarray],
        dry: float = 0.0,
        keep_highband: bool = False,
    ) -> Iterator[np.ndarray]:
        """A result at the rate and scale of the signal.

        Arguments
        ---------
        enhanced : Iterable[np.ndarray]
            What the network made, arrays (channels, n).
        dry : float
            Share of the signal in the result, 0 to 1.
        keep_highband : bool
            Whether what lies above half of the network's rate passes unchanged.
            Otherwise ``dry`` of it is left.

        Returns
        -------
        Iterator[np.ndarray]
            Arrays (channels, n) of float64, together as long as the signal.
        """
        if keep_highband:
            # What the network changed, added to the signal as it came.
            enhanced = _join(enhanced, self.forth(), np.subtract)
        back = resample_blocks(
            enhanced, self.network_rate, self.sample_rate, self.length
        )
        back = (block.astype(np.float64) * self.scale for block in back)
        if keep_highband:
            back = _join(back, self.signal(), np.add)
        if dry:
            back = _join(
                back, self.signal(), lambda wet, noisy: wet + dry * (noisy - wet)
            )
        return back


def measure_peak(signal: Blocks) -> tuple[int, np.ndarray]:
    """Length of a signal, and the largest magnitude of each channel.

    Arguments
    ---------
    signal : Blocks
        As for ``RateBridge``.

    Returns
    -------
    tuple[int, np.ndarray]
        Samples per channel, and the peaks, (channels, 1).

    Example
    -------
    >>> measure_peak(lambda: [np.array([[0.0, 5.0]]), np.array([[-7.0]])])
    (3, array([[7.]]))
    """
    length, peak = 0, np.zeros((1, 1))
    for block in signal():
        length += block.shape[-1]
        peak = np.maximum(peak, np.abs(block).max(axis=-1, keepdims=True, initial=0))
    return length, peak


def mono(signal: Blocks) -> Blocks:
    """The mean of the channels of a signal.

    Arguments
    ---------
    signal : Blocks
        As for ``RateBridge``.

    Returns
    -------
    Blocks
        The same with one channel.

    Example
    -------
    >>> list(mono(lambda: [np.array([[1.0, 2.0], [3.0, 4.0]])])())
    [array([[2., 3.]])]
    """
    # Divided before they are added: a sum could leave the range of float64.
    return lambda: (
        (block / len(block)).sum(axis=0, keepdims=True) for block in signal()
    )


def finite_samples(result: Tensor) -> np.ndarray:
    """Takes the result of a network, if it is one.

    Arguments
    ---------
    result : Tensor
        Samples of any shape, on any device.

    Returns
    -------
    np.ndarray
        The same.

    Raises
    ------
    ValueError
        If a value is not finite.

    Example
    -------
    >>> import torch
    >>> finite_samples(torch.tensor([1.0, float("nan")]))
    Traceback (most recent call last):
    ValueError: the network gave 1 values that are not finite
    """
    broken = int((~result.isfinite()).sum())
    if broken:
        raise ValueError(f"the network gave {broken} values that are not finite")
    return result.cpu().numpy()


def _join(
    blocks: Iterable[np.ndarray],
    others: Iterable[np.ndarray],
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """Combines two streams of one length, in the blocks of the first."""
    queue = BlockQueue(others)
    for block in blocks:
        yield combine(block, queue.take(block.shape[-1]))
