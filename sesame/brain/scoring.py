"""Scores of a validation or test set: computed beside the loop, gathered over ranks."""

import io
import logging
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch.utils.data import Dataset

from sesame.brain.workers import WorkerPool, rank_and_world
from sesame.metrics import (
    format_table,
    score_pair,
    score_separation,
    summarize,
    write_scores,
)

__all__ = ["EvaluationScores", "as_stored", "shard_loader_options", "write_wav"]

logger = logging.getLogger(__name__)


def shard_loader_options(dataset: Dataset, options: dict) -> dict:
    """Gives each rank every n-th utterance, none of them twice.

    Arguments
    ---------
    dataset : Dataset
        The whole set.
    options : dict
        Options of the data loader; left alone when there is one process.

    Returns
    -------
    dict
        The options, with a sampler where there are several ranks.

    Example
    -------
    >>> shard_loader_options([1, 2, 3], {"batch_size": 1})
    {'batch_size': 1}
    """
    rank, world = rank_and_world()
    if world == 1:
        return options
    return options | {"sampler": range(rank, len(dataset), world), "shuffle": False}


class EvaluationScores:
    """Collects enhanced or separated utterances and scores them in worker processes.

    Arguments
    ---------
    pool : WorkerPool
        Where the metrics run.
    sample_rate : int
        Hz.
    metrics : tuple[str, ...]
        Names that ``score_pair`` knows, of mixtures ``score_separation``.
    composite_variant : str
        ``loizou`` or ``cmgan``.
    with_noisy : bool
        Score the noisy input, too.

    Example
    -------
    >>> scores = EvaluationScores(WorkerPool(0), 16000, ("si_sdr",), "loizou", False)
    >>> tone = np.sin(np.arange(16000) / 9)
    >>> scores.add("a", tone + 0.1, tone, tone)
    >>> list(scores.gather())
    ['si_sdr']
    """

    def __init__(
        self,
        pool: WorkerPool,
        sample_rate: int,
        metrics: tuple[str, ...],
        composite_variant: str,
        with_noisy: bool,
    ):
        self.pool = pool
        self.sample_rate = sample_rate
        self.metrics = tuple(metrics)
        self.composite_variant = composite_variant
        self.kinds = ("noisy", "enhanced") if with_noisy else ("enhanced",)
        self._pending = []
        self._rows = {}

    def add(
        self, name: str, enhanced: np.ndarray, clean: np.ndarray, noisy: np.ndarray
    ) -> None:
        """Starts scoring one utterance.

        Arguments
        ---------
        name : str
            Its identifier.
        enhanced : np.ndarray
            Estimate (L,).
        clean : np.ndarray
            Target (L,).
        noisy : np.ndarray
            Input (L,).
        """
        self._submit(
            name, as_stored(enhanced, self.sample_rate), noisy, score_pair, clean
        )

    def add_separated(
        self,
        name: str,
        estimates: np.ndarray,
        targets: np.ndarray,
        mixture: np.ndarray,
    ) -> None:
        """Starts scoring one separated mixture.

        The scores of the input are those of the mixture in the place of every source.

        Arguments
        ---------
        name : str
            Its identifier.
        estimates : np.ndarray
            Separated signals (J, L), in any order.
        targets : np.ndarray
            Sources (J, L).
        mixture : np.ndarray
            Input (L,).
        """
        stored = as_stored(estimates, self.sample_rate)
        unprocessed = np.broadcast_to(mixture, targets.shape)
        self._submit(name, stored, unprocessed, score_separation, targets, mixture)

    def _submit(self, name, output, given, function, *references):
        signals = {"enhanced": output, "noisy": given}
        settings = self.sample_rate, self.metrics, self.composite_variant
        for kind in self.kinds:
            job = self.pool.submit(function, signals[kind], *references, *settings)
            self._pending.append((kind, name, job))

    def gather(self) -> dict:
        """Waits for the scores and puts those of all ranks together.

        Returns
        -------
        dict
            Summary of the enhanced utterances, alike on every rank:
            metric -> mean, n_scored, n_total.
        """
        own = [
            (kind, {"id": name} | self._row(job)) for kind, name, job in self._pending
        ]
        _, world = rank_and_world()
        shares = [own]
        if world > 1:
            shares = [None] * world
            torch.distributed.all_gather_object(shares, own)
        rows = sorted((row for share in shares for row in share), key=_kind_and_id)
        self._rows = {k: [row for kind, row in rows if kind == k] for k in self.kinds}
        return summarize(self._rows["enhanced"], self.metrics)

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

    def write(self, folder: str | Path) -> None:
        """Writes ``test_scores.csv`` and ``.json``, the same for noisy; logs a table.

        Arguments
        ---------
        folder : str | Path
            Existing folder; call on one rank only.
        """
        variant = self.composite_variant
        files = {"enhanced": "test_scores", "noisy": "noisy_scores"}
        for kind, rows in self._rows.items():
            path = Path(folder) / files[kind]
            write_scores(
                rows,
                path.with_suffix(".csv"),
                path.with_suffix(".json"),
                self.metrics,
                variant,
            )
        logger.info("Test scores\n%s", format_table(self._rows, variant))


def as_stored(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """What ``write_wav`` leaves of a signal: the published scores are those of files.

    Rounding to 16 bits fills digital silence with noise, which moves CSIG by up to a
    hundredth.

    Shape: waveform (L,) or (J, L) -> the same.

    Arguments
    ---------
    waveform : np.ndarray
        Samples.
    sample_rate : int
        Hz.

    Returns
    -------
    np.ndarray
        float32 multiples of 2^-15 within [-1, 1).

    Example
    -------
    >>> as_stored(np.array([0.5, 2.0]), 16000)
    array([0.5      , 0.9999695], dtype=float32)
    """
    file = io.BytesIO()
    soundfile.write(file, waveform.T, sample_rate, subtype="PCM_16", format="WAV")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0].T


def write_wav(path: Path, waveform: np.ndarray, sample_rate: int) -> None:
    """Writes a mono 16-bit file; samples outside +-1 saturate.

    Arguments
    ---------
    path : Path
        File to write; its folder is made.
    waveform : np.ndarray
        Samples (L,).
    sample_rate : int
        Hz.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, sample_rate, subtype="PCM_16")


def _kind_and_id(entry):
    return entry[0], str(entry[1]["id"])
