"""From a noisy upload to all that is shown of it; knows nothing of web pages."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sesame.metrics import score_pair

from ..enhancer import Enhancer
from ..figures import routing_figure, spectrogram_figure
from ..flow_enhancer import FlowEnhancer
from ..routing import expert_maps
from .guards import decode_upload
from .priors import Priors
from .signals import beginning, read_shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Enhanced", "enhance_upload", "score_table"]

# Scores whose unit or scale a reader must know.
LABELS = {
    "si_sdr": "si_sdr [dB]",
    "ssnr": "ssnr [dB]",
    "csig": "csig (loizou)",
    "cbak": "cbak (loizou)",
    "covl": "covl (loizou)",
}


class Enhanced(NamedTuple):
    """What the demo shows of one upload.

    Arguments
    ---------
    noisy : Path
        The upload as WAV.
    enhanced : Path
        The enhanced WAV, with the upload's rate and channels.
    spectrograms : Figure
        Of both and of the clean reference, if there is one.
    experts : Figure | None
        The experts chosen; None for a model without a mixture of experts.
    scores : str
        Markdown; empty without a clean reference.
    sample_rate : int
        Rate of the upload, Hz.
    warnings : tuple[str, ...]
        What the visitor should know, one line each.

    Example
    -------
    >>> Enhanced(Path("a.wav"), Path("b.wav"), None, None, "", 8000).enhanced.name
    'b.wav'
    """

    noisy: Path
    enhanced: Path
    spectrograms: "Figure"
    experts: "Figure | None"
    scores: str
    sample_rate: int
    warnings: tuple[str, ...] = ()


def enhance_upload(
    enhancer: Enhancer | FlowEnhancer,
    noisy: str | Path,
    reference: str | Path | None,
    folder: str | Path,
    max_seconds: float,
    max_attenuation_db: float | None = None,
    dry: float = 0.0,
    report: Callable[[float, str], None] = lambda fraction, step: None,
    priors: Priors | None = None,
) -> Enhanced:
    """Enhances an upload, draws it and, with a clean reference, scores it.

    Pictures and scores are of the mean of all channels, at up to 48 kHz.

    Arguments
    ---------
    enhancer : Enhancer | FlowEnhancer
        Enhances.
    noisy : str | Path
        File of a visitor.
    reference : str | Path | None
        The clean signal, from the same visitor; None if there is none.
    folder : str | Path
        Where the WAV files are written.
    max_seconds : float
        Longest signal that is accepted [s].
    max_attenuation_db : float | None
        As in the call of the enhancer.
    dry : float
        As in the call of the enhancer.
    report : Callable[[float, str], None]
        Is told the fraction done, 0 to 1, and what is done next; what it raises ends
        the work.
    priors : Priors | None
        What a ``FlowEnhancer`` is given beside the recording.

    Returns
    -------
    Enhanced
        Files and pictures.

    Raises
    ------
    ValueError
        If a file is refused (see ``decode_upload``) or an option is out of range. The
        message is meant for the visitor.
    ImportError
        If matplotlib is not installed.

    Example
    -------
    >>> enhance_upload(None, "/srv/secret/no.wav", None, "folder", max_seconds=120.0)
    Traceback (most recent call last):
    ValueError: cannot read the noisy recording: there is no such file
    """
    folder, stem = Path(folder), Path(noisy).stem
    files = {"noisy": folder / f"{stem}_noisy.wav"}
    report(0.0, "reading")
    info = decode_upload(noisy, files["noisy"], "the noisy recording", max_seconds)
    if reference is not None:
        clean = folder / "clean.wav"
        decode_upload(reference, clean, "the clean reference", max_seconds)
    files["enhanced"] = folder / f"{stem}_enhanced.wav"
    done = enhancer.enhance_file(
        files["noisy"],
        files["enhanced"],
        **({} if priors is None else priors._asdict()),
        max_attenuation_db=max_attenuation_db,
        dry=dry,
        progress=lambda fraction: report(0.7 * fraction, "enhancing"),
    )
    if reference is not None:
        files["clean reference"] = clean
    report(0.7, "drawing")
    signals, rate = read_shown(files, info.sample_rate)
    spectrograms = spectrogram_figure(signals, rate)
    experts = None
    if isinstance(enhancer, Enhancer):
        mapped = beginning(signals["noisy"], rate)
        maps = expert_maps(enhancer, mapped, rate)
        experts = routing_figure(mapped, rate, maps) if maps else None
    scores = ""
    if reference is not None:
        report(0.8, "scoring")
        clean_signal = signals.pop("clean reference")
        scores = score_table(
            {
                title: score_pair(signal, clean_signal, rate, variant="loizou")
                for title, signal in signals.items()
            }
        )
    report(1.0, "showing")
    return Enhanced(
        files["noisy"],
        files["enhanced"],
        spectrograms,
        experts,
        scores,
        info.sample_rate,
        done.warnings,
    )


def score_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Scores side by side, and why some are missing.

    Arguments
    ---------
    rows : Mapping[str, Mapping[str, Any]]
        Rows of ``score_pair`` by title.

    Returns
    -------
    str
        A Markdown table, followed by the reasons and notes.

    Example
    -------
    >>> row = {"stoi": 0.5, "pesq": float("nan"), "reasons": {"pesq": "it is silent"}}
    >>> print(score_table({"noisy": row}))
    | metric | noisy |
    | :-- | --: |
    | stoi | 0.500 |
    | pesq | n/a |
    <BLANKLINE>
    pesq: it is silent
    """
    values = list(rows.values())
    metrics = dict.fromkeys(name for row in values for name in row if name != "reasons")
    lines = [["metric", *rows], [":--", *["--:"] * len(rows)]]
    lines += [
        [LABELS.get(name, name), *(_number(row[name]) for row in values)]
        for name in metrics
    ]
    table = [f"| {' | '.join(cells)} |" for cells in lines]
    reasons = dict.fromkeys(
        f"{name}: {reason}" for row in values for name, reason in row["reasons"].items()
    )
    return "\n".join(table) + "".join(f"\n\n{reason}" for reason in reasons)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "n/a"
