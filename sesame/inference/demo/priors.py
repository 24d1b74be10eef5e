"""What visitors add for SEFlow: a voice, and what a loudspeaker played."""

from pathlib import Path
from typing import NamedTuple

from ..prior_inputs import FarEnd, Voice, read_far_end, read_voice
from .guards import decode_upload

__all__ = ["Priors", "read_priors"]

VOICE, FAR_END = "the voice to extract", "the far-end signal"


class Priors(NamedTuple):
    """Arguments of ``FlowEnhancer``; None for what there is not.

    Arguments
    ---------
    enrollment : Voice | None
        Of the speaker to extract.
    far_end : FarEnd | None
        What a loudspeaker played.

    Example
    -------
    >>> Priors()
    Priors(enrollment=None, far_end=None)
    """

    enrollment: Voice | None = None
    far_end: FarEnd | None = None


def read_priors(
    voice: str | Path | None,
    far_end: str | Path | None,
    folder: str | Path,
    max_seconds: float,
) -> Priors:
    """Reads what was uploaded beside a recording.

    Arguments
    ---------
    voice : str | Path | None
        File of a visitor, or None.
    far_end : str | Path | None
        File of the same visitor, or None.
    folder : str | Path
        Where WAV files are written; the far end is read from there later, too.
    max_seconds : float
        Longest signal that is accepted [s].

    Returns
    -------
    Priors
        What there is; warnings call it what messages call it.

    Raises
    ------
    ValueError
        If a file is refused (see ``decode_upload``), or the voice is silent. The
        message is meant for the visitor.

    Example
    -------
    >>> read_priors("/srv/secret/no.wav", None, "folder", max_seconds=120.0)
    Traceback (most recent call last):
    ValueError: cannot read the voice to extract: there is no such file
    """
    folder = Path(folder)
    enrollment = reference = None
    if voice is not None:
        enrollment = _read_voice(voice, folder / "voice.wav", max_seconds)
    if far_end is not None:
        wav = folder / "far_end.wav"
        decode_upload(far_end, wav, FAR_END, max_seconds)
        reference = read_far_end(wav)._replace(name=FAR_END)
    return Priors(enrollment, reference)


def _read_voice(upload: str | Path, wav: Path, max_seconds: float) -> Voice:
    decode_upload(upload, wav, VOICE, max_seconds)
    try:
        voice = read_voice(wav)
    except ValueError as error:
        # Visitors are not told where the server keeps its files.
        raise ValueError(_named(str(error), wav)) from error
    return voice._replace(warnings=tuple(_named(line, wav) for line in voice.warnings))


def _named(message: str, wav: Path) -> str:
    return message.replace(f"enrollment {wav}", VOICE)
