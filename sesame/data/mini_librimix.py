"""A small Libri2Mix of the voices of data/minibank: the way of the recipe in minutes.

Its voices are synthetic, its scores say nothing about real speech.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from speechbrain.dataio.dataset import DynamicItemDataset

from sesame.data.speaker_mixing import speaker_mixture_dataset

VALID_SPEAKERS = ("p226", "p287")


def write_librimix(
    datasets: Mapping[str, DynamicItemDataset],
    folder: str | Path,
    sample_rate: int = 16_000,
) -> None:
    """Write mixtures to the disk, in the folders of LibriMix.

    Written are ``wav16k/min/SET/{mix_clean,s1,s2,...}/ID.wav`` with 16 bits and, last,
    ``wav16k/min/metadata/mixture_SET_mix_clean.csv``. Files of the same names are
    replaced.

    Arguments
    ---------
    datasets : Mapping[str, DynamicItemDataset]
        For each set (``train-100``, ``dev``, ``test``) a data set such as
        ``speaker_mixture_dataset`` gives, best without an epoch counter.
    folder : str | Path
        Such as ``Libri2Mix``.
    sample_rate : int
        Hz of the data sets.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("anna_1", "ben_1"):
    ...     soundfile.write(folder / f"{name}.wav", np.full(800, 0.1), 16000)
    >>> dataset = speaker_mixture_dataset(folder)
    >>> write_librimix({"test": dataset}, folder / "Libri2Mix")
    >>> written = folder / "Libri2Mix" / "wav16k" / "min" / "test"
    >>> sorted(path.name for path in (written / "s2").iterdir())
    ['anna_1.wav', 'ben_1.wav']
    """
    root = Path(folder) / f"wav{sample_rate // 1000}k" / "min"
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    for name, dataset in datasets.items():
        rows = []
        for item in dataset:
            signals = {"mix_clean": item["mixture_sig"]}
            signals |= {f"s{j}": s for j, s in enumerate(item["source_sigs"], start=1)}
            for part, signal in signals.items():
                path = root / name / part / f"{item['id']}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                # libsndfile would round down: half a bit of DC offset.
                rounded = np.rint(signal.numpy() * 2.0**15).astype(np.int16)
                soundfile.write(path, rounded, sample_rate, "PCM_16")
            rows.append((item["id"], len(item["mixture_sig"])))
        path = root / "metadata" / f"mixture_{name}_mix_clean.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("mixture_ID", "length"), *rows])


def make_mini_librimix(
    minibank_folder: str | Path,
    save_folder: str | Path,
    num_speakers: int = 2,
    sample_rate: int = 16_000,
    seed: int = 0,
) -> Path:
    """Mix the clean speech of minibank's speakers into a small LibriMix.

    Speakers of the sets are those of minibank's splits: 8 for ``train-100`` (40
    mixtures), 2 for ``dev`` (8), 2 for ``test`` (10). The same seed writes the same
    files.

    Arguments
    ---------
    minibank_folder : str | Path
        ``data/minibank``, or another corpus of its layout.
    save_folder : str | Path
        Where ``Libri2Mix`` goes.
    num_speakers : int
        Talkers of a mixture.
    sample_rate : int
        Hz.
    seed : int
        Seed of the mixtures.

    Returns
    -------
    Path
        ``save_folder / "Libri2Mix"``, for ``prepare_librimix``.

    Raises
    ------
    ValueError
        If a folder is missing or a set has too few speakers.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> speakers = {"trainset_28spk": ("p1", "p2", "p226", "p287")}
    >>> speakers["testset"] = ("p3", "p4")
    >>> for part, names in speakers.items():
    ...     (root / f"clean_{part}_wav").mkdir()
    ...     for name in names:
    ...         path = root / f"clean_{part}_wav" / f"{name}_001.wav"
    ...         soundfile.write(path, np.full(800, 0.1), 16000)
    >>> make_mini_librimix(root, root).name
    'Libri2Mix'
    """
    bank = Path(minibank_folder)
    training = bank / "clean_trainset_28spk_wav"
    options = {"num_speakers": num_speakers, "sample_rate": sample_rate, "seed": seed}
    datasets = {
        "train-100": speaker_mixture_dataset(
            training, exclude_speakers=VALID_SPEAKERS, **options
        ),
        "dev": speaker_mixture_dataset(training, speakers=VALID_SPEAKERS, **options),
        "test": speaker_mixture_dataset(bank / "clean_testset_wav", **options),
    }
    folder = Path(save_folder) / f"Libri{num_speakers}Mix"
    write_librimix(datasets, folder, sample_rate)
    return folder
