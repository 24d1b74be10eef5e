"""SpeechBrain data sets of mixtures and their sources that lie on the disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem

from sesame.data.crops import RandomCrop
from sesame.data.manifest import read_manifest
from sesame.data.pipelines import read_aligned

SEPARATION_KEYS = ("id", "mixture_sig", "source_sigs")


def mixture_keys(num_speakers: int) -> tuple[str, ...]:
    """Keys of the files of a mixture in a manifest.

    Arguments
    ---------
    num_speakers : int
        J.

    Returns
    -------
    tuple[str, ...]
        The mixture, then its sources.

    Example
    -------
    >>> mixture_keys(2)
    ('mixture_wav', 's1_wav', 's2_wav')
    """
    return ("mixture_wav", *(f"s{j}_wav" for j in range(1, num_speakers + 1)))


class ReadMixture:
    """Reads a mixture and its sources, all at the same place.

    Shape: -> mixture (L,), sources (J, L).

    Arguments
    ---------
    sample_rate : int
        Hz, checked against the files.
    crop : RandomCrop | None
        Cuts a segment; ``None`` reads whole files.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.zeros(100), 16000)
    >>> read = ReadMixture(16000, RandomCrop(40, seed=0))
    >>> mixture, sources = read("a", path, path, path)
    >>> mixture.shape, sources.shape
    (torch.Size([40]), torch.Size([2, 40]))
    """

    def __init__(self, sample_rate: int, crop: RandomCrop | None = None):
        self.sample_rate = sample_rate
        self.crop = crop

    def __call__(
        self, item_id: str, mixture_wav: str, *source_wavs: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one mixture.

        Arguments
        ---------
        item_id : str
            Id of the mixture, key of the crop.
        mixture_wav : str
            Its file.
        *source_wavs : str
            Files of its sources.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            Mixture and sources, float32.
        """
        mixture, *sources = read_aligned(
            item_id, (mixture_wav, *source_wavs), self.sample_rate, self.crop
        )
        return mixture, torch.stack(sources)


def separation_dataset(
    manifest_path: str | Path,
    data_root: str | Path,
    crop: RandomCrop | None = None,
    sample_rate: int = 16_000,
) -> DynamicItemDataset:
    """Data set of the mixtures of a manifest.

    The number of sources is that of the manifest. A crop cuts mixture and sources at
    the same place; mixtures shorter than it are repeated.

    Shape: items with mixture_sig (L,) and source_sigs (J, L), float32.

    Arguments
    ---------
    manifest_path : str | Path
        JSON with ``mixture_wav``, ``s1_wav``, ``s2_wav`` and so on for each id; see
        ``sesame.data.prepare_librimix``.
    data_root : str | Path
        Folder that ``{data_root}`` stands for.
    crop : RandomCrop | None
        Cuts segments (training); ``None`` gives whole mixtures.
    sample_rate : int
        Hz that the files must have.

    Returns
    -------
    DynamicItemDataset
        Items with the keys ``id``, ``mixture_sig``, ``source_sigs``; batches of unequal
        lengths need ``separation_batch``.

    Raises
    ------
    ValueError
        If the manifest is missing, broken or empty, or its mixtures differ in their
        number of sources.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> from sesame.data.manifest import write_manifest
    >>> root = getfixture("tmp_path")
    >>> soundfile.write(root / "a.wav", np.zeros(16000), 16000)
    >>> entry = {key: "{data_root}/a.wav" for key in mixture_keys(2)}
    >>> entries = {"a": {**entry, "length": 1.0}}
    >>> write_manifest(root / "train.json", entries, mixture_keys(2))
    >>> dataset = separation_dataset(root / "train.json", root, RandomCrop(4000, 1))
    >>> dataset[0]["source_sigs"].shape
    torch.Size([2, 4000])
    """
    entries = read_manifest(manifest_path, data_root, ("length", *mixture_keys(1)))
    num_speakers = {item_id: _count(entry) for item_id, entry in entries.items()}
    first, expected = next(iter(num_speakers.items()))
    for item_id, number in num_speakers.items():
        if number != expected:
            raise ValueError(
                f"manifest {manifest_path}: number of sources of {item_id} ({number}) "
                f"must be that of {first} ({expected})"
            )
    read_mixture = DynamicItem(
        takes=["id", *mixture_keys(expected)],
        func=ReadMixture(sample_rate, crop),
        provides=["mixture_sig", "source_sigs"],
    )
    return DynamicItemDataset(entries, [read_mixture], list(SEPARATION_KEYS))


def _count(entry: Mapping[str, Any]) -> int:
    number = 1
    while f"s{number + 1}_wav" in entry:
        number += 1
    return number


def pad_last_axis(tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack tensors, each followed by zeros up to the longest.

    Shape: B of (..., L_b) -> (B, ..., L), (B,).

    Arguments
    ---------
    tensors : Sequence[torch.Tensor]
        Equal in all axes but the last.

    Returns
    -------
    tuple[torch.Tensor, torch.Tensor]
        Padded tensors, and lengths as parts of the longest in (0, 1], as SpeechBrain
        counts: ``(lengths * L).round()`` are samples.

    Example
    -------
    >>> data, lengths = pad_last_axis([torch.ones(2, 3), torch.ones(2, 4)])
    >>> data.shape, lengths.tolist()
    (torch.Size([2, 2, 4]), [0.75, 1.0])
    """
    longest = max(tensor.shape[-1] for tensor in tensors)
    padded = [
        torch.nn.functional.pad(tensor, (0, longest - tensor.shape[-1]))
        for tensor in tensors
    ]
    lengths = [tensor.shape[-1] / longest for tensor in tensors]
    return torch.stack(padded), torch.tensor(lengths)


def separation_batch(examples: list[dict[str, Any]]) -> PaddedBatch:
    """Collates mixtures and sources of unequal lengths: ``collate_fn`` of a loader.

    SpeechBrain's own padding only takes tensors that differ in their first axis, and so
    not sources (J, L).

    Arguments
    ---------
    examples : list[dict[str, Any]]
        Items of a data set.

    Returns
    -------
    PaddedBatch
        With ``mixture_sig.data`` (B, L), ``source_sigs.data`` (B, J, L), and
        ``lengths`` (B,) of both; see ``pad_last_axis``.

    Example
    -------
    >>> batch = separation_batch(
    ...     [{"id": str(n), "source_sigs": torch.ones(2, n)} for n in (3, 4)]
    ... )
    >>> batch.id, batch.source_sigs.data.shape
    (['3', '4'], torch.Size([2, 2, 4]))
    """
    return PaddedBatch(examples, padding_func=pad_last_axis)
