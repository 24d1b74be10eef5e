"""From a mixture to all that is shown of it; knows nothing of web pages."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..figures import spectrogram_figure
from ..file_separation import speaker_file
from ..separation_figure import mixture_figure
from ..separation_routing import separation_routing
from ..separator import Separator
from .guards import decode_upload
from .signals import beginning, read_shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Separated", "separate_upload"]


class Separated(NamedTuple):
    """What the demo shows of one mixture.

    Arguments
    ---------
    speakers : list[Path]
        A WAV file per speaker, with one channel and the upload's rate.
    spectrograms : Figure
        Of the mixture and of each speaker.
    experts : Figure | None
        The experts chosen; None for a model without a mixture of experts.

    Example
    -------
    >>> Separated([Path("a_speaker1.wav")], None, None).speakers[0].name
    'a_speaker1.wav'
    """

    speakers: list[Path]
    spectrograms: "Figure"
    experts: "Figure | None"


def separate_upload(
    separator: Separator,
    mixture: str | Path,
    folder: str | Path,
    max_seconds: float,
    report: Callable[[float, str], None] = lambda fraction, step: None,
) -> Separated:
    """Separates an upload and draws it.

    Several channels are averaged into one first. Pictures are drawn at up to 48 kHz.

    Arguments
    ---------
    separator : Separator
        Separates.
    mixture : str | Path
        File of a visitor.
    folder : str | Path
        Where the WAV files are written.
    max_seconds : float
        Longest signal that is accepted [s].
    report : Callable[[float, str], None]
        Is told the fraction done, 0 to 1, and what is done next; what it raises ends
        the work.

    Returns
    -------
    Separated
        Files and pictures.

    Raises
    ------
    ValueError
        If the file is refused; see ``decode_upload``. The message is meant for the
        visitor.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> separate_upload(None, "/srv/secret/no.wav", "folder", max_seconds=120.0)
    Traceback (most recent call last):
    ValueError: cannot read the mixture: there is no such file
    """
    folder = Path(folder)
    wav = folder / f"{Path(mixture).stem}.wav"
    report(0.0, "reading")
    info = decode_upload(mixture, wav, "the mixture", max_seconds)
    separator.separate_file(
        wav, folder, progress=lambda fraction: report(0.7 * fraction, "separating")
    )
    report(0.7, "drawing")
    numbers = range(1, separator.num_sources + 1)
    files = {"mixture": wav}
    files |= {f"speaker {n}": speaker_file(wav, folder, n) for n in numbers}
    signals, rate = read_shown(files, info.sample_rate)
    spectrograms = spectrogram_figure(signals, rate)
    report(0.8, "reading the experts")
    routing = separation_routing(separator, beginning(signals["mixture"], rate), rate)
    experts = mixture_figure(routing) if routing.planes else None
    report(1.0, "showing")
    _, *speakers = files.values()
    return Separated(speakers, spectrograms, experts)
