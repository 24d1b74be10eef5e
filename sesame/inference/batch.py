"""Many files: one after the other, and what came of it."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .audio_files import new_file
from .audio_search import FOREIGN_SUFFIXES, UsageError
from .batch_plan import Job, Plan, plan_jobs
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


class Outcome(NamedTuple):
    """What came of a file.

    Arguments
    ---------
    source : Path
        Noisy file.
    target : Path
        Its result, of several the first.
    status : str
        "enhanced" or another word for done, "skipped" (the target was there) or
        "failed".
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


def run_jobs(
    enhance: Callable[[Path, Path], FileReport],
    jobs: Iterable[Job],
    overwrite: bool = False,
    done: str = "enhanced",
) -> Iterator[Outcome]:
    """Works on files one after the other; a failure does not end it.

    Arguments
    ---------
    enhance : Callable[[Path, Path], FileReport]
        Makes the target of a source.
    jobs : Iterable[Job]
        Files.
    overwrite : bool
        Whether targets that are there are made again.
    done : str
        Status of a file whose target was made.

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
        yield _run(enhance, job, overwrite, done)


def summarize(outcomes: Sequence[Outcome], done: str = "enhanced") -> dict[str, Any]:
    """Counts and totals, ready for JSON.

    Arguments
    ---------
    outcomes : Sequence[Outcome]
        What came of each file.
    done : str
        As for ``run_jobs``.

    Returns
    -------
    dict[str, Any]
        "files" with an entry for each, then numbers of files, "audio_seconds" and
        "wall_seconds" of those that were made [s], their "rtf" (None without audio),
        and numbers of samples and warnings.

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
        **{f"num_{s}": statuses.count(s) for s in (done, "skipped", "failed")},
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


def _run(
    enhance: Callable[[Path, Path], FileReport], job: Job, overwrite: bool, done: str
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
        done,
        seconds=report.seconds,
        wall_seconds=time.perf_counter() - start,
        num_clipped=report.num_clipped,
        num_repaired=report.num_repaired,
        warnings=report.warnings,
    )


def _reason(source: Path, error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, (ValueError, OSError)):
        text = f"{type(error).__name__}: {text}"
    if str(source) not in text:
        text = f"{source}: {text}"
    if source.suffix.lower() in FOREIGN_SUFFIXES:
        text += f"; convert it first: ffmpeg -i {source} {source.stem}.wav"
    return text
