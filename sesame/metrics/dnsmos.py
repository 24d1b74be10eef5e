"""DNSMOS: predicted opinion scores without a reference, through speechmos."""

import numpy as np

from .score import Score, check_estimate

SAMPLE_RATE = 16000
DNSMOS_METRICS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808")
MISSING_PACKAGE = "package speechmos is missing: pip install '.[eval]'"


def dnsmos(estimate: np.ndarray, sample_rate: int) -> dict[str, Score]:
    """DNSMOS P.835 (signal, background, overall) and P.808 of one signal.

    The networks hear the level, so samples beyond full scale are neither scaled nor
    clipped: they give NaN, and the caller decides. Audio shorter than 9.01 s is
    repeated by speechmos. About 0.6 s of computing for 9 s of audio.

    Shape: estimate (L,) -> values.
    Source: Reddy et al., arXiv:2110.01763; package speechmos 0.0.1.1 (Microsoft's,
    with its own weights; another package of the same import name has none of them).

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float within full scale 1 or int16.
    sample_rate : int
        Hz; must be 16000.

    Returns
    -------
    dict[str, Score]
        Keys dnsmos_sig, dnsmos_bak, dnsmos_ovrl, dnsmos_p808 (MOS, 1 to 5); NaN with
        the reason where there is no value.

    Example
    -------
    >>> dnsmos(np.zeros(0), 16000)["dnsmos_ovrl"]
    Score(value=nan, reason='estimate is empty')
    """
    # The package never returns from an empty signal and raises on |x| > 1 and NaN.
    samples, reason = check_estimate(estimate, sample_rate, SAMPLE_RATE)
    if not reason and np.abs(samples).max() > 1:
        reason = f"estimate exceeds full scale 1: peak {np.abs(samples).max():.4g}"
    if reason:
        return dict.fromkeys(DNSMOS_METRICS, Score.missing(reason))
    try:
        from speechmos import dnsmos as speechmos
    except ImportError as error:
        reason = f"{MISSING_PACKAGE} ({error})"
        return dict.fromkeys(DNSMOS_METRICS, Score.missing(reason))
    try:
        answer = speechmos.run(samples, sr=sample_rate)
    except Exception as error:  # onnxruntime and librosa raise types of their own
        return dict.fromkeys(DNSMOS_METRICS, Score.failed("DNSMOS", error))
    return {
        name: Score.measured(answer[f"{name.removeprefix('dnsmos_')}_mos"], "DNSMOS")
        for name in DNSMOS_METRICS
    }
