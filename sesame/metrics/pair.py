"""All scores of one signal, with or without its clean reference."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from .composite import VARIANTS, composite
from .distillmos import distillmos
from .dnsmos import DNSMOS_METRICS, dnsmos
from .nisqa import nisqa
from .pesq import pesq_wb
from .report import Row
from .score import MAX_LENGTH_DIFFERENCE, Score, check_pair, check_signal
from .scoreq import scoreq
from .sdr import sdr
from .si_sdr import si_sdr
from .signals import MAX_RATE, MIN_RATE, align, resample
from .stoi import estoi, stoi
from .utmos import utmos

METRICS = ("pesq", "stoi", "estoi", "si_sdr", "ssnr", "csig", "cbak", "covl")
COMPOSITE_METRICS = ("ssnr", "csig", "cbak", "covl", "llr", "wss")
# These hear a signal at its own rate.
SINGLE_METRICS = {"stoi": stoi, "estoi": estoi, "si_sdr": si_sdr, "sdr": sdr}
PAIRED_METRICS = ("pesq", *SINGLE_METRICS, *COMPOSITE_METRICS)
UNPAIRED_METRICS = (*DNSMOS_METRICS, "distillmos", "utmos", "nisqa", "scoreq")
KNOWN_METRICS = (*PAIRED_METRICS, *UNPAIRED_METRICS)
MODEL_FILES = ("utmos_repo", "utmos_weights", "nisqa_weights", "scoreq_weights")
SAMPLE_RATE = 16000  # of all but SINGLE_METRICS and nisqa

ModelFiles = Mapping[str, str | Path]


def score_pair(
    estimate: np.ndarray,
    target: np.ndarray | None,
    sample_rate: int,
    metrics: Iterable[str] = METRICS,
    variant: str = "loizou",
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
    align_first: bool = False,
    model_files: ModelFiles | None = None,
) -> Row:
    """All metrics of one pair of signals; never raises because of the signals.

    At another rate than 16 kHz, both are resampled for the metrics that need 16 kHz,
    which is noted under ``reasons["sample_rate"]``. An unknown metric or variant, a
    mistake of the caller, is a ValueError.

    Shape: estimate (L,), target (L',) -> values.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray | None
        Clean reference, the same scale; None if there is none.
    sample_rate : int
        Rate of both signals, Hz, in [4000, 384000].
    metrics : Iterable[str]
        Names out of ``KNOWN_METRICS``; those in ``UNPAIRED_METRICS`` need no target.
    variant : str
        Scale of the composite measures, "loizou" or "cmgan".
    max_length_difference : int
        Lengths that differ by up to this many samples are cut to the shorter one,
        which is noted under ``reasons["length"]``; beyond it nothing is scored.
    align_first : bool
        Undo a delay of up to 1 s, and any difference of lengths, before the metrics
        that need a target; noted under ``reasons["align"]``.
    model_files : ModelFiles | None
        Paths of what does not come with a package: "utmos_repo", "utmos_weights",
        "nisqa_weights", "scoreq_weights".

    Returns
    -------
    Row
        A float per metric (NaN where there is none) in the order asked for, and
        ``"reasons"``: {metric: why it has no value}, with the notes named above.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> row = score_pair(np.zeros(16000), target, 16000, metrics=["si_sdr"])
    >>> row
    {'si_sdr': nan, 'reasons': {'si_sdr': 'estimate is silent'}}
    """
    metrics = check_choices(metrics, variant, model_files)
    paired = {name for name in metrics if name in PAIRED_METRICS}
    unpaired = set(metrics) - paired
    scores: dict[str, Score] = {}
    notes: dict[str, str] = {}
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        reason = f"sample rate is {sample_rate} Hz, must be in [{MIN_RATE}, {MAX_RATE}]"
        scores |= dict.fromkeys(metrics, Score.missing(f"{reason} Hz"))
    else:
        scores |= _score_alone(estimate, sample_rate, unpaired, model_files or {})
        if align_first and paired and target is not None:
            lengths = len(estimate), len(target)
            estimate, target, delay = align(estimate, target, sample_rate)
            if delay or lengths[0] != lengths[1]:
                notes["align"] = (
                    f"estimate {lengths[0]} samples, {delay} late; target {lengths[1]} "
                    f"samples: shifted and cut to {len(target)}"
                )
        if paired:
            arguments = sample_rate, paired, variant, max_length_difference
            scores |= _score_together(estimate, target, *arguments, notes)
    at_own_rate = {*SINGLE_METRICS, "nisqa"}
    resampled = [
        name for name in metrics if scores[name].scored and name not in at_own_rate
    ]
    if sample_rate != SAMPLE_RATE and resampled:
        notes["sample_rate"] = f"{sample_rate} Hz, resampled to {SAMPLE_RATE} Hz"
    reasons = {name: scores[name].reason for name in metrics if scores[name].reason}
    values = {name: scores[name].value for name in metrics}
    return {**values, "reasons": reasons | notes}


def check_choices(
    metrics: Iterable[str], variant: str, model_files: ModelFiles | None = None
) -> tuple[str, ...]:
    """The names as a tuple, if they and the other choices are known.

    Arguments
    ---------
    metrics : Iterable[str]
        One name or several.
    variant : str
        Scale of the composite measures.
    model_files : ModelFiles | None
        As for ``score_pair``.

    Returns
    -------
    tuple[str, ...]
        The names.

    Raises
    ------
    ValueError
        If a choice is unknown.

    Example
    -------
    >>> check_choices("pesq", "loizou")
    ('pesq',)
    """
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    unknown = [name for name in metrics if name not in KNOWN_METRICS]
    if unknown:
        raise ValueError(f"metrics {unknown} must be among {KNOWN_METRICS}")
    if variant not in VARIANTS:
        raise ValueError(f"variant ({variant!r}) must be one of {VARIANTS}")
    unknown = [name for name in model_files or () if name not in MODEL_FILES]
    if unknown:
        raise ValueError(f"model_files {unknown} must be among {MODEL_FILES}")
    return metrics


def _score_together(
    estimate: np.ndarray,
    target: np.ndarray | None,
    sample_rate: int,
    metrics: set[str],
    variant: str,
    max_length_difference: int,
    notes: dict[str, str],
) -> dict[str, Score]:
    if target is None:
        return dict.fromkeys(metrics, Score.missing("there is no target"))
    pair = check_pair(
        estimate, target, sample_rate, max_length_difference=max_length_difference
    )
    if pair.reason:
        return dict.fromkeys(metrics, Score.missing(pair.reason))
    if len(estimate) != len(target):
        lengths = f"estimate {len(estimate)}, target {len(target)} samples"
        notes["length"] = f"{lengths}: both cut"
    scores = {
        name: metric(pair.estimate, pair.target, sample_rate)
        for name, metric in SINGLE_METRICS.items()
        if name in metrics
    }
    if metrics <= SINGLE_METRICS.keys():
        return scores
    signals = [
        resample(signal, sample_rate, SAMPLE_RATE)
        for signal in (pair.estimate, pair.target)
    ]
    if metrics & {"pesq", "csig", "cbak", "covl"}:
        scores["pesq"] = pesq_wb(*signals, SAMPLE_RATE)
    if metrics & set(COMPOSITE_METRICS):
        known_pesq = scores.get("pesq", Score.missing("PESQ was not asked for"))
        scores |= composite(*signals, SAMPLE_RATE, variant, known_pesq)
    return scores


def _score_alone(
    estimate: np.ndarray, sample_rate: int, metrics: set[str], files: ModelFiles
) -> dict[str, Score]:
    scores: dict[str, Score] = {}
    if "nisqa" in metrics:
        scores["nisqa"] = nisqa(estimate, sample_rate, files.get("nisqa_weights"))
    if metrics <= scores.keys():
        return scores
    samples, reason = check_signal(estimate, "estimate")
    if reason:
        return dict.fromkeys(metrics, Score.missing(reason)) | scores
    # A filter overshoots; what was within full scale stays there.
    peak = np.abs(samples).max()
    samples = resample(samples, sample_rate, SAMPLE_RATE).clip(-peak, peak)
    signal = samples, SAMPLE_RATE
    if metrics & set(DNSMOS_METRICS):
        scores |= dnsmos(*signal)
    if "distillmos" in metrics:
        scores["distillmos"] = distillmos(*signal)
    if "utmos" in metrics:
        paths = files.get("utmos_repo"), files.get("utmos_weights")
        scores["utmos"] = utmos(*signal, *paths)
    if "scoreq" in metrics:
        scores["scoreq"] = scoreq(*signal, files.get("scoreq_weights"))
    return scores
