"""SpeechBrain data sets of (noisy, clean) pairs that lie on the disk."""

from collections.abc import Sequence
from pathlib import Path

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import DynamicItem

from sesame.data.audio import audio_info, read_audio
from sesame.data.crops import RandomCrop, tile
from sesame.data.manifest import read_manifest

OUTPUT_KEYS = ("id", "noisy_sig", "clean_sig")


def read_aligned(
    item_id: str,
    paths: Sequence[str],
    sample_rate: int,
    crop: RandomCrop | None = None,
) -> list[torch.Tensor]:
    """Read signals that belong together, all at the same place.

    Shape: -> (L,) each.

    Arguments
    ---------
    item_id : str
        Key of the crop.
    paths : Sequence[str]
        Files of equal length.
    sample_rate : int
        Hz, checked against the files.
    crop : RandomCrop | None
        Cuts a segment; ``None`` reads whole files.

    Returns
    -------
    list[torch.Tensor]
        float32, in the order of ``paths``.

    Raises
    ------
    ValueError
        If the files differ in length, are not at ``sample_rate``, or cannot be read.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> soundfile.write(path, np.zeros(100), 16000)
    >>> [len(signal) for signal in read_aligned("a", [path, path], 16000)]
    [100, 100]
    """
    infos = [audio_info(path) for path in paths]
    for path, info in zip(paths, infos, strict=True):
        if info.sample_rate != sample_rate:
            raise ValueError(
                f"sample rate of {path} ({info.sample_rate} Hz) must be "
                f"{sample_rate} Hz"
            )
        if info.num_samples != infos[0].num_samples:
            raise ValueError(
                f"{paths[0]} ({infos[0].num_samples} samples) and {path} "
                f"({info.num_samples} samples) must have equal lengths"
            )
    start, stop = 0, infos[0].num_samples
    length = stop
    if crop is not None:
        start, stop = crop.span(item_id, stop)
        length = crop.length
    return [
        torch.from_numpy(tile(read_audio(path, None, start, stop - start), length))
        for path in paths
    ]


class ReadPair:
    """Reads a noisy and a clean file, both at the same place.

    A class, not a closure, so that data loader workers can be started by any method.

    Shape: -> noisy (L,), clean (L,).

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
    >>> noisy, clean = ReadPair(16000, RandomCrop(40, seed=0))("a", path, path)
    >>> noisy.shape, clean.dtype
    (torch.Size([40]), torch.float32)
    """

    def __init__(self, sample_rate: int, crop: RandomCrop | None = None):
        self.sample_rate = sample_rate
        self.crop = crop

    def __call__(
        self, item_id: str, noisy_wav: str, clean_wav: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one pair.

        Arguments
        ---------
        item_id : str
            Id of the pair, key of the crop.
        noisy_wav : str
            Noisy file.
        clean_wav : str
            Clean file.

        Returns
        -------
        tuple[torch.Tensor, torch.Tensor]
            Noisy and clean waveform, float32.

        Raises
        ------
        ValueError
            If the files differ in length, are not at ``sample_rate``, or cannot be
            read.
        """
        noisy, clean = read_aligned(
            item_id, (noisy_wav, clean_wav), self.sample_rate, self.crop
        )
        return noisy, clean


def paired_dataset(
    manifest_path: str | Path,
    data_root: str | Path,
    crop: RandomCrop | None = None,
    sample_rate: int = 16_000,
) -> DynamicItemDataset:
    """Data set of the pairs of a manifest.

    A manifest that is missing, broken or empty is a ``ValueError``.

    Shape: items with noisy_sig (L,) and clean_sig (L,), float32.

    Arguments
    ---------
    manifest_path : str | Path
        JSON with ``noisy_wav`` and ``clean_wav`` for each id; see
        ``sesame.data.write_manifest``.
    data_root : str | Path
        Folder that ``{data_root}`` stands for; ``{save_root}`` is the folder of the
        manifest.
    crop : RandomCrop | None
        Cuts segments (training); ``None`` gives whole utterances.
    sample_rate : int
        Hz that the files must have.

    Returns
    -------
    DynamicItemDataset
        Items with the keys ``id``, ``noisy_sig``, ``clean_sig``.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> from sesame.data import write_manifest
    >>> root = getfixture("tmp_path")
    >>> soundfile.write(root / "a.wav", np.zeros(16000), 16000)
    >>> path = "{data_root}/a.wav"
    >>> entry = {"noisy_wav": path, "clean_wav": path, "length": 1.0}
    >>> write_manifest(root / "train.json", {"a": entry})
    >>> dataset = paired_dataset(root / "train.json", root, RandomCrop(4000, seed=1))
    >>> dataset[0]["noisy_sig"].shape
    torch.Size([4000])
    """
    read_pair = DynamicItem(
        takes=["id", "noisy_wav", "clean_wav"],
        func=ReadPair(sample_rate, crop),
        provides=["noisy_sig", "clean_sig"],
    )
    return DynamicItemDataset(
        read_manifest(manifest_path, data_root), [read_pair], list(OUTPUT_KEYS)
    )
