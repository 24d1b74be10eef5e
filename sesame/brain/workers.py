"""Processes: the ranks of a run, and workers for measures on the CPU such as PESQ."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch

__all__ = ["WorkerPool", "rank_and_world"]


def rank_and_world() -> tuple[int, int]:
    """Number of this process among all nodes, and how many there are.

    Returns
    -------
    tuple[int, int]
        (0, 1) outside distributed training.

    Example
    -------
    >>> rank_and_world()
    (0, 1)
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


class WorkerPool:
    """Runs functions beside the training loop.

    The processes are spawned at the first call and live until ``close``, or until the
    calling process dies, even if it is killed. A worker that dies takes the jobs that
    wait with it (their futures raise); the pool is made anew.

    Arguments
    ---------
    num_workers : int
        Number of processes; 0 runs every job at once in the calling process.

    Raises
    ------
    ValueError
        If ``num_workers`` is negative.

    Example
    -------
    >>> WorkerPool(num_workers=0).submit(max, 3, 5).result()
    5
    """

    def __init__(self, num_workers: int):
        if num_workers < 0:
            raise ValueError(f"num_workers ({num_workers}) must be at least 0")
        self.num_workers = num_workers
        self._executor = None

    def submit(self, function: Callable, *arguments: object) -> Future:
        """Queues a call.

        Arguments
        ---------
        function : Callable
            Importable function.
        *arguments : object
            Its arguments; they are pickled.

        Returns
        -------
        concurrent.futures.Future
            Gives the result, or raises what the call raised.
        """
        if self.num_workers == 0:
            future = Future()
            try:
                future.set_result(function(*arguments))
            # The contract of a future: whatever the call raised waits in it.
            except Exception as error:
                future.set_exception(error)
            return future
        try:
            return self._running().submit(function, *arguments)
        except BrokenProcessPool:
            self.close()
            return self._running().submit(function, *arguments)

    def close(self) -> None:
        """Ends the processes; jobs that wait are dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _running(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # Forking a process that runs OpenMP or CUDA threads can dead-lock.
            self._executor = ProcessPoolExecutor(
                self.num_workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with_parent,
            )
        return self._executor


def _end_with_parent():
    # A worker waits for jobs on a pipe whose other end it holds itself: it would
    # outlive a parent that is killed, for ever.
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent():
    multiprocessing.parent_process().join()
    os._exit(1)
