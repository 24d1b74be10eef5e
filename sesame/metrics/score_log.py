"""A log of scores, one JSON line per file, from which a stopped evaluation goes on."""

import importlib.metadata
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sesame import __version__

from .pair import ModelFiles
from .report import Row

PACKAGES = (
    "numpy",
    "scipy",
    "soxr",
    "pesq",
    "pystoi",
    "speechmos",
    "distillmos",
    "librosa",
    "onnxruntime",
    "torch",
    "torchmetrics",
)
# How each line begins, which tells a torn one from a file of something else.
BEGINNING = b'{"system": '


def evaluation_settings(
    metrics: Iterable[str],
    variant: str,
    max_length_difference: int,
    align_first: bool = False,
    model_files: ModelFiles | None = None,
) -> dict[str, Any]:
    """All that scores depend on beside the audio, as JSON would give it back.

    Arguments
    ---------
    metrics : Iterable[str]
        As for ``score_pair``.
    variant : str
        As for ``score_pair``.
    max_length_difference : int
        As for ``score_pair``.
    align_first : bool
        As for ``score_pair``.
    model_files : ModelFiles | None
        As for ``score_pair``.

    Returns
    -------
    dict[str, Any]
        The choices, stamps of the model files, and "versions" of packages (None for
        one that is not installed).

    Example
    -------
    >>> settings = evaluation_settings(("stoi",), "loizou", 100)
    >>> settings["metrics"], settings["versions"]["sesame"] == __version__
    (['stoi'], True)
    """
    files = (model_files or {}).items()
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "metrics": list(metrics),
        "composite_variant": variant,
        "max_length_difference": max_length_difference,
        "align_first": align_first,
        "model_files": {name: stamp(path) for name, path in files},
        "versions": {"sesame": __version__} | versions,
    }


def stamp(path: str | Path | None) -> list[str | int] | None:
    """What changes when a file does: its absolute path, size and time of change.

    Arguments
    ---------
    path : str | Path | None
        A file or folder.

    Returns
    -------
    list[str | int] | None
        [path, bytes, nanoseconds]; None if there is no such file.

    Example
    -------
    >>> stamp("no/such/file") is None
    True
    """
    try:
        status = Path(path).stat() if path is not None else None
    except OSError:
        return None
    if status is None:
        return None
    return [str(Path(path).resolve()), status.st_size, status.st_mtime_ns]


class ScoreLog:
    """Rows in a file that only grows; a line is written when its row is done.

    What a kill left of a last line is cut off when the log is opened.

    Arguments
    ---------
    path : str | Path
        File to append to; made, with its folder, if there is none.
    settings : Mapping[str, Any]
        What ``evaluation_settings`` returned; rows made with others do not count.

    Raises
    ------
    ValueError
        If the file holds something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "scores.jsonl"
    >>> ScoreLog(path, {"metrics": ["stoi"]}).append(
    ...     "enhanced", {"id": "a", "stoi": 0.5, "reasons": {}}, [["a.wav", 4, 7]]
    ... )
    >>> log = ScoreLog(path, {"metrics": ["stoi"]})
    >>> log.find("enhanced", "a", [["a.wav", 4, 7]])
    {'id': 'a', 'stoi': 0.5, 'reasons': {}}
    >>> log.find("enhanced", "a", [["a.wav", 4, 8]]) is None  # changed since
    True
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]):
        self.path = Path(path)
        self.settings = dict(settings)
        self._entries = {}
        content = self.path.read_bytes() if self.path.exists() else b""
        lines = content.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            if number == len(lines) and _is_torn(line):
                break
            entry = self._parse(line, number)
            if entry["settings"] == self.settings:
                self._entries[entry["system"], entry["id"]] = entry
        if lines and _is_torn(lines[-1]):
            with self.path.open("r+b") as file:
                file.truncate(len(content) - len(lines[-1]))
        else:
            # Whether it can be written to is better known before hours of scoring.
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.open("ab").close()

    def find(self, system: str, name: str, files: list) -> Row | None:
        """The row of a file that was scored before and has not changed since.

        Arguments
        ---------
        system : str
            Such as "enhanced" or "noisy".
        name : str
            The row's id.
        files : list
            Stamps of the files it is made of.

        Returns
        -------
        Row | None
            The row, as ``score_pairs`` returned it.
        """
        entry = self._entries.get((system, name))
        if entry is None or entry["files"] != files:
            return None
        scores = {
            metric: math.nan if value is None else value
            for metric, value in entry["scores"].items()
        }
        return {"id": name, **scores, "reasons": entry["reasons"]}

    def append(self, system: str, row: Row, files: list) -> None:
        """Writes a row.

        Arguments
        ---------
        system : str
            Such as "enhanced" or "noisy".
        row : Row
            A row of ``score_pairs``.
        files : list
            Stamps of the files it is made of.
        """
        scores = {
            name: value if math.isfinite(value) else None
            for name, value in row.items()
            if name not in ("id", "reasons")
        }
        entry = {
            "system": system,
            "id": row["id"],
            "scores": scores,
            "reasons": row["reasons"],
            "files": files,
            "settings": self.settings,
        }
        with self.path.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            if entry.keys() >= {"system", "id", "scores", "reasons", "files"}:
                return entry | {"settings": entry.get("settings")}
        except (ValueError, AttributeError):
            pass
        raise ValueError(f"line {number} of {self.path} is no line of a log of scores")


def _is_torn(line: bytes) -> bool:
    if line.endswith(b"\n"):
        return False
    return line.startswith(BEGINNING) or BEGINNING.startswith(line)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
