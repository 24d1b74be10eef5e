"""Scores of lists of pairs, in this process or in several."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from .pair import METRICS, ModelFiles, check_choices, score_pair
from .report import Row
from .score import MAX_LENGTH_DIFFERENCE

# Pairs handed out per worker ahead of the one awaited: bounds the memory of the queue.
QUEUED_PER_WORKER = 4

# None: there is nothing to score, which is a result too.
Signal = np.ndarray | str | Path | None


def score_pairs(
    pairs: Iterable[tuple[str, Signal, Signal]],
    sample_rate: int = 16000,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    num_workers: int = 0,
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
    align_first: bool = False,
    model_files: ModelFiles | None = None,
) -> list[Row]:
    """Scores many pairs, in the order given, with a pool of processes if asked.

    Workers are spawned (safe beside CUDA and threads) and use one thread each. A script
    that asks for workers needs the usual ``if __name__ == "__main__"``.

    Arguments
    ---------
    pairs : Iterable[tuple[str, Signal, Signal]]
        (id, estimate, target); signals are arrays (L,) or paths of audio files, None
        for a signal that does not exist.
    sample_rate : int
        Rate of the arrays, Hz. Files say their own; the two of a pair must agree.
    metrics : Iterable[str]
        As for ``score_pair``.
    variant : str
        As for ``score_pair``.
    num_workers : int
        Number of processes; 0 scores in this process.
    max_length_difference : int
        As for ``score_pair``.
    align_first : bool
        As for ``score_pair``.
    model_files : ModelFiles | None
        As for ``score_pair``.

    Returns
    -------
    list[Row]
        ``score_pair``'s rows, each with its ``"id"``.

    Raises
    ------
    ValueError
        If a metric or the variant is unknown or ``num_workers`` is negative.
    ChildProcessError
        If a process died.

    Example
    -------
    >>> target = np.array([1.0, -1.0, 1.0, -1.0])
    >>> error = np.array([0.1, 0.1, -0.1, -0.1])
    >>> score_pairs([("a", target + error, target)], metrics=["si_sdr"])[0]["id"]
    'a'
    """
    rows = iterate_scores(
        pairs,
        sample_rate,
        metrics,
        variant,
        num_workers,
        max_length_difference=max_length_difference,
        align_first=align_first,
        model_files=model_files,
    )
    return list(rows)


def iterate_scores(
    pairs: Iterable[tuple[str, Signal, Signal]],
    sample_rate: int = 16000,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    num_workers: int = 0,
    **options: Any,
) -> Generator[Row, None, None]:
    """``score_pairs``, row by row; closed early, it drops what waits.

    Arguments
    ---------
    pairs : Iterable[tuple[str, Signal, Signal]]
        As for ``score_pairs``.
    sample_rate : int
        As for ``score_pairs``.
    metrics : Iterable[str]
        As for ``score_pairs``.
    variant : str
        As for ``score_pairs``.
    num_workers : int
        As for ``score_pairs``.
    **options : Any
        ``max_length_difference``, ``align_first`` and ``model_files``.

    Returns
    -------
    Generator[Row, None, None]
        Rows in the order of the pairs.

    Raises
    ------
    ValueError
        As for ``score_pairs``, at once.
    ChildProcessError
        If a process died.

    Example
    -------
    >>> rows = iterate_scores([("a", None, None), ("b", None, None)], metrics=["stoi"])
    >>> next(rows)["reasons"]
    {'stoi': 'there is no estimate'}
    """
    if num_workers < 0:
        raise ValueError(f"num_workers ({num_workers}) must be at least 0")
    score = partial(
        _score_job,
        sample_rate=sample_rate,
        metrics=check_choices(metrics, variant, options.get("model_files")),
        variant=variant,
        **options,
    )
    if num_workers == 0:
        return (score(pair) for pair in pairs)
    return _score_in_pool(score, pairs, num_workers)


def _score_job(
    job: tuple[str, Signal, Signal],
    sample_rate: int,
    metrics: tuple[str, ...],
    **options: Any,
) -> Row:
    name, estimate, target = job
    if estimate is None:
        return _missing_row(name, metrics, "there is no estimate")
    try:
        estimate, estimate_rate = _read(estimate, sample_rate)
        target, target_rate = _read(target, sample_rate)
    except (soundfile.LibsndfileError, OSError) as error:
        return _missing_row(name, metrics, f"cannot read: {error}")
    if target is not None and estimate_rate != target_rate:
        reason = f"sample rates differ: estimate {estimate_rate}, target {target_rate}"
        return _missing_row(name, metrics, f"{reason} Hz")
    # The last digit of a matrix product hangs on the number of threads; a score must
    # not hang on the number of workers.
    with _limited_threads("blas"):
        row = score_pair(estimate, target, estimate_rate, metrics, **options)
    return {"id": name, **row}


def _missing_row(name: str, metrics: tuple[str, ...], reason: str) -> Row:
    values = dict.fromkeys(metrics, float("nan"))
    return {"id": name, **values, "reasons": dict.fromkeys(metrics, reason)}


def _read(signal: Signal, sample_rate: int) -> tuple[np.ndarray | None, int]:
    if isinstance(signal, (str, Path)):
        return soundfile.read(signal, dtype="float64")
    return signal, sample_rate


def _score_in_pool(
    score: partial, jobs: Iterable[tuple[str, Signal, Signal]], num_workers: int
) -> Generator[Row, None, None]:
    context = multiprocessing.get_context("spawn")
    until_closed, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(num_workers, context, _start_worker, (until_closed,))
    waiting = deque()
    try:
        for job in jobs:
            with _interrupts_postponed():
                waiting.append(pool.submit(score, job))
            if len(waiting) >= QUEUED_PER_WORKER * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        pool.shutdown()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a scoring process died, perhaps out of memory: use fewer workers"
        ) from error
    finally:
        # Workers leave at once. Waiting for what they do would, interrupted by a
        # second Ctrl-C, wait for ever.
        lifeline.close()
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _interrupts_postponed() -> Iterator[None]:
    """Ctrl-C waits until the end; processes started meanwhile never see it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(until_closed: Connection) -> None:
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after, args=(until_closed,), daemon=True).start()
    _limited_threads()


def _limited_threads(kind: str | None = None) -> AbstractContextManager:
    """One thread from now on; those there were again after a ``with`` block."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(limits=1, user_api=kind)


def _exit_after(until_closed: Connection) -> None:
    # The other end closes when the parent is done with it, or dies, even if killed:
    # a worker would wait for jobs for ever, on a pipe whose other end it holds itself.
    with suppress(EOFError, OSError):
        until_closed.recv_bytes()
    os._exit(1)
