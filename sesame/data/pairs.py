"""Pairs of a noisy and a clean file, found by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

CORPUS_SUFFIXES = (".wav", ".flac")


class Pair(NamedTuple):
    """A noisy and a clean file of the same utterance.

    Arguments
    ---------
    item_id : str
        Id of the utterance.
    noisy : Path
        Noisy file.
    clean : Path
        Clean file.

    Example
    -------
    >>> Pair("p226_001", Path("noisy/p226_001.wav"), Path("clean/p226_001.wav")).item_id
    'p226_001'
    """

    item_id: str
    noisy: Path
    clean: Path


def corpus_files(folder: str | Path) -> dict[str, Path]:
    """The .wav and .flac files that lie in a folder, by name without suffix.

    Arguments
    ---------
    folder : str | Path
        Folder, not searched any deeper.

    Returns
    -------
    dict[str, Path]
        Sorted by name; names that start with a dot are left out.

    Raises
    ------
    ValueError
        If the folder has no such file, or two of the same name.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for name in ("b.wav", "a.flac", "._a.wav"):
    ...     (folder / name).touch()
    >>> list(corpus_files(folder))
    ['a', 'b']
    """
    files: dict[str, Path] = {}
    for path in sorted(Path(folder).iterdir()):
        if path.suffix.lower() not in CORPUS_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in files:
            raise ValueError(f"{files[path.stem]} and {path} must not share a name")
        files[path.stem] = path
    if not files:
        raise ValueError(f"no {' or '.join(CORPUS_SUFFIXES)} file in {folder}")
    return files


def match_pairs(noisy_folder: str | Path, clean_folder: str | Path) -> list[Pair]:
    """Pair the files of two folders by name; a name in one of them only is an error.

    Arguments
    ---------
    noisy_folder : str | Path
        Noisy files.
    clean_folder : str | Path
        Clean files of the same names; one may be .wav and the other .flac.

    Returns
    -------
    list[Pair]
        Sorted by name.

    Raises
    ------
    ValueError
        If a file has no partner.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> for folder in ("noisy", "clean"):
    ...     (root / folder).mkdir()
    ...     (root / folder / "p226_001.wav").touch()
    >>> [pair.item_id for pair in match_pairs(root / "noisy", root / "clean")]
    ['p226_001']
    """
    noisy, clean = corpus_files(noisy_folder), corpus_files(clean_folder)
    for here, there, folder in (
        (noisy, clean, clean_folder),
        (clean, noisy, noisy_folder),
    ):
        alone = [name for name in here if name not in there]
        if alone:
            raise ValueError(
                f"{here[alone[0]]} has no partner in {folder} "
                f"({len(alone)} such files of {len(here)})"
            )
    return [Pair(name, noisy[name], clean[name]) for name in noisy]


def read_list(path: str | Path) -> dict[str, str]:
    """Read a pipe-delimited list of utterances, as MP-SENet's ``training.txt``.

    Each line is ``id|file``, such as
    ``p226_001|VoiceBank+DEMAND/wav_clean/p226_001.wav``. The first field is the id of
    the utterance. Of the second field only the file name counts, without folder and
    suffix: the file is looked up in the noisy and in the clean folder. A line without
    second field means a file named like the id. Further fields are ignored, and so are
    empty lines.

    Source: yxlu-0102/MP-SENet, ``VoiceBank+DEMAND/training.txt`` at 01c5a1c9.

    Arguments
    ---------
    path : str | Path
        Text file, UTF-8.

    Returns
    -------
    dict[str, str]
        File name without suffix for each id.

    Raises
    ------
    ValueError
        If the list cannot be read, is empty, or has an id twice.

    Example
    -------
    >>> path = getfixture("tmp_path") / "training.txt"
    >>> _ = path.write_text("p226_001|wav_clean/p226_001.wav")
    >>> read_list(path)
    {'p226_001': 'p226_001'}
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read list {path}: {error}") from error
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item_id, _, rest = line.partition("|")
        item_id = item_id.strip()
        file = rest.partition("|")[0].strip() or item_id
        # Lists made on Windows have backslashes. Folders are dropped, so a list
        # cannot point outside the corpus.
        name = file.replace("\\", "/").rpartition("/")[2]
        stem = name.rpartition(".")[0] if name.endswith(CORPUS_SUFFIXES) else name
        if not item_id or not stem:
            raise ValueError(f"{path}, line {number}: expected id|file, got {line!r}")
        if item_id in names:
            raise ValueError(f"{path}, line {number}: id {item_id} is listed twice")
        names[item_id] = stem
    if not names:
        raise ValueError(f"list {path} is empty")
    return names


def listed_pairs(
    names: Mapping[str, str], noisy_folder: str | Path, clean_folder: str | Path
) -> list[Pair]:
    """Pair the files that a list names.

    Arguments
    ---------
    names : Mapping[str, str]
        File name without suffix for each id; see ``read_list``.
    noisy_folder : str | Path
        Noisy files; may hold more than the list names.
    clean_folder : str | Path
        Clean files, likewise.

    Returns
    -------
    list[Pair]
        In the order of the list.

    Raises
    ------
    ValueError
        If a file is missing.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "a.wav").touch()
    >>> listed_pairs({"a": "a"}, folder, folder)[0].item_id
    'a'
    """
    found = {}
    for folder in (noisy_folder, clean_folder):
        found[folder] = corpus_files(folder)
        missing = [name for name in names.values() if name not in found[folder]]
        if missing:
            raise ValueError(
                f"{missing[0]}.wav is listed but not in {folder} "
                f"({len(missing)} such files of {len(names)})"
            )
    return [
        Pair(item_id, found[noisy_folder][name], found[clean_folder][name])
        for item_id, name in names.items()
    ]
