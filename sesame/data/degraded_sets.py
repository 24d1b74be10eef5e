"""Degraded speech at several rates for training, and task by task for tests."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Sampler

from sesame.data.crops import Counter, current_epoch, keyed_rng
from sesame.data.degraded_speech import degraded_dataset


class MultiRateDataset(ConcatDataset):
    """Sets of one sampling rate each, one after the other; items tell their rate.

    Arguments
    ---------
    datasets : Mapping[int, Any]
        Set of each sampling rate [Hz], items are mappings.
    batches : Sampler
        Indices of batches of one rate.

    Example
    -------
    >>> sampler = RateBatchSampler([2, 1], [1.0, 1.0], 1, 2, seed=0)
    >>> rates = {8000: [{"id": "a"}, {"id": "b"}], 16000: [{"id": "a"}]}
    >>> MultiRateDataset(rates, sampler)[2]
    {'id': 'a', 'sample_rate': 16000}
    """

    def __init__(self, datasets: Mapping[int, Any], batches: Sampler):
        super().__init__(datasets.values())
        self.rates = [
            rate for rate, dataset in datasets.items() for _ in range(len(dataset))
        ]
        self.batches = batches

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Get one item.

        Arguments
        ---------
        index : int
            Place among the items of all rates.

        Returns
        -------
        dict[str, Any]
            The item with its ``sample_rate``.
        """
        return {**super().__getitem__(index), "sample_rate": self.rates[index]}


class RateBatchSampler(Sampler):
    """Draws a group for each batch, and items of it: batches are of one group.

    Everything depends on (seed, epoch) only. A group is gone through in random order;
    its items come again in an epoch only where there are fewer than are asked for.

    Arguments
    ---------
    sizes : Sequence[int]
        Items of each group; indices count through the groups one after the other.
    weights : Sequence[float]
        Weight of each group.
    batch_size : int
        Items of a batch.
    num_batches : int
        Batches of an epoch.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` gives the same for ever.

    Raises
    ------
    ValueError
        If a group is empty, or a number or weight is out of range.

    Example
    -------
    >>> sampler = RateBatchSampler([3, 3], [1.0, 1.0], 2, num_batches=3, seed=1)
    >>> [sorted(batch) for batch in sampler]
    [[3, 4], [0, 2], [1, 2]]
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        batch_size: int,
        num_batches: int,
        seed: int,
        epoch_counter: Counter | None = None,
    ):
        for name, value in (("batch_size", batch_size), ("num_batches", num_batches)):
            if value < 1:
                raise ValueError(f"{name} ({value}) must be at least 1")
        if len(sizes) == 0 or min(sizes) < 1:
            raise ValueError(f"sizes ({list(sizes)}) must be at least 1 each")
        if len(weights) != len(sizes):
            raise ValueError(
                f"number of weights ({len(weights)}) must be that of sizes "
                f"({len(sizes)})"
            )
        if min(weights) < 0 or not 0 < sum(weights) < math.inf:
            raise ValueError(f"weights ({list(weights)}) must be 0 or more, not all 0")
        self.sizes = list(sizes)
        self.shares = [weight / sum(weights) for weight in weights]
        self.batch_size = batch_size
        self.num_batches = num_batches
        self.seed = seed
        self.epoch_counter = epoch_counter

    def __len__(self) -> int:
        """Batches of an epoch.

        Returns
        -------
        int
            ``num_batches``.
        """
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Draw the batches of the current epoch.

        Yields
        ------
        list[int]
            Indices of each batch.
        """
        epoch = current_epoch(self.epoch_counter)
        rng = keyed_rng(self.seed, epoch, "batches of one rate")
        starts = [sum(self.sizes[:i]) for i in range(len(self.sizes))]
        waiting: list[list[int]] = [[] for _ in self.sizes]
        for _ in range(self.num_batches):
            group = int(rng.choice(len(self.sizes), p=self.shares))
            batch = []
            for _ in range(self.batch_size):
                if not waiting[group]:
                    waiting[group] = rng.permutation(self.sizes[group]).tolist()
                batch.append(starts[group] + waiting[group].pop())
            yield batch


def multi_rate_dataset(
    speech_folder: str | Path | Sequence[str | Path],
    sample_rates: Mapping[int, float],
    segment_seconds: float,
    batch_size: int,
    num_batches: int,
    seed: int = 0,
    epoch_counter: Counter | None = None,
    **options: Any,
) -> MultiRateDataset:
    """Speech degraded at several sampling rates; each batch is of one of them.

    At each rate only files of at least this rate are used: above half of their own
    there is nothing to learn.

    Shape: items with degraded_sig, target_sig and far_end_sig (L,), enrollment_sig
    (Le,), L in proportion to the rate.

    Arguments
    ---------
    speech_folder : str | Path | Sequence[str | Path]
        Folder of clean speech, or several.
    sample_rates : Mapping[int, float]
        Weight of each sampling rate [Hz]; those of weight 0 are left out.
    segment_seconds : float
        Length of a segment.
    batch_size : int
        Items of a batch.
    num_batches : int
        Batches of an epoch, those of all ranks together.
    seed : int
        Seed of the run.
    epoch_counter : Counter | None
        Object whose ``current`` is the epoch; ``None`` gives the same for ever.
    **options : Any
        More for ``degraded_dataset``, such as ``noise_folder``.

    Returns
    -------
    MultiRateDataset
        Items of ``degraded_dataset`` with their ``sample_rate``; its ``batches`` are
        the batch sampler of a loader.

    Raises
    ------
    ValueError
        If a weight is negative or all are 0, there is no speech of a rate, or
        ``degraded_dataset`` refuses its arguments.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.linspace(-0.1, 0.1, 800), 16000)
    >>> rates, tasks = {8000: 0.5, 16000: 0.5}, {"declip": 1.0}
    >>> dataset = multi_rate_dataset(folder, rates, 0.025, 2, 5, tasks=tasks)
    >>> [len(item["degraded_sig"]) for item in dataset], len(dataset.batches)
    ([200, 400], 5)
    """
    wanted = {int(rate): weight for rate, weight in sample_rates.items() if weight}
    if not wanted or min(wanted.values()) < 0:
        raise ValueError(
            f"weights of sample_rates ({dict(sample_rates)}) must be 0 or more, and "
            "not all 0"
        )
    datasets = {
        rate: degraded_dataset(
            speech_folder,
            segment_length=round(segment_seconds * rate),
            sample_rate=rate,
            seed=seed,
            epoch_counter=epoch_counter,
            min_native_rate=rate,
            **options,
        )
        for rate in wanted
    }
    batches = RateBatchSampler(
        [len(dataset) for dataset in datasets.values()],
        list(wanted.values()),
        batch_size,
        num_batches,
        seed,
        epoch_counter,
    )
    return MultiRateDataset(datasets, batches)


def task_datasets(
    speech_folder: str | Path | Sequence[str | Path],
    tasks: Sequence[str],
    **options: Any,
) -> ConcatDataset:
    """The same utterances degraded for one task after the other, always the same.

    Arguments
    ---------
    speech_folder : str | Path | Sequence[str | Path]
        Folder of clean speech, or several.
    tasks : Sequence[str]
        Names of tasks; see ``degraded_dataset``.
    **options : Any
        More for ``degraded_dataset``, such as ``noise_folder``.

    Returns
    -------
    ConcatDataset
        Items of ``degraded_dataset``; those of different tasks may share an id.

    Raises
    ------
    ValueError
        If there is no task, or ``degraded_dataset`` refuses its arguments.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "a.wav", np.linspace(-0.1, 0.1, 800), 16000)
    >>> dataset = task_datasets(folder, ["declip", "conceal"])
    >>> [(item["id"], item["task"]) for item in dataset]
    [('a', 'declip'), ('a', 'conceal')]
    """
    if len(tasks) == 0:
        raise ValueError("tasks () must have at least one name")
    return ConcatDataset(
        [
            degraded_dataset(speech_folder, tasks={name: 1.0}, **options)
            for name in tasks
        ]
    )
