"""VoiceBank+DEMAND: find the corpus, check it, split it, write manifests.

Source: C. Valentini-Botinhao, "Noisy speech database for training speech enhancement
algorithms and TTS models", University of Edinburgh, 2017, doi:10.7488/ds/2117.
"""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soxr

from sesame.data.audio import RESAMPLING_QUALITY
from sesame.data.manifest import (
    read_manifest,
    templated_path,
    write_json,
    write_manifest,
)
from sesame.data.pairs import Pair, listed_pairs, match_pairs, read_list
from sesame.data.prepared_pairs import PreparedPair, prepare_pairs

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
FULL_COUNTS = {"trainset": 11_572, "testset": 824}
_FOLDERS = {
    "trainset": ("trainset_28spk_wav_16k", "trainset_28spk_wav"),
    "testset": ("testset_wav_16k", "testset_wav"),
}
_LISTS = {"trainset": "training.txt", "testset": "test.txt"}
_PART_OF = {"train": "trainset", "valid": "trainset", "test": "testset"}


def prepare_voicebank_demand(
    data_folder: str | Path,
    save_folder: str | Path,
    valid_speakers: Sequence[str] = ("p226", "p287"),
    sample_rate: int = 16_000,
    skip_prep: bool = False,
    splits: Sequence[str] = SPLITS,
    resampled_folder: str | Path | None = None,
) -> None:
    """Write train.json, valid.json, test.json and fingerprint.json.

    ``data_folder`` may hold the corpus in one of three forms:

    1. as published: clean_trainset_28spk_wav, noisy_trainset_28spk_wav,
       clean_testset_wav, noisy_testset_wav;
    2. as SpeechBrain resamples it: the same names with ``_16k`` at the end (preferred
       if both are there);
    3. as MP-SENet's lists expect it: folders ``clean`` and ``noisy`` (or
       ``wavs_clean`` and ``wavs_noisy``) with all files, and the lists training.txt
       and test.txt; see ``read_list``.

    Files are .wav or .flac. Those at another rate are resampled to 16-bit copies.
    Every file is read once and checked. If nothing has changed since the last time,
    nothing is done. Manifests are written after all checks, each at one stroke.

    Arguments
    ---------
    data_folder : str | Path
        The corpus; never written to.
    save_folder : str | Path
        Where manifests and resampled copies go. Share it between experiments to
        resample once.
    valid_speakers : Sequence[str]
        Speakers of the training set held out for validation: the part of the file name
        before the first underscore.
    sample_rate : int
        Hz.
    skip_prep : bool
        Do nothing.
    splits : Sequence[str]
        Which of train, valid, test to prepare.
    resampled_folder : str | Path | None
        Where resampled copies go instead, such as a fast disk.

    Raises
    ------
    ValueError
        If a folder, a file, a partner of a file or a speaker is missing, or a file is
        broken; the message names it.

    Example
    -------
    >>> import json
    >>> import numpy as np, soundfile
    >>> root = getfixture("tmp_path")
    >>> for part, name in (("trainset_28spk", "p225_1"), ("trainset_28spk", "p226_1")):
    ...     for kind in ("clean", "noisy"):
    ...         folder = root / f"{kind}_{part}_wav"
    ...         folder.mkdir(exist_ok=True)
    ...         soundfile.write(folder / f"{name}.wav", np.ones(4800) / 2, 48000)
    >>> prepare_voicebank_demand(
    ...     root, root / "save", ["p226"], splits=["train", "valid"]
    ... )
    >>> json.loads((root / "save" / "valid.json").read_text())["p226_1"]["length"]
    0.1
    """
    if skip_prep:
        logger.info("Preparation of VoiceBank+DEMAND is skipped")
        return
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise ValueError(f"splits ({list(splits)}) must be among {list(SPLITS)}")
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    if not data_folder.is_dir():
        raise ValueError(_how_to_get_data(data_folder))
    parts = {_PART_OF[split] for split in SPLITS if split in splits}
    pairs = {part: find_pairs(data_folder, part) for part in sorted(parts)}
    resampler = f"soxr-{soxr.__version__}-{RESAMPLING_QUALITY}-{sample_rate}"
    copies = Path(resampled_folder or save_folder / "resampled") / resampler
    inputs = {
        "data_folder": str(data_folder.absolute()),
        "valid_speakers": sorted(valid_speakers),
        "sample_rate": sample_rate,
        "splits": [split for split in SPLITS if split in splits],
        "copies": str(copies.absolute()),
        "files": {part: _file_statistics(pairs[part]) for part in pairs},
    }
    if _is_current(save_folder, inputs):
        logger.info("Manifests in %s are up to date", save_folder)
        return
    chosen = {
        split: _select(pairs[_PART_OF[split]], split, valid_speakers)
        for split in inputs["splits"]
    }
    prepared = {
        split: prepare_pairs(chosen[split], sample_rate, copies) for split in chosen
    }
    fingerprint = {
        "corpus": "VoiceBank+DEMAND",
        "resampler": {
            "name": "soxr",
            "version": soxr.__version__,
            "quality": RESAMPLING_QUALITY,
        },
        "complete": {part: len(pairs[part]) == FULL_COUNTS[part] for part in pairs},
        "splits": {
            split: summarize_pairs(prepared[split], sample_rate) for split in prepared
        },
        "inputs": inputs,
    }
    # The fingerprint vouches for the manifests, so it goes first and comes last.
    (save_folder / "fingerprint.json").unlink(missing_ok=True)
    for split, items in prepared.items():
        entries = {
            item.item_id: {
                "noisy_wav": _path(item.noisy, data_folder, save_folder),
                "clean_wav": _path(item.clean, data_folder, save_folder),
                "length": item.num_samples / sample_rate,
            }
            for item in items
        }
        write_manifest(save_folder / f"{split}.json", entries)
    write_json(save_folder / "fingerprint.json", fingerprint)
    _report(fingerprint, pairs)


def find_pairs(data_folder: str | Path, part: str) -> list[Pair]:
    """Find the pairs of one part of the corpus, in any of its three forms.

    Arguments
    ---------
    data_folder : str | Path
        The corpus.
    part : str
        ``"trainset"`` or ``"testset"``.

    Returns
    -------
    list[Pair]
        Noisy and clean files, matched by name.

    Raises
    ------
    ValueError
        If a folder, a list or a file is missing.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> for kind in ("clean", "noisy"):
    ...     (root / f"{kind}_testset_wav").mkdir()
    ...     (root / f"{kind}_testset_wav" / "p232_001.wav").touch()
    >>> [pair.item_id for pair in find_pairs(root, "testset")]
    ['p232_001']
    """
    data_folder = Path(data_folder)
    half_found = []
    for name in _FOLDERS[part]:
        noisy, clean = data_folder / f"noisy_{name}", data_folder / f"clean_{name}"
        if noisy.is_dir() and clean.is_dir():
            return match_pairs(noisy, clean)
        half_found += [
            (there, missing)
            for there, missing in ((noisy, clean), (clean, noisy))
            if there.is_dir()
        ]
    for noisy_name, clean_name in (("noisy", "clean"), ("wavs_noisy", "wavs_clean")):
        noisy, clean = data_folder / noisy_name, data_folder / clean_name
        list_path = data_folder / _LISTS[part]
        if list_path.is_file() and noisy.is_dir() and clean.is_dir():
            return listed_pairs(read_list(list_path), noisy, clean)
    if half_found:
        there, missing = half_found[0]
        raise ValueError(f"folder {missing} is missing ({there.name} is there)")
    names = " or ".join(f"noisy_{name} and clean_{name}" for name in _FOLDERS[part])
    raise ValueError(
        f"{data_folder} has no {part}: expected the folders {names}, or noisy and "
        f"clean with a list {_LISTS[part]}. Download them with python -m "
        f"sesame.data.download {data_folder}, or prepare only what is there with splits"
    )


def speaker_of(item_id: str) -> str:
    """Speaker of an utterance: its name up to the first underscore.

    Arguments
    ---------
    item_id : str
        Such as ``"p226_001"``.

    Returns
    -------
    str
        Such as ``"p226"``.

    Example
    -------
    >>> speaker_of("p226_001")
    'p226'
    """
    return item_id.partition("_")[0]


def summarize_pairs(items: Sequence[PreparedPair], sample_rate: int) -> dict[str, Any]:
    """Numbers by which two copies of a split can be compared.

    Arguments
    ---------
    items : Sequence[PreparedPair]
        At least one.
    sample_rate : int
        Hz.

    Returns
    -------
    dict[str, Any]
        Number of utterances, speakers and samples, duration in hours, and mean level
        (all samples together) of the noisy and clean files in dB re full scale,
        ``None`` for silence.

    Example
    -------
    >>> path = Path("p232_001.wav")
    >>> item = PreparedPair("p232_001", path, path, 16000, 160.0, 16.0)
    >>> summarize_pairs([item], 16000)["clean_level_dbfs"]
    -30.0
    """
    num_samples = sum(item.num_samples for item in items)

    def level(energies: list[float]) -> float | None:
        power = math.fsum(energies) / num_samples
        return round(10 * math.log10(power), 3) if power > 0 else None

    return {
        "num_utterances": len(items),
        "num_speakers": len({speaker_of(item.item_id) for item in items}),
        "num_samples": num_samples,
        "hours": round(num_samples / sample_rate / 3600, 4),
        "noisy_level_dbfs": level([item.noisy_energy for item in items]),
        "clean_level_dbfs": level([item.clean_energy for item in items]),
    }


def _select(
    pairs: Sequence[Pair], split: str, valid_speakers: Sequence[str]
) -> list[Pair]:
    if split == "test":
        return list(pairs)
    speakers = {speaker_of(pair.item_id) for pair in pairs}
    missing = sorted(set(valid_speakers) - speakers)
    if missing:
        raise ValueError(
            f"valid_speakers ({', '.join(missing)}) must be in the training set, which "
            f"has {', '.join(sorted(speakers))}"
        )
    held_out = split == "valid"
    chosen = [
        pair
        for pair in pairs
        if (speaker_of(pair.item_id) in valid_speakers) == held_out
    ]
    if not chosen:
        raise ValueError(
            f"valid_speakers ({', '.join(valid_speakers)}) must leave utterances for "
            f"the {split} split"
        )
    return chosen


def _file_statistics(pairs: Sequence[Pair]) -> dict[str, int]:
    stats = [path.stat() for pair in pairs for path in (pair.noisy, pair.clean)]
    return {
        "count": len(stats),
        "bytes": sum(stat.st_size for stat in stats),
        "newest_ns": max(stat.st_mtime_ns for stat in stats),
    }


def _is_current(save_folder: Path, inputs: dict[str, Any]) -> bool:
    try:
        text = (save_folder / "fingerprint.json").read_text(encoding="utf-8")
        if json.loads(text)["inputs"] != inputs:
            return False
        manifests = [
            read_manifest(save_folder / f"{split}.json", inputs["data_folder"])
            for split in inputs["splits"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    # Resampled copies may have been deleted to free the disk.
    return all(
        Path(entry[key]).is_file()
        for manifest in manifests
        for entry in manifest.values()
        for key in ("noisy_wav", "clean_wav")
    )


def _path(path: Path, data_folder: Path, save_folder: Path) -> str:
    return templated_path(path, save_root=save_folder, data_root=data_folder)


def _report(fingerprint: dict[str, Any], pairs: dict[str, list[Pair]]) -> None:
    for split, row in fingerprint["splits"].items():
        facts = ", ".join(f"{name} {value}" for name, value in row.items())
        logger.info("VoiceBank+DEMAND %s: %s", split, facts)
    resampler = fingerprint["resampler"]
    logger.info("Resampler: %s", " ".join(resampler.values()))
    for part, complete in fingerprint["complete"].items():
        if not complete:
            logger.warning(
                "Partial corpus: %d pairs in the %s, the published one has %d",
                len(pairs[part]),
                part,
                FULL_COUNTS[part],
            )


def _how_to_get_data(data_folder: Path) -> str:
    return (
        f"data_folder {data_folder} does not exist. Three ways to go on: (1) download "
        f"VoiceBank+DEMAND: python -m sesame.data.download {data_folder}; (2) point to "
        "a copy you have: --data_folder /path/to/corpus; (3) train on the small corpus "
        "in this repository: make run, or python train.py hparams/sesame_mini.yaml"
    )
