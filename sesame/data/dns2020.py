"""DNS Challenge 2020, test set: ``python -m sesame.data.dns2020 CORPUS SAVE``.

Documented: the folders test_set/synthetic/{no_reverb,with_reverb}/{clean,noisy} and
test_set/real_recordings, the file names, and the counts of 150, 150 and 300
(github.com/microsoft/DNS-Challenge, branch interspeech2020/master, folder
datasets/test_set); 16 kHz, 16 bits, mono for a file of the synthetic part (issue 108
there); that the clean files of with_reverb are reverberant (issue 8 there). Assumed:
that all files are mono with at least 16 kHz, which is checked.

Source: Reddy et al., "The INTERSPEECH 2020 Deep Noise Suppression Challenge",
arXiv:2005.13981.
"""

import argparse
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from sesame.data.evaluation_set import (
    find_folder,
    refuse_partial,
    write_evaluation_set,
)
from sesame.data.pairs import Pair, corpus_files

logger = logging.getLogger(__name__)

# Number of utterances of each set.
SETS = {"no_reverb": 150, "with_reverb": 150, "real_recordings": 300}
_FOLDERS = {
    "no_reverb": "synthetic/no_reverb",
    "with_reverb": "synthetic/with_reverb",
    "real_recordings": "real_recordings",
}
_FILE_ID = re.compile(r"(?:^|.*_)fileid_(\d+)")
_POINTER = b"version https://git-lfs"


def prepare_dns2020(
    data_folder: str | Path,
    save_folder: str | Path,
    sets: Sequence[str] = tuple(SETS),
    sample_rate: int = 16_000,
    allow_partial: bool = False,
) -> None:
    """Write ``dns2020_SET.json`` and folders of files that are named by pair.

    A noisy file ``..._fileid_N.wav`` belongs to ``clean_fileid_N.wav``; the pair is
    called ``fileid_N``. Real recordings keep their names and have no clean files. For
    what is written see ``write_evaluation_set``.

    Arguments
    ---------
    data_folder : str | Path
        The repository, its folder ``datasets``, or ``test_set`` itself; never written
        to.
    save_folder : str | Path
        Where manifests and folders go.
    sets : Sequence[str]
        Which of no_reverb, with_reverb, real_recordings to prepare.
    sample_rate : int
        Hz.
    allow_partial : bool
        Take a set whose number of files is not the published one.

    Raises
    ------
    ValueError
        If a folder, a file or a partner is missing, a file is broken or only a pointer
        of Git LFS, or the two of a pair differ in length.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> root = getfixture("tmp_path")
    >>> for path in ("noisy/clnsp1_bus_snr0_tl-21_fileid_7", "clean/clean_fileid_7"):
    ...     file = root / "test_set" / "synthetic" / "no_reverb" / f"{path}.wav"
    ...     file.parent.mkdir(parents=True)
    ...     soundfile.write(file, np.ones(1600) / 2, 16000)
    >>> prepare_dns2020(root, root / "save", ["no_reverb"], allow_partial=True)
    >>> (root / "save" / "dns2020_no_reverb" / "clean" / "fileid_7.wav").exists()
    True
    """
    unknown = [name for name in sets if name not in SETS]
    if unknown or not sets:
        raise ValueError(f"sets ({list(sets)}) must be among {list(SETS)}")
    data_folder = Path(data_folder)
    inner = ("", "test_set", "datasets/test_set")
    places = {
        f"DIR/{name}".rstrip("/"): data_folder / name if name else data_folder
        for name in inner
    }
    test_set = find_folder(
        places, [_FOLDERS[name] for name in sets], _how_to_get_data(data_folder)
    )
    found = {name: _find(name, test_set / _FOLDERS[name]) for name in sets}
    for name, pairs in found.items():
        refuse_partial(name, len(pairs), SETS[name], allow_partial)
    for name, pairs in found.items():
        write_evaluation_set(
            f"dns2020_{name}", pairs, data_folder, save_folder, sample_rate
        )


def _find(name: str, folder: Path) -> list[Pair]:
    if name == "real_recordings":
        files = corpus_files(folder)
        _refuse_pointers(files.values())
        return [Pair(stem, path, path) for stem, path in files.items()]
    noisy, clean = _by_id(folder / "noisy"), _by_id(folder / "clean")
    for here, there, other in ((noisy, clean, "clean"), (clean, noisy, "noisy")):
        alone = [path for number, path in here.items() if number not in there]
        if alone:
            raise ValueError(
                f"{alone[0]} has no partner in {folder / other} "
                f"({len(alone)} such files of {len(here)})"
            )
    return [Pair(f"fileid_{n}", noisy[n], clean[n]) for n in sorted(noisy)]


def _by_id(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        raise ValueError(f"folder {folder} is missing")
    files: dict[int, Path] = {}
    for stem, path in corpus_files(folder).items():
        match = _FILE_ID.fullmatch(stem)
        if match is None:
            raise ValueError(f"name of {path} must end with fileid_NUMBER")
        other = files.setdefault(int(match[1]), path)
        if other != path:
            raise ValueError(f"{other} and {path} must not share a file id")
    _refuse_pointers(files.values())
    return files


def _refuse_pointers(paths: Sequence[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ValueError(
                    f"{path} is a pointer of Git LFS, not audio: run git lfs pull "
                    "-I datasets/test_set/ in the repository"
                )


def _how_to_get_data(data_folder: Path) -> str:
    return (
        "Ways to go on: (1) git clone -b interspeech2020/master --single-branch "
        f"https://github.com/microsoft/DNS-Challenge {data_folder}, then, in it, git "
        "lfs pull -I datasets/test_set/; (2) point to a copy you have; (3) prepare "
        f"only what is there with sets (--sets), among {', '.join(SETS)}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Arguments
    ---------
    arguments : Sequence[str] | None
        Words after the command; ``None`` takes those of the program.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error.

    Example
    -------
    >>> main(["no/such/corpus", "save"])
    1
    """
    parser = argparse.ArgumentParser(
        prog="python -m sesame.data.dns2020",
        description="Prepare the test set of the DNS Challenge 2020.",
    )
    parser.add_argument("data_folder", type=Path, help="the corpus")
    parser.add_argument("save_folder", type=Path, help="where manifests and files go")
    parser.add_argument(
        "--sets", nargs="+", choices=list(SETS), default=list(SETS), help="default: all"
    )
    parser.add_argument(
        "--allow-partial", action="store_true", help="take incomplete sets"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        prepare_dns2020(
            options.data_folder,
            options.save_folder,
            options.sets,
            allow_partial=options.allow_partial,
        )
    except (ValueError, OSError) as error:
        logger.error("Error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
