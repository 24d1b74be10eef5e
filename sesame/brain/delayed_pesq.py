"""PESQ of training batches, computed beside the loop and used some steps later."""

import logging
from collections import deque
from functools import partial
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from sesame.brain.workers import WorkerPool, rank_and_world
from sesame.metrics import pesq_wb

__all__ = ["DelayedPESQ"]

logger = logging.getLogger(__name__)


@partial(register_checkpoint_hooks, save_on_main_only=False)
class DelayedPESQ:
    """First-in, first-out line of batches whose PESQ is being computed.

    The loop pushes the batch it has just enhanced and pops the one pushed ``lag``
    steps before, by then scored by the workers: training never waits for PESQ. The lag
    counts steps, not time, so that runs are reproducible, and the line is part of the
    checkpoint (one file per rank), so that a resumed run goes on as if it had never
    stopped.

    Arguments
    ---------
    pool : WorkerPool
        Where PESQ runs.
    sample_rate : int
        Hz.
    lag : int
        Steps between push and pop; 0 waits for the scores as the papers' code does.

    Raises
    ------
    ValueError
        If ``lag`` is negative.

    Example
    -------
    >>> line = DelayedPESQ(WorkerPool(0), sample_rate=16000, lag=1)
    >>> line.push(torch.zeros(2, 8000), torch.zeros(2, 8000))
    >>> line.pop() is None
    True
    >>> line.push(torch.zeros(2, 8000), torch.zeros(2, 8000))
    >>> line.pop()[2]
    tensor([nan, nan])
    """

    def __init__(self, pool: WorkerPool, sample_rate: int, lag: int = 1):
        if lag < 0:
            raise ValueError(f"lag ({lag}) must be at least 0")
        self.pool = pool
        self.sample_rate = sample_rate
        self.lag = lag
        self._line = deque()

    def push(self, enhanced: torch.Tensor, clean: torch.Tensor) -> None:
        """Starts scoring a batch.

        Arguments
        ---------
        enhanced : torch.Tensor
            Estimates (B, L).
        clean : torch.Tensor
            Targets (B, L).
        """
        enhanced, clean = enhanced.detach().float(), clean.detach().float()
        futures = [
            self.pool.submit(pesq_wb, estimate, target, self.sample_rate)
            for estimate, target in zip(
                enhanced.cpu().numpy(), clean.cpu().numpy(), strict=True
            )
        ]
        self._line.append((enhanced, clean, futures))

    def pop(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Takes the batch pushed ``lag`` steps ago.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None
            Enhanced (B, L), clean (B, L) and PESQ (B,), NaN where it could not be
            computed; ``None`` during the first ``lag`` steps.
        """
        if len(self._line) <= self.lag:
            return None
        enhanced, clean, futures = self._line.popleft()
        scores = [_score(future) for future in futures]
        return enhanced, clean, torch.tensor(scores, device=enhanced.device)

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Saves the waveforms that wait; their scores are computed again on loading.

        Arguments
        ---------
        path : Path
            File of the main rank; rank r > 0 adds ``.rank<r>``.
        """
        waiting = [(e.cpu(), c.cpu()) for e, c, _ in self._line]
        torch.save({"waiting": waiting}, _rank_path(path))

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Puts the saved waveforms back in line.

        Arguments
        ---------
        path : Path
            As for ``save``. A rank whose file is absent (another number of processes)
            starts with an empty line.
        end_of_epoch : bool
            Not used.
        """
        del end_of_epoch
        self._line.clear()
        path = _rank_path(path)
        if not path.is_file():
            logger.warning("%s is absent: this rank's PESQ line starts empty", path)
            return
        for enhanced, clean in torch.load(path, weights_only=True)["waiting"]:
            self.push(enhanced, clean)


def _rank_path(path):
    rank, _ = rank_and_world()
    return path if rank == 0 else path.with_name(f"{path.name}.rank{rank}")


def _score(future) -> float:
    try:
        return future.result().value
    # A worker that died or could not import must not stop the other ranks.
    except Exception as error:
        logger.warning("PESQ failed: %s", error)
        return float("nan")
