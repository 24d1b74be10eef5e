"""Download VoiceBank+DEMAND: ``python -m sesame.data.download FOLDER``.

The four archives (5.6 GB) come from Edinburgh DataShare, licence CC BY 4.0. The address
of the record is https://doi.org/10.7488/ds/2117 (handle 10283/2791).
"""

import argparse
import hashlib
import http.client
import logging
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from sesame.data.pairs import CORPUS_SUFFIXES

logger = logging.getLogger(__name__)

RECORD = "https://doi.org/10.7488/ds/2117"
# The older addresses, /bitstream/handle/10283/2791/<name>.zip, answer with a web page.
_BITSTREAMS = "https://datashare.ed.ac.uk/server/api/core/bitstreams"
_CHUNK = 1 << 20  # bytes
_PASSING_ERRORS = (408, 425, 429, 500, 502, 503, 504)  # HTTP status


class Archive(NamedTuple):
    """Where an archive is, and the checksum that the repository states for it.

    Arguments
    ---------
    url : str
        Address.
    md5 : str | None
        Hexadecimal MD5 sum, ``None`` to check nothing.

    Example
    -------
    >>> ARCHIVES["clean_testset_wav"].md5
    '34eb1c0ba7ef667e9b966866c542fc16'
    """

    url: str
    md5: str | None = None


ARCHIVES = {
    "clean_trainset_28spk_wav": Archive(
        f"{_BITSTREAMS}/245452b6-6235-44b6-a6f9-e7eb19797769/content",
        "d2d5a45ec32f8fcbf201bde0447e20ba",
    ),
    "noisy_trainset_28spk_wav": Archive(
        f"{_BITSTREAMS}/ecb5a102-bb00-46d3-8af5-40c79823b837/content",
        "1fca9e8bafb8cd069f6653c6d92f9e9c",
    ),
    "clean_testset_wav": Archive(
        f"{_BITSTREAMS}/dec213d3-bf57-4777-9663-c24bdce92d5e/content",
        "34eb1c0ba7ef667e9b966866c542fc16",
    ),
    "noisy_testset_wav": Archive(
        f"{_BITSTREAMS}/13c1bfbf-14a6-41db-9b41-8f7310f01ad5/content",
        "fb1b86caa31e8ba5b506c0c64da9aab5",
    ),
}


def download(
    archive: Archive, path: str | Path, retries: int = 5, wait_seconds: float = 2.0
) -> None:
    """Download a zip file; an interrupted download goes on where it stopped.

    What has arrived is kept in ``<path>.part``, also when the program ends. A server
    that refuses or cannot be reached, a wrong size or checksum, and anything that is
    not a zip file are a ``ValueError``.

    Arguments
    ---------
    archive : Archive
        Address and checksum.
    path : str | Path
        File to write. If it exists, only its checksum is looked at.
    retries : int
        Attempts in a row that bring no byte before giving up.
    wait_seconds : float
        Pause after the first such attempt, doubled each time, s.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "source.zip", "w") as file:
    ...     file.writestr("a.wav", b"x")
    >>> download(Archive((folder / "source.zip").as_uri()), folder / "copy.zip")
    >>> zipfile.ZipFile(folder / "copy.zip").namelist()
    ['a.wav']
    """
    path = Path(path)
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_all(archive.url, part, retries, wait_seconds)
        _check_archive(archive, part, is_ours=True)
        os.replace(part, path)
    else:
        _check_archive(archive, path, is_ours=False)


def extract(archive_path: str | Path, folder: str | Path) -> None:
    """Unpack the audio files of a zip file into a folder, completely or not at all.

    Folders inside the archive are dropped, and so is all that is not .wav or .flac.

    Arguments
    ---------
    archive_path : str | Path
        Zip file.
    folder : str | Path
        Folder to make; nothing is done if it exists.

    Raises
    ------
    ValueError
        If the archive is corrupt, holds no audio, has two files of one name or a path
        that leads outside, or the disk is too small.

    Example
    -------
    >>> root = getfixture("tmp_path")
    >>> with zipfile.ZipFile(root / "a.zip", "w") as file:
    ...     file.writestr("clean_testset_wav/p232_001.wav", b"x")
    >>> extract(root / "a.zip", root / "clean_testset_wav")
    >>> [path.name for path in (root / "clean_testset_wav").iterdir()]
    ['p232_001.wav']
    """
    archive_path, folder = Path(archive_path), Path(folder)
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        with zipfile.ZipFile(archive_path) as archive:
            members = _audio_members(archive, archive_path)
            needed = sum(member.file_size for member in members.values())
            free = shutil.disk_usage(temporary).free
            if needed > free:
                raise ValueError(
                    f"{archive_path} needs {needed} bytes, {folder.parent} has {free}"
                )
            for name, member in tqdm(members.items(), folder.name, disable=None):
                with (
                    archive.open(member) as source,
                    (temporary / name).open("wb") as to,
                ):
                    shutil.copyfileobj(source, to)
        temporary.chmod(0o755)
        os.replace(temporary, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(
            f"{archive_path} is corrupt ({error}); delete it and download it again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main(
    arguments: Sequence[str] | None = None,
    archives: Mapping[str, Archive] = ARCHIVES,
) -> int:
    """Run the command line.

    Arguments
    ---------
    arguments : Sequence[str] | None
        Words after the command; ``None`` takes those of the program.
    archives : Mapping[str, Archive]
        Archive for each folder name.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> with zipfile.ZipFile(folder / "source.zip", "w") as file:
    ...     file.writestr("a.wav", b"x")
    >>> main([str(folder)], {"clean": Archive((folder / "source.zip").as_uri())})
    0
    >>> (folder / "clean" / "a.wav").exists()
    True
    """
    parser = argparse.ArgumentParser(
        prog="python -m sesame.data.download",
        description="Get VoiceBank+DEMAND: 5.6 GB to download, about 7 GB unpacked.",
    )
    parser.add_argument("folder", type=Path, help="where the corpus goes")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=list(archives),
        default=list(archives),
        help="archives to get (default: all)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in options.parts:
            if (options.folder / name).is_dir():
                logger.info("%s is there already", options.folder / name)
                continue
            archive_path = options.folder / f"{name}.zip"
            logger.info("Getting %s", archives[name].url)
            download(archives[name], archive_path)
            extract(archive_path, options.folder / name)
            logger.info("%s is ready; %s may be deleted", name, archive_path.name)
    except (ValueError, OSError) as error:
        logger.error("Error: %s", error)
        return 1
    logger.info(
        "Next: python train.py hparams/sesame.yaml --data_folder %s", options.folder
    )
    return 0


def _fetch_all(url: str, part: Path, retries: int, wait_seconds: float) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            expected = _fetch(url, part)
            if expected is None or _size(part) == expected:
                return
            problem = f"got {_size(part)} of {expected} bytes"
        except urllib.error.HTTPError as error:
            problem = f"HTTP status {error.code}"
            if error.code not in _PASSING_ERRORS:
                raise ValueError(_give_up(url, part, problem)) from error
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        failures = 0 if _size(part) > before else failures + 1
        if failures > retries:
            raise ValueError(_give_up(url, part, problem))
        logger.info("%s: %s; trying again", url, problem)
        time.sleep(wait_seconds * 2 ** max(0, failures - 1))


def _fetch(url: str, part: Path) -> int | None:
    """Append what is missing of a file; returns its size if the server states it."""
    start = _size(part)
    headers = {"User-Agent": "sesame-download"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        total = _total(error.headers.get("Content-Range", ""))
        if error.code != 416 or total is None:
            raise
        # Nothing is left to send; a part longer than the file is of no use.
        if start > total:
            part.unlink()
        return total
    with response:
        length = response.headers.get("Content-Length")
        if response.status == 206:
            content_range = response.headers.get("Content-Range", "")
            if not content_range.startswith(f"bytes {start}-"):
                part.unlink(missing_ok=True)
                raise http.client.HTTPException(
                    f"asked for bytes from {start}, got {content_range!r}"
                )
            total = _total(content_range)
        else:
            # The server does not know ranges: it sends the file from the start.
            start = 0
            total = None if length is None else int(length)
        progress = tqdm(
            total=total, initial=start, unit="B", unit_scale=True, disable=None
        )
        with part.open("ab" if start else "wb") as file, progress:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                progress.update(len(chunk))
    return total


def _total(content_range: str) -> int | None:
    match = re.fullmatch(r"bytes .*/(\d+)", content_range.strip())
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _give_up(url: str, part: Path, problem: str) -> str:
    name = part.name.removesuffix(".part")
    return (
        f"cannot download {url}: {problem}. Run the same command again to go on; or "
        f"get {name} from {RECORD} with a browser, put it into {part.parent}, and run "
        "the command again"
    )


def _check_archive(archive: Archive, path: Path, is_ours: bool) -> None:
    """Check what arrived; a wrong file of ours is deleted, else resuming is stuck."""
    problem = ""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            problem = f"is not a zip file; see {RECORD} for the current address"
        elif archive.md5 is not None:
            file.seek(0)
            digest = hashlib.file_digest(file, "md5").hexdigest()
            if digest != archive.md5:
                problem = f"has MD5 {digest}, expected {archive.md5}"
    if problem:
        if is_ours:
            path.unlink()
        raise ValueError(f"{path} from {archive.url} {problem}")


def _audio_members(
    archive: zipfile.ZipFile, archive_path: Path
) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        inside = PurePosixPath(member.filename.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts or ":" in member.filename:
            raise ValueError(f"{archive_path} holds an unsafe path: {member.filename}")
        if (
            member.is_dir()
            or inside.suffix.lower() not in CORPUS_SUFFIXES
            or inside.name.startswith(".")
            or "__MACOSX" in inside.parts
        ):
            continue
        if inside.name in members:
            raise ValueError(f"{archive_path} holds {inside.name} twice")
        members[inside.name] = member
    if not members:
        raise ValueError(f"{archive_path} holds no .wav or .flac file")
    return members


if __name__ == "__main__":
    raise SystemExit(main())
