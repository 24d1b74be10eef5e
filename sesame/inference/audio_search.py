"""Audio files by folder, by pattern and by list."""

import os
from glob import has_magic
from pathlib import Path

from .audio_files import format_of_suffix

__all__ = ["FOREIGN_SUFFIXES", "UsageError", "find_audio", "is_audio", "read_list"]

# libsndfile does not read them. They are found all the same, to fail with a word: a
# recording that is left out in silence is lost.
FOREIGN_SUFFIXES = {".aac", ".amr", ".m4a", ".wma"}


class UsageError(ValueError):
    """Arguments from which no work follows.

    Example
    -------
    >>> raise UsageError("nothing to enhance")
    Traceback (most recent call last):
    sesame.inference.audio_search.UsageError: nothing to enhance
    """


def find_audio(
    text: str, out: Path, list_folder: Path | None = None
) -> list[tuple[Path, str]]:
    """Finds the files that an input stands for.

    Folders are searched to any depth for names with the suffix of an audio format.
    Links to folders are not followed; hidden files, among them the temporary ones of a
    killed run, and what lies in ``out`` are left out. A path without wildcards that
    does not exist stands for itself.

    Arguments
    ---------
    text : str
        File, folder or pattern such as ``calls/**/*.wav``.
    out : Path
        Folder of the results.
    list_folder : Path | None
        Folder of the list that the input is a line of.

    Returns
    -------
    list[tuple[Path, str]]
        Each file, and where its result belongs below ``out``: its path from the folder
        that was given, from the folder above the first wildcard or, for a relative line
        of a list, from the folder of the list; else its name.

    Raises
    ------
    UsageError
        If there is no such file.
    OSError
        If a folder cannot be read.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "b").mkdir()
    >>> for name in ("a.wav", "b/a.wav", "b/notes.txt"):
    ...     (folder / name).touch()
    >>> sorted(relative for _, relative in find_audio(str(folder), folder / "out"))
    ['a.wav', 'b/a.wav']
    """
    if not text:
        raise UsageError("an input is empty")
    path = (list_folder or Path()) / text
    if os.path.isdir(path):
        root, files = path, _walk(path, out)
    elif has_magic(text) and not os.path.exists(path):
        root, files = _match(list_folder or Path(), Path(text), out)
    else:
        root, files = path.parent, [path]
    if not files:
        raise UsageError(f"{path}: no audio file was found")
    if list_folder is not None and not Path(text).is_absolute():
        root = list_folder
    return [(file, os.path.relpath(file, root)) for file in files]


def is_audio(name: str | Path) -> bool:
    """Whether a name has the suffix of an audio format.

    Arguments
    ---------
    name : str | Path
        Name or path of a file.

    Returns
    -------
    bool
        True for formats that have to be converted first, too.

    Example
    -------
    >>> is_audio("a.WAV"), is_audio("a.m4a"), is_audio("a.txt")
    (True, True, False)
    """
    foreign = Path(name).suffix.lower() in FOREIGN_SUFFIXES
    return foreign or format_of_suffix(name) is not None


def read_list(path: str | Path) -> list[str]:
    """The lines of a list of files that are not blank.

    Arguments
    ---------
    path : str | Path
        Text file; names in it need not be UTF-8.

    Returns
    -------
    list[str]
        Without line breaks.

    Example
    -------
    >>> path = getfixture("tmp_path") / "list.txt"
    >>> _ = path.write_bytes(b"a b.wav\\r\\n\\n-c.wav")
    >>> read_list(path)
    ['a b.wav', '-c.wav']
    """
    text = Path(path).read_bytes().decode("utf-8-sig", "surrogateescape")
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line.strip()]


def _walk(root: Path, out: Path) -> list[Path]:
    files = []
    inside = os.path.realpath(out)
    for folder, subfolders, names in os.walk(root, onerror=_fail):
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".")
            and os.path.realpath(os.path.join(folder, name)) != inside
        ]
        names = [name for name in names if not name.startswith(".")]
        files += [Path(folder, name) for name in names if is_audio(name)]
    return files


def _fail(error: OSError) -> None:
    raise error


def _match(base: Path, pattern: Path, out: Path) -> tuple[Path, list[Path]]:
    """The folder above the first wildcard, and what matches below it."""
    first = next(i for i, part in enumerate(pattern.parts) if has_magic(part))
    root = base.joinpath(*pattern.parts[:first])
    inside = Path(os.path.realpath(out))
    # Where all of it lies in the folder of the results, nothing of it is a result.
    checks_results = not Path(os.path.realpath(root)).is_relative_to(inside)
    files = []
    for found in root.glob(str(Path(*pattern.parts[first:]))):
        below = found.relative_to(root).parts
        place = Path(os.path.realpath(found.parent))
        if any(part.startswith(".") and part != ".." for part in below):
            continue
        if checks_results and (place / found.name).is_relative_to(inside):
            continue
        if found.is_dir():
            files += _walk(found, out)
        elif is_audio(found):
            files.append(found)
    return root, files
