"""EARS-WHAM version 2, test set: ``python -m sesame.data.ears_wham CORPUS SAVE``.

Documented: the generator ``generate_ears_wham.py --data_dir DIR [--16k]``
(github.com/sp-uhh/ears_benchmark, README); in its version 1 (commit 41d79e5) the files
test/noisy/SPEAKER/00000_5.0dB.wav and test/clean/SPEAKER/00000.wav at 48 kHz of up to
29 s, the speakers p102 to p107, and a row per file in test.csv. Published programs that
read version 2 use the same files and speakers in EARS-WHAM_v2, and a folder
EARS-WHAM_v2_16k. Assumed: that version 2 writes no other layout. The number of files
is not documented: it is compared with test.csv where that is there. Version 1 looks the
same; that the corpus is version 2 is not checked.

Source: Richter et al., "EARS: An Anechoic Fullband Speech Dataset", Interspeech 2024,
arXiv:2406.06185.
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
from sesame.data.pairs import CORPUS_SUFFIXES, Pair

logger = logging.getLogger(__name__)

SPEAKERS = ("p102", "p103", "p104", "p105", "p106", "p107")
_SNR = re.compile(r"_-?\d+(\.\d+)?dB$")


def prepare_ears_wham(
    data_folder: str | Path,
    save_folder: str | Path,
    sample_rate: int = 16_000,
    allow_partial: bool = False,
) -> None:
    """Write ``ears_wham.json`` and folders of files that are named by pair.

    ``data_folder`` is the corpus, or the folder it was generated in, where a version of
    16 kHz goes before one of 48 kHz. In ``test/noisy`` and ``test/clean``, files may
    lie in a folder per speaker or in none. A noisy file belongs to the clean one of the
    same folder and name, with or without the ratio at the end (``_5.0dB``); the pair is
    called ``p102_00000``. For what is written see ``write_evaluation_set``.

    Arguments
    ---------
    data_folder : str | Path
        The corpus; never written to.
    save_folder : str | Path
        Where the manifest and the folders go.
    sample_rate : int
        Hz.
    allow_partial : bool
        Take a corpus that lacks files of test.csv or, where there is no such list,
        speakers.

    Raises
    ------
    ValueError
        If a folder, a file or a partner is missing, a file is broken, or the two of a
        pair differ in length.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> root = getfixture("tmp_path")
    >>> for path in ("noisy/p102/00000_5.0dB.wav", "clean/p102/00000.wav"):
    ...     file = root / "EARS-WHAM_v2" / "test" / path
    ...     file.parent.mkdir(parents=True)
    ...     soundfile.write(file, np.ones(4800) / 2, 48000)
    >>> prepare_ears_wham(root, root / "save", allow_partial=True)
    >>> soundfile.info(root / "save" / "ears_wham" / "noisy" / "p102_00000.wav").frames
    1600
    """
    data_folder = Path(data_folder)
    places = {"DIR": data_folder} | {
        f"DIR/{name}": data_folder / name
        for name in ("test", "EARS-WHAM_v2_16k/test", "EARS-WHAM_v2/test")
    }
    test = find_folder(places, ["noisy", "clean"], _how_to_get_data())
    noisy, clean = _by_id(test / "noisy"), _by_id(test / "clean")
    for here, there, other in ((noisy, clean, "clean"), (clean, noisy, "noisy")):
        alone = [path for item_id, path in here.items() if item_id not in there]
        if alone:
            raise ValueError(
                f"{alone[0]} has no partner in {test / other} "
                f"({len(alone)} such files of {len(here)})"
            )
    _check_complete(test, list(noisy), allow_partial)
    pairs = [Pair(item_id, noisy[item_id], clean[item_id]) for item_id in noisy]
    write_evaluation_set("ears_wham", pairs, data_folder, save_folder, sample_rate)


def _by_id(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in CORPUS_SUFFIXES or path.name.startswith("."):
            continue
        speaker = path.parent.relative_to(folder).parts
        item_id = "_".join([*speaker, _SNR.sub("", path.stem)])
        if item_id in files:
            raise ValueError(f"{files[item_id]} and {path} must not share an id")
        files[item_id] = path
    if not files:
        raise ValueError(f"no {' or '.join(CORPUS_SUFFIXES)} file under {folder}")
    return files


def _check_complete(test: Path, ids: Sequence[str], allow_partial: bool) -> None:
    listed = test.parent / "test.csv"
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8").splitlines()[1:]
        num_listed = sum(bool(line.strip()) for line in lines)
        refuse_partial("ears_wham", len(ids), num_listed, allow_partial)
        return
    logger.warning("There is no %s to compare the number of files with", listed)
    missing = [s for s in SPEAKERS if not any(i.startswith(f"{s}_") for i in ids)]
    if missing and any("_" in item_id for item_id in ids) and not allow_partial:
        raise ValueError(
            f"{test} must have files of {', '.join(missing)}: complete the corpus, or "
            "go on with allow_partial (--allow-partial)"
        )


def _how_to_get_data() -> str:
    return (
        "Ways to go on: (1) generate the corpus with the scripts of "
        "https://github.com/sp-uhh/ears_benchmark: bash download_ears_wham.sh DIR and "
        "python generate_ears_wham.py --data_dir DIR --16k; (2) point to a copy you "
        "have"
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
        prog="python -m sesame.data.ears_wham",
        description="Prepare the test set of EARS-WHAM version 2.",
    )
    parser.add_argument("data_folder", type=Path, help="the corpus")
    parser.add_argument("save_folder", type=Path, help="where manifest and files go")
    parser.add_argument(
        "--allow-partial", action="store_true", help="take an incomplete set"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        prepare_ears_wham(
            options.data_folder,
            options.save_folder,
            allow_partial=options.allow_partial,
        )
    except (ValueError, OSError) as error:
        logger.error("Error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
