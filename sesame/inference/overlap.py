"""Long signals in windows that overlap and fade into each other."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

__all__ = ["BlockQueue", "chunk_spans", "overlap_add", "window_spans"]


class BlockQueue:
    """Hands out a stream of blocks in portions of any size.

    Arguments
    ---------
    blocks : Iterable[np.ndarray]
        Arrays (channels, n), n >= 0.

    Example
    -------
    >>> queue = BlockQueue(iter([np.array([[1, 2]]), np.array([[3, 4, 5]])]))
    >>> queue.take(4), queue.take(4)
    (array([[1, 2, 3, 4]]), array([[5]]))
    """

    def __init__(self, blocks: Iterable[np.ndarray]):
        self._blocks = iter(blocks)
        self._waiting: list[np.ndarray] = []

    def take(self, length: int) -> np.ndarray:
        """The next samples.

        Shape: -> (channels, length), shorter where the stream ends.

        Arguments
        ---------
        length : int
            Number of samples.

        Returns
        -------
        np.ndarray
            (channels, length at most); (1, 0) if there never was a block.
        """
        while sum(block.shape[-1] for block in self._waiting) < length:
            block = next(self._blocks, None)
            if block is None:
                break
            self._waiting.append(block)
        if not self._waiting:
            return np.zeros((1, 0), dtype=np.float32)
        joined = np.concatenate(self._waiting, axis=-1)
        self._waiting = [joined[:, length:]]
        return joined[:, :length]


def window_spans(
    length: int, window: int, overlap: int, step: int
) -> list[tuple[int, int]]:
    """Where the windows of a signal begin and end.

    Every window is ``window`` long, the last one up to ``step - 1`` more, and begins at
    a multiple of ``step``; neighbours share at least ``overlap`` samples. A signal that
    fits into one window has one.

    Arguments
    ---------
    length : int
        Length of the signal [samples], at least 1.
    window : int
        Samples, a multiple of ``step``.
    overlap : int
        Samples, a multiple of ``step`` below ``window``.
    step : int
        Grid of the window's beginnings [samples].

    Returns
    -------
    list[tuple[int, int]]
        (begin, end) of each window; the first begins at 0, the last ends at ``length``.

    Raises
    ------
    ValueError
        If ``window`` or ``overlap`` are no multiples of ``step`` or the overlap is not
        shorter than the window.

    Example
    -------
    >>> window_spans(25, window=10, overlap=4, step=2)
    [(0, 10), (6, 16), (12, 22), (14, 25)]
    """
    if window % step or overlap % step or not 0 <= overlap < window:
        raise ValueError(
            f"window ({window}) and overlap ({overlap}) must be multiples of step "
            f"({step}), the overlap shorter than the window"
        )
    if length <= window:
        return [(0, length)]
    # The last window is as long as the others: what a network makes of a signal
    # depends on how much of it it sees.
    last = (length - window) // step * step
    starts = [*range(0, last, window - overlap), last]
    return [(start, start + window) for start in starts[:-1]] + [(last, length)]


def chunk_spans(length: int, chunk: int) -> list[tuple[int, int]]:
    """Where the pieces of a signal begin and end that share no sample.

    Arguments
    ---------
    length : int
        Length of the signal [samples], at least 1.
    chunk : int
        Length of all pieces but the last [samples], at least 1.

    Returns
    -------
    list[tuple[int, int]]
        (begin, end) of each piece; the last one is what is left.

    Example
    -------
    >>> chunk_spans(25, chunk=10)
    [(0, 10), (10, 20), (20, 25)]
    """
    starts = range(0, length, chunk)
    return [(start, min(start + chunk, length)) for start in starts]


def overlap_add(
    blocks: Iterable[np.ndarray],
    spans: list[tuple[int, int]],
    context: int,
    fade: int,
    process: Callable[[np.ndarray], np.ndarray],
) -> Iterator[np.ndarray]:
    """Processes a stream window by window; neighbours fade linearly into each other.

    A fade ends ``context`` samples before the end of a window, so no result stems from
    either end of a window. Where ``process`` gives a sample the same value in two
    windows, that value results.

    Arguments
    ---------
    blocks : Iterable[np.ndarray]
        The signal, as float32 arrays (channels, n).
    spans : list[tuple[int, int]]
        From ``window_spans`` with an overlap of ``2 * context + fade`` or more, and
        windows of at least that and ``fade``.
    context : int
        Samples at each inner end of a window whose result is not used.
    fade : int
        Length of the fade [samples].
    process : Callable[[np.ndarray], np.ndarray]
        Maps a window (channels, L) to another of that shape.

    Yields
    ------
    np.ndarray
        (channels, n), together as long as the signal.

    Example
    -------
    >>> signal = np.arange(25, dtype=np.float32)[None]
    >>> spans = window_spans(25, window=10, overlap=4, step=2)
    >>> pieces = overlap_add([signal], spans, 1, 2, process=lambda window: window)
    >>> np.array_equal(np.concatenate(list(pieces), axis=-1), signal)
    True
    """
    queue = BlockQueue(blocks)
    rise = ((np.arange(fade) + 0.5) / max(fade, 1)).astype(np.float32)
    window, start, done = None, 0, 0
    tail = None
    for begin, end in spans:
        if window is None:
            window = queue.take(end)
        else:
            kept = window[:, begin - start :]
            fresh = queue.take(end - begin - kept.shape[-1])
            window = np.concatenate([kept, fresh], axis=-1)
        start = begin
        ready = process(window)[:, done - start :]
        if tail is not None:
            faded = tail + (ready[:, :fade] - tail) * rise
            ready = np.concatenate([faded, ready[:, fade:]], axis=-1)
        if end != spans[-1][1]:
            until = end - context - fade - done
            tail = ready[:, until : until + fade]
            ready = ready[:, :until]
        yield ready
        done += ready.shape[-1]
