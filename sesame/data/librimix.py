"""LibriMix (Libri2Mix, Libri3Mix, ...): check what its scripts wrote, write manifests.

Source: Cosentino et al., "LibriMix: An Open-Source Dataset for Generalizable Speech
Separation", arXiv:2005.11262; JorisCos/LibriMix,
``scripts/create_librimix_from_metadata.py`` (folders, file names, metadata).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sesame.data.librimix_files import check_mixtures, list_mixtures
from sesame.data.manifest import templated_path, write_json, write_manifest
from sesame.data.separation import mixture_keys

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
TRAIN_SETS = ("train-100", "train-360")
MODES = ("min", "max")
TASKS = ("mix_clean", "mix_both")
# Mixtures of the published sets, by number of speakers.
FULL_COUNTS = {
    2: {"train-100": 13_900, "train-360": 50_800, "dev": 3_000, "test": 3_000},
    3: {"train-100": 9_300, "train-360": 33_900, "dev": 3_000, "test": 3_000},
}


def prepare_librimix(
    data_folder: str | Path,
    save_folder: str | Path,
    num_speakers: int = 2,
    sample_rate: int = 16_000,
    mode: str = "min",
    task: str = "mix_clean",
    train_set: str = "train-100",
    skip_prep: bool = False,
    splits: Sequence[str] = SPLITS,
) -> None:
    """Write train.json, valid.json, test.json and fingerprint.json.

    Read are ``wav16k/min/{train-100,dev,test}/{mix_clean,s1,s2}/ID.wav``; other
    arguments give other names. Names, rates, channels and lengths of all files are
    checked; against ``metadata/mixture_SET_TASK.csv`` too, where that is there; and 20
    mixtures of each split against the sum of their parts.

    Arguments
    ---------
    data_folder : str | Path
        ``Libri2Mix`` (``Libri3Mix``) or the folder it lies in; never written to.
    save_folder : str | Path
        Where the manifests go.
    num_speakers : int
        Speakers of a mixture.
    sample_rate : int
        Hz: which of ``wav16k`` and ``wav8k``. Nothing is resampled.
    mode : str
        ``"min"``: mixtures end with their shortest utterance; ``"max"``: with their
        longest, so that segments of a source may be silent.
    task : str
        ``"mix_clean"``, or ``"mix_both"`` for mixtures with noise.
    train_set : str
        ``"train-100"`` or ``"train-360"``. Results of the two do not compare.
    skip_prep : bool
        Do nothing.
    splits : Sequence[str]
        Which of train, valid (LibriMix's dev), test to prepare.

    Raises
    ------
    ValueError
        If an argument is out of range, or a folder or file is missing, broken or not
        what the others say; the message names it.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> root = getfixture("tmp_path")
    >>> for folder, value in (("mix_clean", 0.75), ("s1", 0.5), ("s2", 0.25)):
    ...     path = root / "Libri2Mix" / "wav16k" / "min" / "test" / folder / "a.wav"
    ...     path.parent.mkdir(parents=True)
    ...     soundfile.write(path, np.full(16000, value), 16000)
    >>> prepare_librimix(root, root / "save", splits=["test"])
    >>> from sesame.data.manifest import read_manifest
    >>> sorted(read_manifest(root / "save" / "test.json", root, ["length"])["a"])
    ['length', 'mixture_wav', 's1_wav', 's2_wav']
    """
    if skip_prep:
        logger.info("Preparation of LibriMix is skipped")
        return
    for name, value, allowed in (
        ("mode", mode, MODES),
        ("task", task, TASKS),
        ("train_set", train_set, TRAIN_SETS),
        ("sample_rate", sample_rate, (8_000, 16_000)),
    ):
        if value not in allowed:
            raise ValueError(f"{name} ({value}) must be among {list(allowed)}")
    if num_speakers < 2:
        raise ValueError(f"num_speakers ({num_speakers}) must be at least 2")
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise ValueError(f"splits ({list(splits)}) must be among {list(SPLITS)}")
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    names = {"train": train_set, "valid": "dev", "test": "test"}
    folders = {
        split: _find(data_folder, num_speakers, sample_rate, mode, names[split], task)
        for split in SPLITS
        if split in splits
    }
    complete, entries = {}, {}
    for split, folder in folders.items():
        mixtures = list_mixtures(folder, num_speakers, task)
        published = FULL_COUNTS.get(num_speakers, {}).get(folder.name)
        complete[folder.name] = len(mixtures) == published
        if published is not None and len(mixtures) != published:
            logger.warning(
                "Partial corpus: %d mixtures in %s, the published set has %d: scores "
                "do not compare with published ones",
                len(mixtures),
                folder,
                published,
            )
        lengths = check_mixtures(mixtures, sample_rate)
        keys = mixture_keys(num_speakers)
        entries[split] = {
            row.item_id: {
                **{
                    key: templated_path(path, data_root=data_folder)
                    for key, path in zip(keys, row.wavs, strict=True)
                },
                "length": length / sample_rate,
            }
            for row, length in zip(mixtures, lengths, strict=True)
        }
        logger.info(
            "%s: %d mixtures, %.3f h",
            folder,
            len(mixtures),
            sum(lengths) / sample_rate / 3600,
        )
    # The fingerprint vouches for the manifests, so it goes first and comes last.
    (save_folder / "fingerprint.json").unlink(missing_ok=True)
    for split, rows in entries.items():
        keys = (*mixture_keys(num_speakers), "length")
        write_manifest(save_folder / f"{split}.json", rows, keys)
    fingerprint = {
        "corpus": f"Libri{num_speakers}Mix",
        "sample_rate": sample_rate,
        "mode": mode,
        "task": task,
        "complete": complete,
        "splits": {
            split: _summary(folders[split], entries[split]) for split in folders
        },
    }
    write_json(save_folder / "fingerprint.json", fingerprint)


def _find(
    data_folder: Path,
    num_speakers: int,
    sample_rate: int,
    mode: str,
    name: str,
    task: str,
) -> Path:
    corpus, rate = f"Libri{num_speakers}Mix", f"wav{sample_rate // 1000}k"
    inner = Path(rate) / mode / name
    place = data_folder / corpus if (data_folder / corpus).is_dir() else data_folder
    folder = place / inner
    parts = [task, *(f"s{j}" for j in range(1, num_speakers + 1))]
    missing = [part for part in parts if not (folder / part).is_dir()]
    if not missing and not (folder / f"s{num_speakers + 1}").exists():
        return folder
    if not missing:
        raise ValueError(
            f"{folder} has a folder s{num_speakers + 1}: its mixtures have more than "
            f"num_speakers ({num_speakers}) speakers"
        )
    there = sorted(
        path.relative_to(place).as_posix() for path in place.glob("wav*k/m*/*/mix_*")
    )
    raise ValueError(
        f"{folder} lacks {', '.join(missing)}. There is: {', '.join(there) or 'none'}. "
        "Ways to go on: (1) make the corpus: git clone "
        "https://github.com/JorisCos/LibriMix, then scripts/"
        f"create_librimix_from_metadata.py with --n_src {num_speakers} --freqs "
        f"{rate.removeprefix('wav')} --modes {mode} --types {task}; (2) point to a "
        f"copy you have: --data_folder, the folder that holds {corpus}; (3) take what "
        "is there: sample_rate, mode, task, train_set, num_speakers; (4) train without "
        "the corpus, on mixtures of any folder of speech: "
        "sesame.data.speaker_mixture_dataset"
    )


def _summary(folder: Path, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    hours = sum(row["length"] for row in rows.values()) / 3600
    return {
        "set": folder.name,
        "num_mixtures": len(rows),
        "hours": round(hours, 4),
    }
