"""Many files: what is enhanced into what, one after the other, and what came of it."""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any, NamedTuple

from .audio_files import new_file
from .audio_search import FOREIGN_SUFFIXES, UsageError, find_audio, is_audio, read_list
from .file_enhancement import FileReport

__all__ = [
    "Job",
    "Outcome",
    "Plan",
    "UsageError",
    "plan_jobs",
    "run_jobs",
    "summarize",
    "write_failures",
]

FAILURES_FILE = re.compile(r"failed(?:\.(\d+))?\.txt")
LIST_PREFIX = "@"


class Job(NamedTuple):
    """One file to enhance.

    Arguments
    ---------
    source : Path
        Noisy file.
    target : Path
        File to make.

    Example
    -------
    >>> Job(Path("a.wav"), Path("out/a.wav")).target.name
    'a.wav'
    """

    source: Path
    target: Path


class Plan(NamedTuple):
    """All work of a call.

    Arguments
    ---------
    jobs : list[Job]
        Sorted, so that every process of a sharded run has the same list.
    folder : Path | None
        Where the results go; ``None`` where the call names one file.

    Example
    -------
    >>> Plan([], Path("out")).folder.name
    'out'
    """

    jobs: list[Job]
    folder: Path | None


class Outcome(NamedTuple):
    """What came of a file.

    Arguments
    ---------
    source : Path
        Noisy file.
    target : Path
        Enhanced file.
    status : str
        "enhanced", "skipped" (the target was there) or "failed".
    error : str
        Why it failed, one line.
    seconds : float
        Length of the audio that was enhanced [s].
    wall_seconds : float
        Time that took [s].
    num_clipped : int
        Samples that saturated.
    num_repaired : int
        Samples that were NaN or infinite and were set to 0.
    warnings : tuple[str, ...]
        What a person should know, one line each.

    Example
    -------
    >>> Outcome(Path("a.wav"), Path("b.wav"), "enhanced", "", 2.0, 0.5).rtf
    0.25
    """

    source: Path
    target: Path
    status: str
    error: str = ""
    seconds: float = 0.0
    wall_seconds: float = 0.0
    num_clipped: int = 0
    num_repaired: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def rtf(self) -> float | None:
        """Real-time factor: time taken over length of audio; ``None`` without audio."""
        return self.wall_seconds / self.seconds if self.seconds else None


def plan_jobs(
    inputs: Sequence[str], output: str | None = None, lists: Sequence[str] = ()
) -> Plan:
    """Finds the files to enhance and where their results go.

    Folders are searched to any depth for names with the suffix of an audio format, and
    keep their tree; links to folders are not followed, hidden files are left out, and
    so is what lies in ``output``. Patterns keep the tree below their first wildcard,
    lists the paths they hold. A path that does not exist is planned, and fails then.

    Arguments
    ---------
    inputs : Sequence[str]
        Files, folders, patterns such as ``calls/**/*.wav``, and ``@FILE`` for a list.
    output : str | None
        Folder of the results. With a single file it may be a file, which has a suffix;
        ``None`` then is ``NAME_enhanced.SUFFIX`` beside it.
    lists : Sequence[str]
        Text files with an input per line, relative to the folder of the list.

    Returns
    -------
    Plan
        One job or more.

    Raises
    ------
    UsageError
        If an input leads to no file, or if several inputs lack a folder for results.
    ValueError
        If two inputs lead to one result, or a result would replace an input or leave
        ``output``.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("a.wav", "b/a.wav", "b/notes.txt"):
    ...     (folder / name).parent.mkdir(exist_ok=True)
    ...     (folder / name).touch()
    >>> plan = plan_jobs([str(folder)], str(folder / "out"))
    >>> [job.target.relative_to(plan.folder).as_posix() for job in plan.jobs]
    ['a.wav', 'b/a.wav']
    """
    lists = [*lists, *(text[1:] for text in inputs if text.startswith(LIST_PREFIX))]
    inputs = [text for text in inputs if not text.startswith(LIST_PREFIX)]
    if len(inputs) == 1 and not lists and _names_a_file(inputs[0]):
        return Plan([_single_job(Path(inputs[0]), output)], None)
    if output is None:
        raise UsageError("several files need a folder for their results: -o FOLDER")
    folder = Path(output)
    if not folder.is_dir() and (folder.exists() or is_audio(folder)):
        raise UsageError(
            f"the results of several files need a folder, {folder} names a file"
        )
    found: list[tuple[Path, str]] = []
    for text in inputs:
        found += find_audio(text, folder)
    for name in lists:
        for line in read_list(name):
            found += find_audio(line, folder, Path(name).parent)
    if not found:
        raise UsageError("there is nothing to enhance")
    return Plan(_assign(found, folder), folder)


def run_jobs(
    enhance: Callable[[Path, Path], FileReport],
    jobs: Iterable[Job],
    overwrite: bool = False,
) -> Iterator[Outcome]:
    """Enhances files one after the other; a failure does not end it.

    Arguments
    ---------
    enhance : Callable[[Path, Path], FileReport]
        Makes the target of a source.
    jobs : Iterable[Job]
        Files.
    overwrite : bool
        Whether files whose target is there are enhanced again.

    Yields
    ------
    Outcome
        One per job, as soon as it is known.

    Example
    -------
    >>> def broken(source, target):
    ...     raise ValueError("not audio")
    >>> jobs = [Job(Path("a.wav"), Path("out/a.wav"))]
    >>> [outcome.error for outcome in run_jobs(broken, jobs)]
    ['a.wav: not audio']
    """
    for job in jobs:
        yield _run(enhance, job, overwrite)


def summarize(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Counts and totals, ready for JSON.

    Arguments
    ---------
    outcomes : Sequence[Outcome]
        What came of each file.

    Returns
    -------
    dict[str, Any]
        "files" with an entry for each, then numbers of files, "audio_seconds" and
        "wall_seconds" of the enhanced ones [s], their "rtf" (None without audio), and
        numbers of samples and warnings.

    Example
    -------
    >>> summary = summarize([Outcome(Path("a"), Path("b"), "skipped")])
    >>> summary["num_skipped"], summary["rtf"]
    (1, None)
    """
    statuses = [outcome.status for outcome in outcomes]
    audio_seconds = sum(outcome.seconds for outcome in outcomes)
    wall_seconds = sum(outcome.wall_seconds for outcome in outcomes)
    files = [
        {
            "source": str(outcome.source),
            "target": str(outcome.target),
            "status": outcome.status,
            "seconds": outcome.seconds,
            "rtf": outcome.rtf,
            "num_clipped": outcome.num_clipped,
            "num_repaired": outcome.num_repaired,
            "warnings": list(outcome.warnings),
            "error": outcome.error,
        }
        for outcome in outcomes
    ]
    return {
        "files": files,
        **{f"num_{s}": statuses.count(s) for s in ("enhanced", "skipped", "failed")},
        "audio_seconds": audio_seconds,
        "wall_seconds": wall_seconds,
        "rtf": wall_seconds / audio_seconds if audio_seconds else None,
        "num_clipped": sum(outcome.num_clipped for outcome in outcomes),
        "num_repaired": sum(outcome.num_repaired for outcome in outcomes),
        "num_warnings": sum(len(outcome.warnings) for outcome in outcomes),
    }


def write_failures(
    folder: Path, outcomes: Iterable[Outcome], rank: int = 0, world_size: int = 1
) -> Path | None:
    """Lists what failed in ``failed.txt``; removes lists of earlier runs.

    Arguments
    ---------
    folder : Path
        Folder of the results.
    outcomes : Iterable[Outcome]
        What came of each file.
    rank : int
        Number of this process among those that share the work; its list then is
        ``failed.RANK.txt``.
    world_size : int
        Number of processes.

    Returns
    -------
    Path | None
        The list; ``None`` if nothing failed.

    Example
    -------
    >>> failed = Outcome(Path("a.wav"), Path("b.wav"), "failed", "a.wav: not audio")
    >>> path = write_failures(getfixture("tmp_path"), [failed])
    >>> path.name, path.read_text()
    ('failed.txt', 'a.wav: not audio\\n')
    """
    own = folder / ("failed.txt" if world_size == 1 else f"failed.{rank}.txt")
    for path in folder.glob("failed*.txt"):
        match = FAILURES_FILE.fullmatch(path.name)
        number = match and match[1]
        # Lists of other processes of this run stay.
        if match and (world_size == 1 or not number or int(number) >= world_size):
            path.unlink(missing_ok=True)
    errors = [f"{outcome.error}\n" for outcome in outcomes if outcome.error]
    if not errors:
        own.unlink(missing_ok=True)
        return None
    with new_file(own) as temporary:
        temporary.write_text("".join(errors), "utf-8", "surrogateescape")
    return own


def _names_a_file(text: str) -> bool:
    if text == "" or os.path.isdir(text):
        return False
    return os.path.exists(text) or not has_magic(text)


def _single_job(source: Path, output: str | None) -> Job:
    if output is None:
        target = source.with_name(f"{source.stem}_enhanced{source.suffix}")
    elif (
        os.path.isdir(output)
        or output.endswith(("/", os.sep))
        or not Path(output).suffix
    ):
        target = Path(output) / source.name
    else:
        target = Path(output)
    _refuse_inputs([Job(source, target)])
    return Job(source, target)


def _run(
    enhance: Callable[[Path, Path], FileReport], job: Job, overwrite: bool
) -> Outcome:
    start = time.perf_counter()
    try:
        if job.target.is_file() and not overwrite:
            return Outcome(*job, "skipped")
        report = enhance(*job)
    # Whatever one file does to the network or to the memory, there are others.
    except Exception as error:
        return Outcome(*job, "failed", _reason(job.source, error))
    return Outcome(
        *job,
        "enhanced",
        seconds=report.seconds,
        wall_seconds=time.perf_counter() - start,
        num_clipped=report.num_clipped,
        num_repaired=report.num_repaired,
        warnings=report.warnings,
    )


def _assign(found: Iterable[tuple[Path, str]], folder: Path) -> list[Job]:
    jobs: dict[Path, Job] = {}
    # Not Path.resolve, which raises on links that lead to themselves.
    inside = Path(os.path.realpath(folder))
    for source, relative in sorted(found):
        job = Job(source, folder / relative)
        place = Path(os.path.realpath(job.target))
        if not place.is_relative_to(inside):
            raise ValueError(f"{source}: its result {job.target} would leave {folder}")
        other = jobs.setdefault(place, job)
        if os.path.realpath(other.source) != os.path.realpath(source):
            raise ValueError(
                f"{other.source} and {source} would both become {job.target}"
            )
    _refuse_inputs(jobs.values())
    return list(jobs.values())


def _refuse_inputs(jobs: Iterable[Job]) -> None:
    sources = {os.path.realpath(job.source) for job in jobs}
    for job in jobs:
        if os.path.realpath(job.target) in sources:
            raise ValueError(f"{job.target} is a noisy file: it would be replaced")


def _reason(source: Path, error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, (ValueError, OSError)):
        text = f"{type(error).__name__}: {text}"
    if str(source) not in text:
        text = f"{source}: {text}"
    if source.suffix.lower() in FOREIGN_SUFFIXES:
        text += f"; convert it first: ffmpeg -i {source} {source.stem}.wav"
    return text
