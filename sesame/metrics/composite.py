"""Segmental SNR and the composite measures CSIG, CBAK and COVL."""

import numpy as np

from .frames import count_frames, frame_blocks
from .lpc import log_likelihood_ratio, lpc_order
from .pesq import pesq_wb
from .score import Score, check_pair
from .wss import weighted_slope

VARIANTS = ("loizou", "cmgan")
# Share of the frames, those with the smallest distance, that enter LLR and WSS.
KEPT_FRAMES = 0.95
# Above twice the highest critical band of WSS, Hz.
MIN_RATE = 7400
MIN_SNR, MAX_SNR = -10.0, 35.0
EPS = np.finfo(np.float64).eps


def composite(
    estimate: np.ndarray,
    target: np.ndarray,
    sample_rate: int,
    variant: str = "loizou",
    pesq: Score | None = None,
) -> dict[str, Score]:
    """SSNR, CSIG, CBAK and COVL, with the LLR and WSS they are made of.

    Two scales are in use. ``loizou`` (default) computes WSS on samples with full scale
    1, as Loizou's MATLAB code does and as int16 samples divided by 32768 do: the scale
    of the published noisy row of VoiceBank+DEMAND (3.35 / 2.44 / 2.63). ``cmgan``
    divides such samples by 32768 once more, as the evaluation scripts of CMGAN and
    MP-SENet do: band energies hit their floor and the composites of enhanced speech
    rise by about 0.1. Name the variant beside every number.

    Shape: estimate (L,), target (L,) -> values.
    Source: Hu and Loizou, IEEE TASL 16(1), 2008, table V; checked against
    ruizhecao96/CMGAN@3994600 src/tools/compute_metrics.py.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz; the composites need 16000, SSNR, LLR and WSS do not.
    variant : str
        "loizou" or "cmgan".
    pesq : Score | None
        Wide-band PESQ of the pair if it is known; None measures it.

    Returns
    -------
    dict[str, Score]
        Keys ssnr (dB), csig, cbak, covl (1 to 5), llr, wss; NaN with the reason where
        there is no value.

    Raises
    ------
    ValueError
        If the variant is unknown.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> scores = composite(target, target, 16000, pesq=Score(4.64))
    >>> [round(scores[name].value, 6) for name in ("ssnr", "csig", "cbak", "covl")]
    [35.0, 5.0, 5.0, 5.0]
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant ({variant!r}) must be one of {VARIANTS}")
    if pesq is None:
        pesq = pesq_wb(estimate, target, sample_rate)
    llr, wss, ssnr = segmental(estimate, target, sample_rate, variant)
    composites = hu_loizou(pesq, llr, wss, ssnr)
    return {"ssnr": ssnr, **composites, "llr": llr, "wss": wss}


def hu_loizou(pesq: Score, llr: Score, wss: Score, ssnr: Score) -> dict[str, Score]:
    """The regression of Hu and Loizou from four measures to three opinions.

    Source: Hu and Loizou, IEEE TASL 16(1), 2008, with the weights of composite.m.

    Arguments
    ---------
    pesq : Score
        PESQ (MOS-LQO).
    llr : Score
        Log-likelihood ratio.
    wss : Score
        Weighted spectral slope, dB^2.
    ssnr : Score
        Segmental SNR, dB.

    Returns
    -------
    dict[str, Score]
        csig, cbak and covl in [1, 5]; each NaN where a measure it needs is missing.

    Example
    -------
    >>> scores = hu_loizou(Score(2.0), Score(0.5), Score(20.0), Score(5.0))
    >>> [round(score.value, 4) for score in scores.values()]
    [3.6045, 2.765, 2.808]
    """
    return {
        "csig": _combine(3.093, ((0.603, pesq), (-1.029, llr), (-0.009, wss))),
        "cbak": _combine(1.634, ((0.478, pesq), (-0.007, wss), (0.063, ssnr))),
        "covl": _combine(1.594, ((0.805, pesq), (-0.512, llr), (-0.007, wss))),
    }


def segmental(
    estimate: np.ndarray, target: np.ndarray, sample_rate: int, variant: str = "loizou"
) -> tuple[Score, Score, Score]:
    """Log-likelihood ratio, weighted spectral slope and segmental SNR.

    SSNR is the mean over all frames, each limited to -10 to 35 dB. As in Loizou's code,
    a frame in which the target is digital silence counts: -10 dB in SSNR, and an LLR
    of 10 to 30 if the estimate is not silent, too. LLR leaves out frames in which the
    ratio does not exist.

    Shape: estimate (L,), target (L,) -> three values.
    Source: as for ``composite``.

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, the same scale.
    sample_rate : int
        Rate of both signals, Hz, at least 7400 (the highest band of WSS).
    variant : str
        "loizou" or "cmgan", the scale of WSS.

    Returns
    -------
    tuple[Score, Score, Score]
        LLR, WSS (dB^2) and SSNR (dB), or NaN with the reason.

    Example
    -------
    >>> target = np.random.default_rng(0).standard_normal(16000)
    >>> [score.value for score in segmental(target, target, 16000)]
    [0.0, 0.0, 35.0]
    """
    pair = check_pair(estimate, target, sample_rate)
    reason = pair.reason
    if not reason and sample_rate < MIN_RATE:
        reason = f"sample rate is {sample_rate} Hz, min {MIN_RATE} Hz"
    if not reason and count_frames(pair.target.size, sample_rate) == 0:
        reason = f"{pair.target.size} samples are too short for a frame of 30 ms"
    if reason:
        return (Score.missing(reason),) * 3
    order = lpc_order(sample_rate)
    scale = 1.0 if variant == "loizou" else 1 / 32768
    # Loizou adds eps to every sample, so that digital silence has a predictor.
    signals = pair.estimate + EPS, pair.target + EPS
    llr, wss, ssnr = [], [], []
    for estimate_frames, target_frames in frame_blocks(*signals, sample_rate):
        llr.append(log_likelihood_ratio(estimate_frames, target_frames, order))
        wss.append(
            weighted_slope(estimate_frames * scale, target_frames * scale, sample_rate)
        )
        ssnr.append(frame_snr(estimate_frames, target_frames))
    return (
        _mean_of_lowest(np.concatenate(llr), "LLR"),
        _mean_of_lowest(np.concatenate(wss), "WSS"),
        Score.measured(np.concatenate(ssnr).mean(), "SSNR"),
    )


def frame_snr(estimate_frames: np.ndarray, target_frames: np.ndarray) -> np.ndarray:
    """SNR of each frame, limited to -10 to 35 dB.

    Shape: both (T, frame length) -> (T,).

    Arguments
    ---------
    estimate_frames : np.ndarray
        Windowed frames of the signal under test.
    target_frames : np.ndarray
        Windowed frames of the clean reference.

    Returns
    -------
    np.ndarray
        dB.

    Example
    -------
    >>> frames = np.ones((1, 480))
    >>> frame_snr(1.1 * frames, frames).round(6)
    array([20.])
    """
    signal = np.sum(target_frames**2, axis=-1)
    noise = np.sum((target_frames - estimate_frames) ** 2, axis=-1)
    return np.clip(10 * np.log10(signal / (noise + EPS) + EPS), MIN_SNR, MAX_SNR)


def _mean_of_lowest(distances: np.ndarray, name: str) -> Score:
    # Frames without a predictor carry no distance; they must not decide the mean.
    distances = np.sort(distances[np.isfinite(distances)])
    kept = distances[: round(distances.size * KEPT_FRAMES)]
    if kept.size == 0:
        return Score.missing(f"{name} is not finite in any frame")
    return Score.measured(kept.mean(), name)


def _combine(offset: float, terms: tuple[tuple[float, Score], ...]) -> Score:
    for _, score in terms:
        if not score.scored:
            return score
    value = offset + sum(weight * score.value for weight, score in terms)
    return Score(float(np.clip(value, 1.0, 5.0)))
