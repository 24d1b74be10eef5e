"""Scores of one network at several sizes on several tasks: a table."""

import csv
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sesame.brain.scoring import as_stored
from sesame.brain.workers import WorkerPool, rank_and_world
from sesame.metrics import score_restoration, summarize, write_scores
from sesame.metrics.task_table import UNPROCESSED

__all__ = ["TaskScores", "size_facts"]

logger = logging.getLogger(__name__)


class TaskScores:
    """Collects what sub-networks make of utterances and scores it in workers.

    Arguments
    ---------
    pool : WorkerPool
        Where the metrics run.
    sample_rate : int
        Hz.
    metrics : Sequence[str]
        Names that ``score_restoration`` knows.
    composite_variant : str
        ``loizou`` or ``cmgan``.
    sizes : Mapping[str, Mapping[str, Any]]
        Names of the sizes, the full one first, and what the table says of each.
    with_input : bool
        Score the input, too.

    Raises
    ------
    ValueError
        If there is no size.

    Example
    -------
    >>> sizes = {"16x2": {"parameters": 900}}
    >>> scores = TaskScores(WorkerPool(0), 16000, ["erle"], "loizou", sizes, False)
    >>> echo, silence = np.ones(160), np.zeros(160)
    >>> scores.add("cancel_echo", "a", {"16x2": 0.1 * echo}, silence, echo)
    >>> round(scores.gather()["erle"]["mean"])
    20
    """

    def __init__(
        self,
        pool: WorkerPool,
        sample_rate: int,
        metrics: Sequence[str],
        composite_variant: str,
        sizes: Mapping[str, Mapping[str, Any]],
        with_input: bool,
    ):
        if not sizes:
            raise ValueError("sizes ({}) must have at least one")
        self.pool = pool
        self.sample_rate = sample_rate
        self.metrics = tuple(metrics)
        self.composite_variant = composite_variant
        self.sizes = dict(sizes)
        self.with_input = with_input
        self._pending = []
        self._rows = {}

    def add(
        self,
        task: str,
        name: str,
        outputs: Mapping[str, np.ndarray],
        target: np.ndarray,
        mixture: np.ndarray,
    ) -> None:
        """Starts scoring one utterance.

        Arguments
        ---------
        task : str
            Its task.
        name : str
            Its identifier.
        outputs : Mapping[str, np.ndarray]
            Size and output (L,), in step with the target.
        target : np.ndarray
            Target (L,).
        mixture : np.ndarray
            Input (L,).
        """
        signals = {
            size: as_stored(output, self.sample_rate)
            for size, output in outputs.items()
        }
        if self.with_input:
            signals = {UNPROCESSED: mixture} | signals
        settings = self.sample_rate, self.metrics, self.composite_variant
        for size, signal in signals.items():
            job = self.pool.submit(
                score_restoration, signal, target, mixture, *settings
            )
            self._pending.append((task, size, name, job))

    def gather(self) -> dict:
        """Waits for the scores, puts those of all ranks together, logs a table.

        Returns
        -------
        dict
            Summary over all tasks, alike on every rank: metric -> mean, n_scored,
            n_total, of the full network; of another size under "metric size".
        """
        own = [
            (task, size, {"id": name} | self._row(job))
            for task, size, name, job in self._pending
        ]
        _, world = rank_and_world()
        shares = [own]
        if world > 1:
            shares = [None] * world
            torch.distributed.all_gather_object(shares, own)
        entries = [entry for share in shares for entry in share]
        self._rows = {}
        for task, size, row in sorted(entries, key=lambda e: (e[0], e[2]["id"])):
            self._rows.setdefault((task, size), []).append(row)
        table = "\n".join(",".join(map(str, line)) for line in self._table())
        logger.info("Scores per task and size\n%s", table)
        summary = {}
        for size in self.sizes:
            for name, entry in summarize(self._all_tasks(size), self.metrics).items():
                summary[
                    name if size == next(iter(self.sizes)) else f"{name} {size}"
                ] = entry
        return summary

    def write(self, folder: str | Path) -> None:
        """Writes the scores.

        ``test_scores.csv`` and ``.json`` hold the full network over all tasks,
        ``noisy_scores`` the inputs, ``task_scores.csv`` and ``.json`` the table of
        tasks and sizes.

        Arguments
        ---------
        folder : str | Path
            Existing folder; call on one rank only.
        """
        folder = Path(folder)
        files = {next(iter(self.sizes)): "test_scores"}
        if self.with_input:
            files[UNPROCESSED] = "noisy_scores"
        for size, file in files.items():
            write_scores(
                self._all_tasks(size),
                folder / f"{file}.csv",
                folder / f"{file}.json",
                self.metrics,
                self.composite_variant,
            )
        with (folder / "task_scores.csv").open("w", newline="", encoding="utf-8") as f:
            csv.writer(f, lineterminator="\n").writerows(self._table())
        content: dict[str, Any] = {"sizes": self.sizes, "tasks": {}}
        for (task, size), rows in self._rows.items():
            summary = {
                name: entry | {"mean": _number(entry["mean"], None)}
                for name, entry in summarize(rows, self.metrics).items()
            }
            content["tasks"].setdefault(task, {})[size] = summary
        text = json.dumps(content, indent=2) + "\n"
        (folder / "task_scores.json").write_text(text, encoding="utf-8")

    def _table(self):
        """Lines: one for each task and size, without a value where there is none."""
        facts = list(next(iter(self.sizes.values())))
        counts = [f"n_{name}" for name in self.metrics]
        lines = [["task", "size", *facts, *self.metrics, *counts, "n_total"]]
        tasks = dict.fromkeys(task for task, _ in self._rows)
        for task in tasks:
            for size in [UNPROCESSED, *self.sizes]:
                if (task, size) not in self._rows:
                    continue
                rows = self._rows[task, size]
                known = self.sizes.get(size, dict.fromkeys(facts, ""))
                entries = summarize(rows, self.metrics).values()
                means = [_number(entry["mean"], "") for entry in entries]
                scored = [entry["n_scored"] for entry in entries]
                lines.append([task, size, *known.values(), *means, *scored, len(rows)])
        return lines

    def _all_tasks(self, size):
        return [
            row | {"id": f"{task}/{row['id']}"}
            for (task, of), rows in self._rows.items()
            for row in rows
            if of == size
        ]

    def _row(self, job):
        try:
            return job.result()
        # A worker that died must not stop the other ranks.
        except Exception as error:
            logger.warning("Scoring failed: %s", error)
            reason = str(error) or type(error).__name__
            return dict.fromkeys(self.metrics, float("nan")) | {
                "reasons": dict.fromkeys(self.metrics, reason)
            }


def _number(value, missing):
    return round(value, 4) if math.isfinite(value) else missing


def size_facts(
    network: torch.nn.Module, width: float, depth: int, sample_rate: int
) -> dict[str, float]:
    """What a table says of a sub-network.

    Arguments
    ---------
    network : torch.nn.Module
        Slimmable network, such as SEFlow.
    width : float
        Fraction of its channels.
    depth : int
        Blocks.
    sample_rate : int
        Hz for which operations are counted.

    Returns
    -------
    dict[str, float]
        ``width``, ``depth``, ``parameters`` of the stand-alone network and
        ``gmacs_per_second``.

    Example
    -------
    >>> from sesame.models import SEFlow
    >>> network = SEFlow(width=16, depth=2, head_channels=4)
    >>> size_facts(network, 0.25, 1, 16000)["parameters"]
    4913
    """
    small = network.subnet(width, depth)
    return {
        "width": width,
        "depth": depth,
        "parameters": sum(p.numel() for p in small.parameters()),
        "gmacs_per_second": network.macs_per_second(sample_rate, width, depth) / 1e9,
    }
