"""Test sets of other corpora: one name per pair, folders and a manifest.

Corpora name the noisy and the clean file of a pair in different ways. Here both get the
name of the pair, so that what belongs together can be found by name, also after
enhancement.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sesame.data.audio import audio_info
from sesame.data.manifest import (
    ENTRY_KEYS,
    RECORDING_KEYS,
    templated_path,
    write_manifest,
)
from sesame.data.pairs import Pair
from sesame.data.prepared_pairs import PreparedPair, prepare_pairs

logger = logging.getLogger(__name__)


def write_evaluation_set(
    name: str,
    pairs: Sequence[Pair],
    data_folder: str | Path,
    save_folder: str | Path,
    sample_rate: int = 16_000,
) -> None:
    """Check a test set; write ``NAME/noisy``, ``NAME/clean`` and ``NAME.json``.

    The folders hold a file per pair, ``ID.wav``: a link to the file of the corpus, or a
    16-bit copy where its rate is higher. A pair of one file with itself is a recording
    without clean speech: it gets no clean file, and no ``clean_wav`` in the manifest.
    Every file is read and checked; the manifest is written after all checks. Copies
    that are newer than the corpus are not made again.

    Arguments
    ---------
    name : str
        Name of the set.
    pairs : Sequence[Pair]
        Files of the set, all of them with clean files or none.
    data_folder : str | Path
        The corpus; never written to.
    save_folder : str | Path
        Where the folders and the manifest go.
    sample_rate : int
        Hz.

    Raises
    ------
    ValueError
        If a file is broken, if the two of a pair differ in length, or if the folders
        hold files of something else.

    Example
    -------
    >>> import json
    >>> import numpy as np, soundfile
    >>> root = getfixture("tmp_path")
    >>> for file in ("speech_1.wav", "mixture_1.wav"):
    ...     soundfile.write(root / file, np.ones(4800) / 2, 48000)
    >>> pair = Pair("one", root / "mixture_1.wav", root / "speech_1.wav")
    >>> write_evaluation_set("toy", [pair], root, root / "save")
    >>> json.loads((root / "save" / "toy.json").read_text())["one"]["clean_wav"]
    '{save_root}/toy/clean/one.wav'
    """
    data_folder, save_folder = Path(data_folder), Path(save_folder)
    folder = save_folder / name
    kinds = {"noisy": {pair.item_id: pair.noisy for pair in pairs}}
    if any(pair.noisy != pair.clean for pair in pairs):
        kinds["clean"] = {pair.item_id: pair.clean for pair in pairs}
    for kind, sources in kinds.items():
        _refuse_others(folder / kind, sources)
    named = []
    for pair in pairs:
        sources = {kind: kinds[kind][pair.item_id] for kind in kinds}
        targets = {kind: folder / kind / f"{pair.item_id}.wav" for kind in kinds}
        if not all(_is_copy(targets[k], sources[k], sample_rate) for k in kinds):
            for kind in kinds:
                _link(targets[kind], sources[kind])
        noisy = targets["noisy"]
        named.append(Pair(pair.item_id, noisy, targets.get("clean", noisy)))
    # A copy takes the place of the link it is a copy of.
    prepared = prepare_pairs(named, sample_rate, folder)

    def place(path: Path) -> str:
        file = Path(os.readlink(path)) if path.is_symlink() else path
        return templated_path(file, save_root=save_folder, data_root=data_folder)

    entries = {
        item.item_id: {
            "noisy_wav": place(item.noisy),
            **({"clean_wav": place(item.clean)} if "clean" in kinds else {}),
            "length": item.num_samples / sample_rate,
        }
        for item in prepared
    }
    keys = ENTRY_KEYS if "clean" in kinds else RECORDING_KEYS
    write_manifest(save_folder / f"{name}.json", entries, keys)
    _report(folder, prepared, list(kinds), sample_rate)


def refuse_partial(
    name: str, num_found: int, num_published: int, allow_partial: bool
) -> None:
    """Stop at a set that is not complete, unless that is wanted.

    Arguments
    ---------
    name : str
        Name of the set.
    num_found : int
        Number of utterances found.
    num_published : int
        Number there should be.
    allow_partial : bool
        Only warn.

    Raises
    ------
    ValueError
        If the numbers differ and ``allow_partial`` is false.

    Example
    -------
    >>> refuse_partial("no_reverb", 149, 150, allow_partial=False)
    Traceback (most recent call last):
    ValueError: no_reverb has 149 utterances, the published set 150...
    """
    if num_found == num_published:
        return
    rule = f"{name} has {num_found} utterances, the published set {num_published}"
    if not allow_partial:
        raise ValueError(
            f"{rule}: complete the corpus, or go on with allow_partial "
            "(--allow-partial) and do not compare the scores with published ones"
        )
    logger.warning("Partial corpus: %s", rule)


def find_folder(places: Mapping[str, Path], needed: Sequence[str], hint: str) -> Path:
    """The first of some folders that has certain folders in it.

    Arguments
    ---------
    places : Mapping[str, Path]
        Folders to try, each with how to call it in the message.
    needed : Sequence[str]
        Folders that must be in it, relative to it.
    hint : str
        Ways to go on, for the message.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If there is none.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> (root / "test" / "noisy").mkdir(parents=True)
    >>> places = {"DIR": root, "DIR/test": root / "test"}
    >>> find_folder(places, ["noisy"], "get it").name
    'test'
    """
    for place in places.values():
        if all((place / name).is_dir() for name in needed):
            return place
    first = next(iter(places.values()))
    raise ValueError(
        f"{first} holds no {' and '.join(needed)} (looked in {', '.join(places)}). "
        f"{hint}"
    )


def _refuse_others(folder: Path, names: Mapping[str, Path]) -> None:
    others = [path for path in sorted(folder.glob("*")) if path.stem not in names]
    if others:
        raise ValueError(
            f"{others[0]} is no file of this set ({len(others)} such files): delete "
            f"{folder}, or save to another folder"
        )


def _is_copy(target: Path, source: Path, sample_rate: int) -> bool:
    """Whether a resampled copy of an earlier run is there and up to date."""
    if target.is_symlink() or not target.is_file():
        return False
    is_newer = target.stat().st_mtime >= source.stat().st_mtime
    return is_newer and audio_info(target).sample_rate == sample_rate


def _link(target: Path, source: Path) -> None:
    source = source.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(source)
    except OSError:  # no right to make links, or no links on this disk
        shutil.copy2(source, target)


def _report(
    folder: Path, items: Sequence[PreparedPair], kinds: Sequence[str], sample_rate: int
) -> None:
    hours = sum(item.num_samples for item in items) / sample_rate / 3600
    logger.info("%s: %d utterances, %.3f h", folder.name, len(items), hours)
    noisy = folder / "noisy"
    clean = f"--clean {folder / 'clean'} " if "clean" in kinds else ""
    logger.info("Next: sesame enhance %s -o OUT --chunks 10", noisy)
    logger.info("then: sesame evaluate %s--noisy %s --enhanced OUT", clean, noisy)
