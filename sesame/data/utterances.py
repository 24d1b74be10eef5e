"""Utterances of wanted speakers, and the items of a data set that is made from them."""

from collections.abc import Collection, Sequence
from pathlib import Path

from sesame.data.vb_demandex.sources import Utterance, find_speech


def find_utterances(
    folders: str | Path | Sequence[str | Path],
    sample_rate: int,
    speakers: Collection[str] | None = None,
    exclude_speakers: Collection[str] = (),
) -> list[Utterance]:
    """List files of speech of some speakers.

    Arguments
    ---------
    folders : str | Path | Sequence[str | Path]
        One folder or several; see ``find_speech``.
    sample_rate : int
        Hz in which lengths are counted.
    speakers : Collection[str] | None
        Only these speakers; ``None`` takes all.
    exclude_speakers : Collection[str]
        Not these speakers.

    Returns
    -------
    list[Utterance]
        Folder by folder, each sorted by path.

    Raises
    ------
    ValueError
        If a folder has no speech, a file cannot be read, or a speaker is not there.

    Example
    -------
    >>> import soundfile
    >>> folder = getfixture("tmp_path")
    >>> for name in ("anna_1", "ben_1"):
    ...     soundfile.write(folder / f"{name}.wav", [0.0, 0.1], 16000)
    >>> [row.name for row in find_utterances(folder, 16000, exclude_speakers=["ben"])]
    ['anna_1']
    """
    folders = [folders] if isinstance(folders, str | Path) else list(folders)
    found = [row for folder in folders for row in find_speech(folder, sample_rate)]
    there = {row.speaker for row in found}
    missing = sorted({*(speakers or ()), *exclude_speakers} - there)
    if missing:
        raise ValueError(
            f"speakers and exclude_speakers ({', '.join(missing)}) must be in "
            f"{', '.join(map(str, folders))}"
        )
    wanted = (there if speakers is None else set(speakers)) - set(exclude_speakers)
    return [row for row in found if row.speaker in wanted]


def utterance_items(
    utterances: Sequence[Utterance],
    sample_rate: int,
    segment_length: int | None = None,
    items_per_file: int = 1,
    num_items: int | None = None,
) -> dict[str, dict[str, int | float]]:
    """Items for a ``DynamicItemDataset``, each about one utterance.

    Arguments
    ---------
    utterances : Sequence[Utterance]
        Their names are the ids.
    sample_rate : int
        Hz in which the lengths of utterances and segment are counted.
    segment_length : int | None
        Samples of an item; ``None`` for those of the utterance.
    items_per_file : int
        Items of each utterance. The ids of all but the first end in ``+1``, ``+2`` and
        so on.
    num_items : int | None
        Keep only this many items, spread evenly over all.

    Returns
    -------
    dict[str, dict[str, int | float]]
        For each id ``index``, the place of the utterance, and ``length`` in seconds.

    Raises
    ------
    ValueError
        If ids collide or there are fewer items than ``num_items``.

    Example
    -------
    >>> utterances = [Utterance("a", "a.wav", "anna", 8000)]
    >>> utterance_items(utterances, 16000, items_per_file=2)
    {'a': {'index': 0, 'length': 0.5}, 'a+1': {'index': 0, 'length': 0.5}}
    """
    items: dict[str, dict[str, int | float]] = {}
    for index, utterance in enumerate(utterances):
        length = (segment_length or utterance.num_samples) / sample_rate
        for copy in range(items_per_file):
            item_id = utterance.name + (f"+{copy}" if copy else "")
            if item_id in items:
                other = utterances[int(items[item_id]["index"])]
                raise ValueError(
                    f"{other.path} and {utterance.path} must not have the same id "
                    f"{item_id!r}"
                )
            items[item_id] = {"index": index, "length": length}
    if num_items is None:
        return items
    if num_items > len(items):
        raise ValueError(
            f"num_items ({num_items}) must be at most {len(items)}, the utterances "
            f"times items_per_file ({items_per_file})"
        )
    ids = list(items)
    kept = [ids[i * len(ids) // num_items] for i in range(num_items)]
    return {item_id: items[item_id] for item_id in kept}
