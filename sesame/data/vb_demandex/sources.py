"""What VB-DemandEx is mixed from: clean speech by speaker, noise by channel."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sesame.data.audio import audio_info, list_audio, resampled_length

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
VALID_SPEAKERS = ("p282", "p287")
TEST_SPEAKERS = ("p232", "p257")
CHANNELS = {"train": range(1, 13), "valid": range(13, 15), "test": range(15, 17)}
# DEMAND, by the first letter of the environment; its names are distinct.
CATEGORIES = {
    "domestic": ("DKITCHEN", "DLIVING", "DWASHING"),
    "nature": ("NFIELD", "NPARK", "NRIVER"),
    "office": ("OHALLWAY", "OMEETING", "OOFFICE"),
    "public": ("PCAFETER", "PRESTO", "PSTATION"),
    "street": ("SCAFE", "SPSQUARE", "STRAFFIC"),
    "transportation": ("TBUS", "TCAR", "TMETRO"),
}
ENVIRONMENT = "environment"  # category of noise that is not DEMAND's
_CORPUS_FOLDERS = (
    ("clean_trainset_28spk_wav_16k", "clean_trainset_28spk_wav"),
    ("clean_testset_wav_16k", "clean_testset_wav"),
)
_CATEGORY_OF = {name: key for key, names in CATEGORIES.items() for name in names}
_CHANNEL = re.compile(r"ch(\d\d)")


class Utterance(NamedTuple):
    """A file of clean speech.

    Arguments
    ---------
    name : str
        Path below its folder without suffix, "-" for "/".
    path : str
        The file.
    speaker : str
        See ``speaker_of_file``.
    num_samples : int
        Length at the wanted rate.

    Example
    -------
    >>> Utterance("p226_001", "clean/p226_001.wav", "p226", 32000).speaker
    'p226'
    """

    name: str
    path: str
    speaker: str
    num_samples: int


class NoiseTrack(NamedTuple):
    """A noise, perhaps of several files that follow one another.

    Arguments
    ---------
    category : str
        One of DEMAND's six, or ``"environment"``.
    files : tuple[str, ...]
        In this order.

    Example
    -------
    >>> NoiseTrack("environment", ("rain.wav",)).category
    'environment'
    """

    category: str
    files: tuple[str, ...]


def speaker_of_file(path: str | Path, folder: str | Path) -> str:
    """Speaker of a file of speech.

    The name of the file up to its first "_" or "-" (``p226_001``,
    ``1688-142285-0000``). If it has neither: the first folder below ``folder``, and for
    a file that lies in ``folder`` itself its whole name.

    Arguments
    ---------
    path : str | Path
        The file.
    folder : str | Path
        Folder that was searched.

    Returns
    -------
    str
        Such as ``"p226"``.

    Example
    -------
    >>> speaker_of_file("bank/p226_001.wav", "bank")
    'p226'
    >>> speaker_of_file("bank/anna/first.wav", "bank")
    'anna'
    """
    stem = Path(path).stem
    speaker = re.split("[_-]", stem, maxsplit=1)[0]
    if speaker and speaker != stem:
        return speaker
    return Path(path).relative_to(folder).with_suffix("").parts[0]


def own_folder(folder: str | Path, split: str) -> Path:
    """Folder of one split: the subfolder of its name, or else the whole folder.

    Arguments
    ---------
    folder : str | Path
        Folder of speech or noise.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``.

    Returns
    -------
    Path
        ``folder / split`` if there is such a folder, else ``folder``.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "valid").mkdir()
    >>> own_folder(folder, "valid").name, own_folder(folder, "test") == folder
    ('valid', True)
    """
    inner = Path(folder) / split
    return inner if inner.is_dir() else Path(folder)


def find_speech(folder: str | Path, sample_rate: int) -> list[Utterance]:
    """List files of speech.

    In a folder of VoiceBank+DEMAND only its clean files are listed.

    Arguments
    ---------
    folder : str | Path
        Searched at any depth.
    sample_rate : int
        Hz in which lengths are counted.

    Returns
    -------
    list[Utterance]
        Sorted by path.

    Raises
    ------
    ValueError
        If there is no speech, a file cannot be read, or two would bear the same name.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> folder = getfixture("tmp_path")
    >>> soundfile.write(folder / "p226_001.flac", np.zeros(100), 8000)
    >>> find_speech(folder, 16000)[0]._replace(path="")
    Utterance(name='p226_001', path='', speaker='p226', num_samples=200)
    """
    folder = Path(folder)
    roots = [
        next(folder / name for name in names if (folder / name).is_dir())
        for names in _CORPUS_FOLDERS
        if any((folder / name).is_dir() for name in names)
    ] or [folder]
    found: dict[str, Utterance] = {}
    for root in roots:
        for path in list_audio(root):
            name = path.relative_to(root).with_suffix("").as_posix().replace("/", "-")
            if name in found:
                raise ValueError(
                    f"{found[name].path} and {path} must not have the same id {name!r}"
                )
            speaker = speaker_of_file(path, root)
            length = _length(path, sample_rate)
            found[name] = Utterance(name, str(path), speaker, length)
    return list(found.values())


def clean_speech(
    folder: str | Path,
    split: str,
    sample_rate: int,
    valid_speakers: Sequence[str] = VALID_SPEAKERS,
    test_speakers: Sequence[str] = TEST_SPEAKERS,
) -> list[Utterance]:
    """Clean speech of one split.

    A subfolder named like the split is taken as it is. Otherwise the speakers decide:
    those of neither list are for training, and a split whose list is empty takes all
    files.

    Arguments
    ---------
    folder : str | Path
        Speech.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``.
    sample_rate : int
        Hz.
    valid_speakers : Sequence[str]
        Speakers held out for validation.
    test_speakers : Sequence[str]
        Speakers of the test set.

    Returns
    -------
    list[Utterance]
        Sorted by path.

    Raises
    ------
    ValueError
        If a speaker of the split is not there, or nobody is left for it.

    Example
    -------
    >>> import numpy as np, soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("p225_001", "p232_001", "p257_001"):
    ...     soundfile.write(folder / f"{name}.wav", np.zeros(100), 16000)
    >>> [row.name for row in clean_speech(folder, "test", 16000)]
    ['p232_001', 'p257_001']
    """
    own = own_folder(folder, split)
    everyone = find_speech(own, sample_rate)
    held_out = {"valid": set(valid_speakers), "test": set(test_speakers)}
    both = held_out["valid"] & held_out["test"]
    if both:
        raise ValueError(f"speakers {sorted(both)} must not be for valid and for test")
    if own != Path(folder) or not held_out.get(split, True):
        return everyone
    speakers = {utterance.speaker for utterance in everyone}
    wanted = held_out.get(split, speakers - held_out["valid"] - held_out["test"])
    missing = sorted(wanted - speakers)
    if missing or not wanted:
        names = sorted(speakers)
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise ValueError(
            f"speakers of the {split} split ({', '.join(missing) or 'none left'}) must "
            f"be in {folder}, which has {shown}"
        )
    return [utterance for utterance in everyone if utterance.speaker in wanted]


def is_demand(folder: str | Path) -> bool:
    """Whether a folder holds recordings of DEMAND.

    Arguments
    ---------
    folder : str | Path
        Noise.

    Returns
    -------
    bool
        True if a file such as ``TBUS/ch01.wav`` or ``TBUS_16k/ch01.wav`` is below it.

    Example
    -------
    >>> (getfixture("tmp_path") / "TBUS").mkdir()
    >>> (getfixture("tmp_path") / "TBUS" / "ch01.wav").touch()
    >>> is_demand(getfixture("tmp_path"))
    True
    """
    return any(_demand_place(path) for path in list_audio(folder))


def find_noise(folder: str | Path, split: str, sample_rate: int) -> list[NoiseTrack]:
    """Noise of one split.

    Of DEMAND each track is one channel of the three environments of a category, one
    after the other; channels 1-12 are for training, 13-14 for validation, 15-16 for the
    test. (SCAFE is published at 48 kHz only: it is resampled when read.) Of any other
    folder each file is a track, those in a subfolder named like the split if there is
    one.

    Arguments
    ---------
    folder : str | Path
        Noise.
    split : str
        ``"train"``, ``"valid"`` or ``"test"``.
    sample_rate : int
        Hz; where DEMAND is there in two rates, this one is taken.

    Returns
    -------
    list[NoiseTrack]
        Sorted.

    Raises
    ------
    ValueError
        If there is no noise for the split or a file cannot be read.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("TBUS", "TCAR", "TMETRO"):
    ...     (folder / name).mkdir()
    ...     for channel in ("ch14", "ch15"):
    ...         soundfile.write(folder / name / f"{channel}.wav", [0.0], 16000)
    >>> tracks = find_noise(folder, "test", 16000)
    >>> [(len(track.files), track.category) for track in tracks]
    [(3, 'transportation')]
    """
    if not is_demand(folder):
        files = list_audio(own_folder(folder, split))
        for path in files:
            audio_info(path)
        return [NoiseTrack(ENVIRONMENT, (str(path),)) for path in files]
    recordings: dict[tuple[str, int], Path] = {}
    for path in list_audio(folder):
        place = _demand_place(path)
        if place is None or place[1] not in CHANNELS[split]:
            continue
        if audio_info(path).sample_rate == sample_rate or place not in recordings:
            recordings[place] = path
    tracks = []
    for category, environments in CATEGORIES.items():
        for channel in CHANNELS[split]:
            files = [
                str(recordings[name, channel])
                for name in environments
                if (name, channel) in recordings
            ]
            if files:
                tracks.append(NoiseTrack(category, tuple(files)))
            if len(files) < len(environments):
                logger.warning(
                    "DEMAND is not complete: %d of 3 %s recordings of channel %d",
                    len(files),
                    category,
                    channel,
                )
    if not tracks:
        channels = CHANNELS[split]
        raise ValueError(
            f"{folder} has no channel from {channels[0]} to {channels[-1]}, those of "
            f"the {split} split"
        )
    return tracks


def _demand_place(path: Path) -> tuple[str, int] | None:
    environment = path.parent.name.upper().removesuffix("_16K").removesuffix("_48K")
    channel = _CHANNEL.fullmatch(path.stem.lower())
    if environment not in _CATEGORY_OF or channel is None:
        return None
    return environment, int(channel[1])


def _length(path: Path, sample_rate: int) -> int:
    info = audio_info(path)
    return resampled_length(info.num_samples, info.sample_rate, sample_rate)
