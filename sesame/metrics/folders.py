"""Scores of folders of audio files, or of single files."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from .evaluate import iterate_scores
from .pair import METRICS, ModelFiles, check_choices
from .report import Row
from .score import MAX_LENGTH_DIFFERENCE
from .score_log import ScoreLog, evaluation_settings, stamp

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff", ".w64"}


class FolderScores(NamedTuple):
    """What ``evaluate_folders`` measured.

    Arguments
    ---------
    enhanced : list[Row]
        One row per clean file; per enhanced file if there are no clean ones.
    noisy : list[Row] | None
        The same for the noisy files; None if no noisy folder was given.
    unmatched : list[str]
        Enhanced files without a clean file, which have no row.
    settings : dict[str, Any]
        What the scores depend on beside the audio, see ``evaluation_settings``.

    Example
    -------
    >>> FolderScores([], None, [], {}).noisy is None
    True
    """

    enhanced: list[Row]
    noisy: list[Row] | None
    unmatched: list[str]
    settings: dict[str, Any]


def evaluate_folders(
    clean: str | Path | None,
    enhanced: str | Path,
    noisy: str | Path | None = None,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    num_workers: int = 0,
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
    align_first: bool = False,
    model_files: ModelFiles | None = None,
    log_path: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FolderScores:
    """Scores a folder of enhanced files, and the noisy ones, against the clean ones.

    Files belong together when their path inside the folder agrees, without the suffix.
    A clean file without a counterpart is counted and has NaN with that reason. Instead
    of folders, all can be files. An evaluation that was stopped goes on where it was
    when it is started again with the same log.

    Arguments
    ---------
    clean : str | Path | None
        Folder of references; None if there are none.
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
    align_first : bool
        As for ``score_pair``.
    model_files : ModelFiles | None
        As for ``score_pair``.
    log_path : str | Path | None
        File of a ``ScoreLog``; files with a row in there, made with these settings,
        are not scored again unless they changed.
    progress : Callable[[int, int], None] | None
        Called with the numbers of files done and of all files.

    Returns
    -------
    FolderScores
        Rows in the order of the files' names.

    Raises
    ------
    ValueError
        If a folder does not exist, has no audio file or has two files of one name, if
        files and folders are mixed, if no file of a folder has a namesake, if the log
        is no log, or as for ``score_pairs``.
    ChildProcessError
        If a process died.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> folder = getfixture("tmp_path")
    >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 16000))
    >>> for name, signal in zip(("clean", "enhanced"), noise):
    ...     (folder / name).mkdir()
    ...     soundfile.write(folder / name / "a.wav", signal, 16000)
    >>> scores = evaluate_folders(
    ...     folder / "clean", folder / "enhanced", metrics=["si_sdr"]
    ... )
    >>> [(row["id"], row["si_sdr"] < -10) for row in scores.enhanced]
    [('a', True)]
    """
    metrics = check_choices(metrics, variant, model_files)
    options = {
        "metrics": metrics,
        "variant": variant,
        "max_length_difference": max_length_difference,
        "align_first": align_first,
        "model_files": model_files,
    }
    settings = evaluation_settings(**options)
    paths = {"clean": clean, "noisy": noisy, "enhanced": enhanced}
    found = _find_files({s: Path(path) for s, path in paths.items() if path})
    targets = found.pop("clean", {})
    names = list(targets or found["enhanced"])
    for system, files in found.items():
        if not files.keys() & set(names):
            others = clean or enhanced
            raise ValueError(f"no file of {paths[system]} has a namesake in {others}")
    log = None if log_path is None else ScoreLog(log_path, settings)
    rows: dict[str, list[Row]] = {system: [] for system in found}
    for system, files in found.items():
        pairs = [(name, files.get(name), targets.get(name)) for name in names]
        for row in _score_with_log(system, pairs, log, num_workers, options):
            rows[system].append(row)
            if progress is not None:
                progress(sum(map(len, rows.values())), len(names) * len(found))
    unmatched = sorted(found["enhanced"].keys() - set(names))
    return FolderScores(rows["enhanced"], rows.get("noisy"), unmatched, settings)


def _find_files(paths: dict[str, Path]) -> dict[str, dict[str, Path]]:
    """Files by system and name; three single files share the name of the enhanced."""
    if all(path.is_file() for path in paths.values()):
        name = paths["enhanced"].stem
        return {system: {name: path} for system, path in paths.items()}
    return {system: _audio_files(path) for system, path in paths.items()}


def _audio_files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder, or all must be files")
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


def _score_with_log(
    system: str,
    pairs: list[tuple[str, Path | None, Path | None]],
    log: ScoreLog | None,
    num_workers: int,
    options: dict[str, Any],
) -> Iterator[Row]:
    """Rows in the order of the pairs, out of the log where it has them."""
    stamps = {name: [stamp(path) for path in paths] for name, *paths in pairs}
    known = {name: log and log.find(system, name, stamps[name]) for name in stamps}
    todo = [pair for pair in pairs if known[pair[0]] is None]
    with closing(iterate_scores(todo, num_workers=num_workers, **options)) as fresh:
        for name in stamps:
            row = known[name]
            if row is None:
                row = next(fresh)
                if log is not None:
                    log.append(system, row, stamps[name])
            yield row
