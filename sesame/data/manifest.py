"""Manifests: JSON files with one row per utterance, in SpeechBrain's form.

``{"p232_001": {"noisy_wav": "{data_root}/noisy/p232_001.wav", "clean_wav": ...,
"length": 1.74}}`` with ``length`` in seconds. ``{data_root}`` stands for the folder of
the corpus, ``{save_root}`` for the folder of the manifest.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ENTRY_KEYS = ("noisy_wav", "clean_wav", "length")
RECORDING_KEYS = ("noisy_wav", "length")


def write_json(path: str | Path, content: Any) -> None:
    """Write a JSON file completely or not at all.

    Arguments
    ---------
    path : str | Path
        File to write or replace; its folder is made if needed.
    content : Any
        What ``json`` can write; NaN is refused.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.json"
    >>> write_json(path, {"count": 2})
    >>> json.loads(path.read_text())
    {'count': 2}
    """
    path = Path(path)
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp makes a private file; the manifest is to be as readable as others.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def templated_path(path: str | Path, **roots: str | Path) -> str:
    """Write a path relative to the first of some named folders that contains it.

    Arguments
    ---------
    path : str | Path
        Path of a file.
    **roots : str | Path
        Folder for each name.

    Returns
    -------
    str
        ``"{name}/relative/path"`` with forward slashes; the absolute path if no folder
        contains it. Braces of the path itself are doubled, as ``str.format`` needs.

    Example
    -------
    >>> templated_path("/corpus/noisy/a{1}.wav", data_root="/corpus")
    '{data_root}/noisy/a{{1}}.wav'
    """
    path = Path(path).absolute()
    for name, root in roots.items():
        root = Path(root).absolute()
        if path.is_relative_to(root):
            return f"{{{name}}}/{_escape(path.relative_to(root).as_posix())}"
    return _escape(path.as_posix())


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def write_manifest(
    path: str | Path,
    entries: Mapping[str, Mapping[str, Any]],
    keys: Sequence[str] = ENTRY_KEYS,
) -> None:
    """Write a manifest completely or not at all.

    No entries, an entry without one of its keys and a length that is not positive are
    a ``ValueError``.

    Arguments
    ---------
    path : str | Path
        JSON file to write or replace.
    entries : Mapping[str, Mapping[str, Any]]
        For each id ``noisy_wav`` and ``clean_wav`` (see ``templated_path``) and
        ``length`` in seconds.
    keys : Sequence[str]
        Keys each entry must have; ``RECORDING_KEYS`` where there is no clean speech.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.json"
    >>> entry = {"noisy_wav": "n.wav", "clean_wav": "c.wav", "length": 0.5}
    >>> write_manifest(path, {"p232_001": entry})
    >>> list(read_manifest(path, "/corpus"))
    ['p232_001']
    """
    _check(path, entries, keys)
    write_json(path, {item_id: dict(entry) for item_id, entry in entries.items()})


def read_manifest(
    path: str | Path, data_root: str | Path, keys: Sequence[str] = ENTRY_KEYS
) -> dict[str, dict[str, Any]]:
    """Read a manifest and fill in its folders.

    Arguments
    ---------
    path : str | Path
        JSON file.
    data_root : str | Path
        Folder that ``{data_root}`` stands for.
    keys : Sequence[str]
        As for ``write_manifest``.

    Returns
    -------
    dict[str, dict[str, Any]]
        Entries with complete paths, in the order of the file.

    Raises
    ------
    ValueError
        If the file is missing, is not a manifest, or names an unknown folder.

    Example
    -------
    >>> path = getfixture("tmp_path") / "test.json"
    >>> entry = {"noisy_wav": "{data_root}/n.wav", "clean_wav": "c", "length": 0.5}
    >>> write_manifest(path, {"p232_001": entry})
    >>> read_manifest(path, "/corpus")["p232_001"]["noisy_wav"]
    '/corpus/n.wav'
    """
    path = Path(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"cannot read manifest {path}: {error}") from error
    _check(path, entries, keys)
    roots = {"data_root": str(data_root), "save_root": str(path.parent)}
    try:
        return {
            item_id: {
                key: value.format_map(roots) if isinstance(value, str) else value
                for key, value in entry.items()
            }
            for item_id, entry in entries.items()
        }
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(
            f"manifest {path}: paths may only contain {{data_root}} and "
            f"{{save_root}}, got {error}"
        ) from error


def _check(path: str | Path, entries: Any, keys: Sequence[str]) -> None:
    if not isinstance(entries, Mapping) or not entries:
        raise ValueError(f"manifest {path} must hold at least one utterance")
    for item_id, entry in entries.items():
        missing = [key for key in keys if key not in entry]
        if missing:
            raise ValueError(f"manifest {path}: {item_id} lacks {', '.join(missing)}")
        if not entry["length"] > 0:
            raise ValueError(
                f"manifest {path}: length of {item_id} ({entry['length']} s) must be "
                "positive"
            )
