"""Many files: which ones, and where the result of each goes."""

import os
from collections.abc import Iterable, Sequence
from glob import has_magic
from pathlib import Path
from typing import NamedTuple

from .audio_search import UsageError, find_audio, is_audio, read_list

__all__ = ["Job", "Plan", "plan_jobs"]

LIST_PREFIX = "@"


class Job(NamedTuple):
    """One file to work on.

    Arguments
    ---------
    source : Path
        Noisy file, or a mixture.
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


def plan_jobs(
    inputs: Sequence[str],
    output: str | None = None,
    lists: Sequence[str] = (),
    label: str = "",
) -> Plan:
    """Finds the files to work on and where their results go.

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
    label : str
        Is added to the name of every result, before its suffix; ``output`` then is
        always a folder, by default that of a single file.

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
        return Plan([_single_job(Path(inputs[0]), output, label)], None)
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
        raise UsageError("there is nothing to do: no file is given")
    return Plan(_assign(found, folder, label), folder)


def _names_a_file(text: str) -> bool:
    if text == "" or os.path.isdir(text):
        return False
    return os.path.exists(text) or not has_magic(text)


def _single_job(source: Path, output: str | None, label: str) -> Job:
    if label:
        folder = source.parent if output is None else Path(output)
        if folder.is_file() or (not folder.is_dir() and is_audio(folder)):
            raise UsageError(f"the results need a folder, {folder} names a file")
        target = folder / _labelled(source.name, label)
    elif output is None:
        target = _labelled(source, "_enhanced")
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


def _labelled(path: str | Path, label: str) -> Path:
    return Path(path).with_stem(Path(path).stem + label)


def _assign(found: Iterable[tuple[Path, str]], folder: Path, label: str) -> list[Job]:
    jobs: dict[Path, Job] = {}
    # Not Path.resolve, which raises on links that lead to themselves.
    inside = Path(os.path.realpath(folder))
    for source, relative in sorted(found):
        job = Job(source, folder / _labelled(relative, label))
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
