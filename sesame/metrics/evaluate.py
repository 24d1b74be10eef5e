"""Scores of signal pairs, of lists of pairs and of folders of files."""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from .composite import VARIANTS, composite
from .dnsmos import DNSMOS_METRICS, dnsmos
from .pesq import pesq_wb
from .report import Row, format_table, summarize, write_scores
from .score import MAX_LENGTH_DIFFERENCE, Score, check_pair
from .si_sdr import si_sdr
from .stoi import estoi, stoi

__all__ = [
    "METRICS",
    "FolderScores",
    "evaluate_folders",
    "format_table",
    "score_pair",
    "score_pairs",
    "summarize",
    "write_scores",
]

METRICS = ("pesq", "stoi", "estoi", "si_sdr", "ssnr", "csig", "cbak", "covl")
COMPOSITE_METRICS = ("ssnr", "csig", "cbak", "covl", "llr", "wss")
SINGLE_METRICS = {"stoi": stoi, "estoi": estoi, "si_sdr": si_sdr}
KNOWN_METRICS = ("pesq", *SINGLE_METRICS, *COMPOSITE_METRICS, *DNSMOS_METRICS)
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".w64"}
# Pairs handed out per worker ahead of the one awaited: bounds the memory of the queue.
QUEUED_PER_WORKER = 4

# None: there is nothing to score, which is a result too.
Signal = np.ndarray | str | Path | None


class FolderScores(NamedTuple):
    """What ``evaluate_folders`` measured.

    Arguments
    ---------
    enhanced : list[Row]
        One row per clean file.
    noisy : list[Row] | None
        The same for the noisy files; None if no noisy folder was given.
    unmatched : list[str]
        Enhanced files without a clean file, which have no row.

    Example
    -------
    >>> FolderScores([], None, []).noisy is None
    True
    """

    enhanced: list[Row]
    noisy: list[Row] | None
    unmatched: list[str]


def score_pair(
    estimate: np.ndarray,
    target: np.ndarray,
    sample_rate: int,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
) -> Row:
    """All metrics of one pair of signals; never raises because of the signals.

    An unknown metric or variant, a mistake of the caller, is a ValueError.

    Shape: estimate (L,), target (L',) -> values.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz; PESQ, the composites and DNSMOS need 16000.
    metrics : Iterable[str]
        Names out of ``METRICS``, llr, wss and ``DNSMOS_METRICS``.
    variant : str
        Scale of the composite measures, "loizou" or "cmgan".
    max_length_difference : int
        Lengths that differ by up to this many samples are cut to the shorter one,
        which is noted under ``reasons["length"]``; beyond it nothing is scored.

    Returns
    -------
    Row
        A float per metric (NaN where there is none) in the order asked for, and
        ``"reasons"``: {metric: why it has no value}.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> row = score_pair(np.zeros(16000), target, 16000, metrics=["si_sdr"])
    >>> row
    {'si_sdr': nan, 'reasons': {'si_sdr': 'estimate is silent'}}
    """
    metrics = _check_choices(metrics, variant)
    scores: dict[str, Score] = {}
    if set(metrics) & set(DNSMOS_METRICS):
        scores |= dnsmos(estimate, sample_rate)
    pair = check_pair(
        estimate, target, sample_rate, max_length_difference=max_length_difference
    )
    if pair.reason:
        scores |= dict.fromkeys(
            set(metrics) - set(DNSMOS_METRICS), Score.missing(pair.reason)
        )
    else:
        signals = pair.estimate, pair.target, sample_rate
        if set(metrics) & {"pesq", "csig", "cbak", "covl"}:
            scores["pesq"] = pesq_wb(*signals)
        if set(metrics) & set(COMPOSITE_METRICS):
            known_pesq = scores.get("pesq", Score.missing("PESQ was not asked for"))
            scores |= composite(*signals, variant, known_pesq)
        for name, metric in SINGLE_METRICS.items():
            if name in metrics:
                scores[name] = metric(*signals)
    reasons = {name: scores[name].reason for name in metrics if scores[name].reason}
    lengths = len(np.atleast_1d(estimate)), len(np.atleast_1d(target))
    if not pair.reason and lengths[0] != lengths[1]:
        reasons["length"] = "estimate {}, target {} samples: both cut".format(*lengths)
    return {**{name: scores[name].value for name in metrics}, "reasons": reasons}


def score_pairs(
    pairs: Iterable[tuple[str, Signal, Signal]],
    sample_rate: int = 16000,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    num_workers: int = 0,
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
) -> list[Row]:
    """Scores many pairs, in the order given, with a pool of processes if asked.

    Workers are spawned (safe beside CUDA and threads) and use one thread each. A script
    that asks for workers needs the usual ``if __name__ == "__main__"``.

    Arguments
    ---------
    pairs : Iterable[tuple[str, Signal, Signal]]
        (id, estimate, target); signals are arrays (L,) or paths of audio files, None
        for a signal that does not exist.
    sample_rate : int
        Rate of the arrays, Hz. Files say their own; the two of a pair must agree.
    metrics : Iterable[str]
        As for ``score_pair``.
    variant : str
        As for ``score_pair``.
    num_workers : int
        Number of processes; 0 scores in this process.
    max_length_difference : int
        As for ``score_pair``.

    Returns
    -------
    list[Row]
        ``score_pair``'s rows, each with its ``"id"``.

    Raises
    ------
    ValueError
        If a metric or the variant is unknown or ``num_workers`` is negative.

    Example
    -------
    >>> target = np.array([1.0, -1.0, 1.0, -1.0])
    >>> error = np.array([0.1, 0.1, -0.1, -0.1])
    >>> score_pairs([("a", target + error, target)], metrics=["si_sdr"])[0]["id"]
    'a'
    """
    if num_workers < 0:
        raise ValueError(f"num_workers ({num_workers}) must be at least 0")
    score = partial(
        _score_job,
        sample_rate=sample_rate,
        metrics=_check_choices(metrics, variant),
        variant=variant,
        max_length_difference=max_length_difference,
    )
    if num_workers == 0:
        return [score(pair) for pair in pairs]
    return list(_score_in_pool(score, pairs, num_workers))


def evaluate_folders(
    clean: str | Path,
    enhanced: str | Path,
    noisy: str | Path | None = None,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    num_workers: int = 0,
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
) -> FolderScores:
    """Scores a folder of enhanced files, and the noisy ones, against the clean ones.

    Files belong together when their path inside the folder agrees, without the suffix.
    A clean file without a counterpart is counted and has NaN with that reason.

    Arguments
    ---------
    clean : str | Path
        Folder of references.
    enhanced : str | Path
        Folder of signals under test.
    noisy : str | Path | None
        Folder of unprocessed signals, scored for comparison.
    metrics : Iterable[str]
        As for ``score_pair``.
    variant : str
        As for ``score_pair``.
    num_workers : int
        As for ``score_pairs``.
    max_length_difference : int
        As for ``score_pair``.

    Returns
    -------
    FolderScores
        Rows in the order of the clean files' names.

    Raises
    ------
    ValueError
        If a folder does not exist, has no audio file or has two files of one name, if
        no file of a folder has a clean one, or as for ``score_pairs``.

    Example
    -------
    >>> import tempfile
    >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 16000))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, signal in zip(("clean", "enhanced"), noise):
    ...         Path(folder, name).mkdir()
    ...         soundfile.write(Path(folder, name, "a.wav"), signal, 16000)
    ...     scores = evaluate_folders(
    ...         f"{folder}/clean", f"{folder}/enhanced", metrics=["si_sdr"]
    ...     )
    >>> [(row["id"], row["si_sdr"] < -10) for row in scores.enhanced]
    [('a', True)]
    """
    metrics = _check_choices(metrics, variant)
    targets = _audio_files(clean)
    rows, unmatched = [], []
    for folder in (enhanced, noisy):
        if folder is None:
            rows.append(None)
            continue
        files = _audio_files(folder)
        if not files.keys() & targets.keys():
            raise ValueError(f"no file of {folder} has a namesake in {clean}")
        unmatched.append(sorted(files.keys() - targets.keys()))
        pairs = [(name, files.get(name), targets[name]) for name in targets]
        rows.append(
            score_pairs(
                pairs,
                metrics=metrics,
                variant=variant,
                num_workers=num_workers,
                max_length_difference=max_length_difference,
            )
        )
    return FolderScores(rows[0], rows[1], unmatched[0])


def _check_choices(metrics: Iterable[str], variant: str) -> tuple[str, ...]:
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    unknown = [name for name in metrics if name not in KNOWN_METRICS]
    if unknown:
        raise ValueError(f"metrics {unknown} must be among {KNOWN_METRICS}")
    if variant not in VARIANTS:
        raise ValueError(f"variant ({variant!r}) must be one of {VARIANTS}")
    return metrics


def _missing_row(name: str, metrics: tuple[str, ...], reason: str) -> Row:
    values = dict.fromkeys(metrics, float("nan"))
    return {"id": name, **values, "reasons": dict.fromkeys(metrics, reason)}


def _audio_files(folder: str | Path) -> dict[str, Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith("."):
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in files:
                raise ValueError(f"{files[key]} and {path} must not share a name")
            files[key] = path
    if not files:
        raise ValueError(f"{folder} must have audio files ({sorted(AUDIO_SUFFIXES)})")
    return files


def _read(signal: Signal, sample_rate: int) -> tuple[np.ndarray, int]:
    if isinstance(signal, (str, Path)):
        return soundfile.read(signal, dtype="float64")
    return signal, sample_rate


def _score_job(
    job: tuple[str, Signal, Signal],
    sample_rate: int,
    metrics: tuple[str, ...],
    variant: str,
    max_length_difference: int,
) -> Row:
    name, estimate, target = job
    if estimate is None or target is None:
        absent = "estimate" if estimate is None else "target"
        return _missing_row(name, metrics, f"there is no {absent}")
    try:
        estimate, estimate_rate = _read(estimate, sample_rate)
        target, target_rate = _read(target, sample_rate)
    except (soundfile.LibsndfileError, OSError) as error:
        return _missing_row(name, metrics, f"cannot read: {error}")
    if estimate_rate != target_rate:
        reason = f"sample rates differ: estimate {estimate_rate}, target {target_rate}"
        return _missing_row(name, metrics, f"{reason} Hz")
    row = score_pair(
        estimate, target, target_rate, metrics, variant, max_length_difference
    )
    return {"id": name, **row}


def _score_in_pool(
    score: partial, jobs: Iterable[tuple[str, Signal, Signal]], num_workers: int
) -> Iterator[Row]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_workers, context, _use_one_thread) as pool:
        waiting = deque()
        for job in jobs:
            waiting.append(pool.submit(score, job))
            if len(waiting) >= QUEUED_PER_WORKER * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _use_one_thread() -> None:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(limits=1)
