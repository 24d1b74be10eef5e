"""mixtures.csv: one row for each pair that was written, with all that went into it."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sesame.data.manifest import templated_path
from sesame.data.vb_demandex.mixture import Mixed, Mixture

PLANNED = (
    "id",
    "split",
    "clean_file",
    "clean_start",
    "num_samples",
    "noise_type",
    "noise_files",
    "snr_asked_db",
    "level_asked_dbfs",
    "seed",
)
MEASURED = ("noise_offset", "draw", "snr_measured_db", "level_measured_dbfs")
COLUMNS = PLANNED + MEASURED
SEPARATOR = "|"  # between noise files; ":" and ";" occur in names more often

Record = dict[str, str]


def planned_fields(mixture: Mixture, roots: Mapping[str, str]) -> Record:
    """Write a plan as text.

    Arguments
    ---------
    mixture : Mixture
        The plan.
    roots : Mapping[str, str]
        Folders by name; paths are written as ``{name}/relative/path``.

    Returns
    -------
    Record
        The columns ``PLANNED``.

    Raises
    ------
    ValueError
        If the path of a noise file holds the separator of the column, "|".

    Example
    -------
    >>> plan = Mixture("a", "test", "/c/a.wav", 0, 9, "x", ("/n/b",), 5.0, -25.0, 1)
    >>> row = planned_fields(plan, {"clean": "/c", "noise": "/n"})
    >>> row["clean_file"], row["noise_files"], row["snr_asked_db"]
    ('{clean}/a.wav', '{noise}/b', '5.0')
    """
    files = [templated_path(path, **roots) for path in mixture.noise_files]
    for path in files:
        if SEPARATOR in path:
            raise ValueError(f"path {path} must not hold {SEPARATOR!r}")
    values = (
        mixture.item_id,
        mixture.split,
        templated_path(mixture.clean, **roots),
        mixture.clean_start,
        mixture.num_samples,
        mixture.noise_type,
        SEPARATOR.join(files),
        mixture.snr_db,
        mixture.level_dbfs,
        mixture.seed,
    )
    return {name: str(value) for name, value in zip(PLANNED, values, strict=True)}


def measured_fields(mixed: Mixed) -> Record:
    """Write what was measured as text.

    Arguments
    ---------
    mixed : Mixed
        A pair.

    Returns
    -------
    Record
        The columns ``MEASURED``; no noise offset for babble and SSN.

    Example
    -------
    >>> measured_fields(Mixed(None, None, None, 0, 5.0, -25.0))["snr_measured_db"]
    '5.0000'
    """
    return {
        "noise_offset": "" if mixed.noise_offset is None else str(mixed.noise_offset),
        "draw": str(mixed.draw),
        "snr_measured_db": f"{mixed.snr_db:.4f}",
        "level_measured_dbfs": f"{mixed.level_dbfs:.2f}",
    }


def read_records(path: str | Path) -> list[Record]:
    """Read the rows of mixtures.csv.

    Arguments
    ---------
    path : str | Path
        The file; a missing one has no rows.

    Returns
    -------
    list[Record]
        Whole rows; one that an interruption cut is left out.

    Example
    -------
    >>> path = getfixture("tmp_path") / "mixtures.csv"
    >>> write_records(path, [dict.fromkeys(COLUMNS, "1")])
    >>> with path.open("a") as file:
    ...     _ = file.write("2,test,half a r")
    >>> len(read_records(path))
    1
    """
    path = Path(path)
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    # Without its line end a last row is not whole, even if it has all columns.
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.DictReader(io.StringIO(whole), strict=False))
    return [
        row
        for row in rows
        if set(row) == set(COLUMNS) and all(value is not None for value in row.values())
    ]


def write_records(path: str | Path, records: Sequence[Mapping[str, str]]) -> None:
    """Write mixtures.csv completely or not at all.

    Arguments
    ---------
    path : str | Path
        File to write or replace.
    records : Sequence[Mapping[str, str]]
        Rows with the columns ``COLUMNS``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "mixtures.csv"
    >>> write_records(path, [])
    >>> path.read_text().startswith("id,split,clean_file")
    True
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    os.replace(temporary, path)


def append_record(path: str | Path, record: Mapping[str, str]) -> None:
    """Add a row to a file that ``write_records`` began.

    Arguments
    ---------
    path : str | Path
        The file.
    record : Mapping[str, str]
        Row with the columns ``COLUMNS``.

    Example
    -------
    >>> path = getfixture("tmp_path") / "mixtures.csv"
    >>> write_records(path, [])
    >>> append_record(path, dict.fromkeys(COLUMNS, "1"))
    >>> len(read_records(path))
    1
    """
    with Path(path).open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(record)


def noise_paths(record: Mapping[str, str], roots: Mapping[str, str]) -> list[str]:
    """Files of the noise of a row.

    Arguments
    ---------
    record : Mapping[str, str]
        A row.
    roots : Mapping[str, str]
        Folders by name.

    Returns
    -------
    list[str]
        Paths with the folders filled in.

    Example
    -------
    >>> noise_paths({"noise_files": "{babble}/a.wav|{babble}/b.wav"}, {"babble": "/b"})
    ['/b/a.wav', '/b/b.wav']
    """
    # Split first: a folder may have the separator in its name.
    return [part.format_map(roots) for part in record["noise_files"].split(SEPARATOR)]
