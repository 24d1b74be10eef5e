"""Mixtures written to disk: in parallel, resumable, the same every time."""

import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from tqdm import tqdm

from sesame.data.audio import AudioInfo, audio_info
from sesame.data.manifest import templated_path, write_json, write_manifest
from sesame.data.vb_demandex.mixture import Mixture, mix
from sesame.data.vb_demandex.records import (
    PLANNED,
    Record,
    append_record,
    measured_fields,
    planned_fields,
    read_records,
    write_records,
)

logger = logging.getLogger(__name__)

TABLE = "mixtures.csv"
JOURNAL = "mixtures.partial.csv"
SETTINGS = "build.json"
KINDS = ("clean", "noisy")


def build(
    folder: str | Path,
    mixtures: Sequence[Mixture],
    roots: Mapping[str, str | Path] | None = None,
    num_workers: int = 0,
    sample_rate: int = 16_000,
) -> dict[str, int]:
    """Write pairs, manifests and the table of what was mixed with what.

    ``<folder>/<split>/{clean,noisy}/<id>.wav`` (16 bits), ``<folder>/<split>.json``
    (see ``paired_dataset``, with ``folder`` as its ``data_root``),
    ``<folder>/mixtures.csv`` and ``<folder>/build.json``. Files appear under their
    names only when they are whole. Pairs that are there, as long as planned, and in
    the table with the same plan, are kept: an interrupted build goes on where it
    stopped. Splits that ``mixtures`` does not hold stay as they are.

    The samples do not depend on the number of workers.

    Arguments
    ---------
    folder : str | Path
        Where the set goes.
    mixtures : Sequence[Mixture]
        See ``plan_mixtures``.
    roots : Mapping[str, str | Path] | None
        Folders by name (clean, noise, babble), so that the table holds paths relative
        to them.
    num_workers : int
        Processes; 0 does all work in this one.
    sample_rate : int
        Hz, the one of the plan.

    Returns
    -------
    dict[str, int]
        How many pairs were ``"kept"`` and ``"written"``.

    Raises
    ------
    ValueError
        If there is nothing to write, a pair cannot be made, or a split of the folder
        has audio that is not planned. What is written by then stays.

    Example
    -------
    >>> from sesame.data.vb_demandex.planning import plan_mixtures
    >>> source, out = getfixture("tmp_path") / "in", getfixture("tmp_path") / "out"
    >>> source.mkdir()
    >>> rng = np.random.default_rng(0)
    >>> soundfile.write(source / "a_1.wav", rng.normal(0, 0.1, 4000), 16000)
    >>> plan = plan_mixtures(
    ...     source, source, splits=["train"], noise_types=["environment"]
    ... )
    >>> build(out, plan), build(out, plan)
    ({'kept': 0, 'written': 1}, {'kept': 1, 'written': 0})
    """
    if not mixtures:
        raise ValueError("mixtures must hold at least one mixture")
    if num_workers < 0:
        raise ValueError(f"num_workers ({num_workers}) must be at least 0")
    folder = Path(folder)
    named = {name: str(Path(path).absolute()) for name, path in (roots or {}).items()}
    planned = {
        (mixture.split, mixture.item_id): planned_fields(mixture, named)
        for mixture in mixtures
    }
    splits = {split: None for split, _ in planned}
    _check_strangers(folder, planned, splits)
    known = _known_records(folder)
    records = _kept(folder, known, planned, sample_rate)
    missing = [
        mixture
        for mixture in mixtures
        if (mixture.split, mixture.item_id) not in records
    ]
    others = [row for (split, _), row in known.items() if split not in splits]
    for split in splits:
        for kind in KINDS:
            (folder / split / kind).mkdir(parents=True, exist_ok=True)
    for split in {mixture.split for mixture in missing}:
        # A manifest vouches for its split, so it goes first and comes last.
        (folder / f"{split}.json").unlink(missing_ok=True)
    _write_settings(folder, splits, named, sample_rate)
    # From here to the end the journal is the table: a table with rows of files that
    # are being replaced would vouch for the wrong ones.
    write_records(folder / JOURNAL, [*others, *records.values()])
    (folder / TABLE).unlink(missing_ok=True)
    work = partial(_make, folder=folder, sample_rate=sample_rate)
    done = _run(work, missing, num_workers)
    for mixture, measured in tqdm(
        done, total=len(missing), unit=" pairs", disable=None
    ):
        key = mixture.split, mixture.item_id
        records[key] = planned[key] | measured
        append_record(folder / JOURNAL, records[key])
    ordered = [records[key] for key in planned]
    write_records(folder / TABLE, [*others, *ordered])
    (folder / JOURNAL).unlink()
    for split in splits:
        _write_split_manifest(folder, split, mixtures, sample_rate)
    return {"kept": len(planned) - len(missing), "written": len(missing)}


def read_settings(folder: str | Path) -> dict[str, dict[str, Any]]:
    """Read what a set was built from.

    Arguments
    ---------
    folder : str | Path
        The set.

    Returns
    -------
    dict[str, dict[str, Any]]
        For each split ``roots``, the folders by name, and ``sample_rate`` in Hz.

    Raises
    ------
    ValueError
        If the set has no ``build.json`` or it cannot be read.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> write_json(folder / "build.json", {"test": {"roots": {}, "sample_rate": 16000}})
    >>> read_settings(folder)["test"]["sample_rate"]
    16000
    """
    path = Path(folder) / SETTINGS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def require_set(
    data_folder: str | Path,
    splits: Sequence[str] = ("train", "valid", "test"),
    sample_rate: int = 16_000,
) -> None:
    """Check that a set is there before a training reads it.

    Arguments
    ---------
    data_folder : str | Path
        The set.
    splits : Sequence[str]
        Splits that the training reads.
    sample_rate : int
        Hz that the training expects.

    Raises
    ------
    ValueError
        If a split is missing, with the command that builds it, or has another rate.

    Example
    -------
    >>> require_set("no/such/set", ["test"])
    Traceback (most recent call last):
    ValueError: no/such/set has no split 'test'. Build the set first: python -m ...
    """
    built = {}
    if (Path(data_folder) / SETTINGS).is_file():
        built = read_settings(data_folder)
    for split in splits:
        if split not in built or not (Path(data_folder) / f"{split}.json").is_file():
            raise ValueError(
                f"{data_folder} has no split {split!r}. Build the set first: python -m "
                f"sesame.data.vb_demandex {data_folder} --clean VOICEBANK --noise "
                "DEMAND --babble SPEECH"
            )
        rate = built[split]["sample_rate"]
        if rate != sample_rate:
            raise ValueError(
                f"{data_folder}: split {split!r} was built at {rate} Hz, expected "
                f"sample_rate ({sample_rate})"
            )


def pair_paths(folder: str | Path, split: str, item_id: str) -> tuple[Path, Path]:
    """Files of a pair.

    Arguments
    ---------
    folder : str | Path
        The set.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``.
    item_id : str
        Id of the pair.

    Returns
    -------
    tuple[Path, Path]
        Clean and noisy file.

    Example
    -------
    >>> [path.as_posix() for path in pair_paths("set", "test", "p232_001")]
    ['set/test/clean/p232_001.wav', 'set/test/noisy/p232_001.wav']
    """
    clean, noisy = (Path(folder) / split / kind / f"{item_id}.wav" for kind in KINDS)
    return clean, noisy


def _check_strangers(
    folder: Path, planned: Mapping[tuple[str, str], Record], splits: Mapping[str, None]
) -> None:
    for split in splits:
        strangers = [
            path
            for kind in KINDS
            for path in sorted((folder / split / kind).glob("*.wav"))
            if not path.name.startswith(".") and (split, path.stem) not in planned
        ]
        if strangers:
            raise ValueError(
                f"{strangers[0]} is not in the plan ({len(strangers)} such files): "
                f"take another folder, or delete {folder / split}"
            )


def _known_records(folder: Path) -> dict[tuple[str, str], Record]:
    rows = [*read_records(folder / TABLE), *read_records(folder / JOURNAL)]
    return {(row["split"], row["id"]): row for row in rows}


def _kept(
    folder: Path,
    known: Mapping[tuple[str, str], Record],
    planned: Mapping[tuple[str, str], Record],
    sample_rate: int,
) -> dict[tuple[str, str], Record]:
    return {
        key: row
        for key, row in known.items()
        if key in planned
        and {name: row[name] for name in PLANNED} == planned[key]
        and _is_whole(folder, key, int(row["num_samples"]), sample_rate)
    }


def _is_whole(
    folder: Path, key: tuple[str, str], num_samples: int, sample_rate: int
) -> bool:
    expected = AudioInfo(num_samples, sample_rate, 1)
    try:
        return all(audio_info(path) == expected for path in pair_paths(folder, *key))
    except ValueError:
        return False


def _make(mixture: Mixture, folder: Path, sample_rate: int) -> tuple[Mixture, Record]:
    mixed = mix(mixture, sample_rate)
    clean, noisy = pair_paths(folder, mixture.split, mixture.item_id)
    _write(clean, mixed.clean, sample_rate)
    _write(noisy, mixed.noisy, sample_rate)
    return mixture, measured_fields(mixed)


def _write(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    temporary = path.with_name(f".{path.name}.part")
    soundfile.write(temporary, samples, sample_rate, "PCM_16", format="WAV")
    os.replace(temporary, path)


def _run(
    work: partial, mixtures: Sequence[Mixture], num_workers: int
) -> Iterator[tuple[Mixture, Record]]:
    if num_workers == 0 or not mixtures:
        yield from map(work, mixtures)
        return
    # Forking a process that runs threads can dead-lock.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_workers, context, _start_worker)
    rows = iter(mixtures)
    error = None
    try:
        # A few jobs at a time, so that after an error little is left to wait for.
        pending = {pool.submit(work, row) for row in islice(rows, 4 * num_workers)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                if future.exception() is None:
                    yield future.result()
                else:
                    error = error or future.exception()
            if error is None:
                pending |= {pool.submit(work, row) for row in islice(rows, len(done))}
        if error is not None:
            raise error
    except BrokenProcessPool as broken:
        raise ChildProcessError(
            "a mixing process died, perhaps out of memory: use fewer workers"
        ) from broken
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches all processes of a terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    # A worker that waits for jobs would outlive a parent that is killed, for ever.
    multiprocessing.parent_process().join()
    os._exit(1)


def _write_settings(
    folder: Path, splits: Mapping[str, None], roots: Mapping[str, str], sample_rate: int
) -> None:
    path = folder / SETTINGS
    settings = read_settings(folder) if path.is_file() else {}
    for split in splits:
        settings[split] = {"roots": dict(roots), "sample_rate": sample_rate}
    write_json(path, settings)


def _write_split_manifest(
    folder: Path, split: str, mixtures: Sequence[Mixture], sample_rate: int
) -> None:
    entries = {
        mixture.item_id: {
            f"{path.parent.name}_wav": templated_path(path, data_root=folder)
            for path in pair_paths(folder, split, mixture.item_id)
        }
        | {"length": mixture.num_samples / sample_rate}
        for mixture in mixtures
        if mixture.split == split
    }
    write_manifest(folder / f"{split}.json", entries)
