"""Level of signals that belong together."""

from collections.abc import Sequence

import numpy as np

from sesame.data.mixing import active_rms


def set_level(
    signals: Sequence[np.ndarray],
    reference: np.ndarray,
    level_dbfs: float,
    sample_rate: int,
) -> tuple[list[np.ndarray], float]:
    """Scale signals alike, so that a reference has a level and none clips.

    Arguments
    ---------
    signals : Sequence[np.ndarray]
        Signals that keep their ratios, such as input and target.
    reference : np.ndarray
        Signal that is to have the level. If it is silent, nothing is scaled up.
    level_dbfs : float
        Wanted ``active_rms`` of the reference in dB re full scale.
    sample_rate : int
        Hz.

    Returns
    -------
    tuple[list[np.ndarray], float]
        Scaled signals, and the gain. It is smaller than what the level asks for where a
        sample of a signal would exceed 1.

    Example
    -------
    >>> speech = np.full(320, 0.5)
    >>> (noisy, clean), gain = set_level([2 * speech, speech], speech, -20.0, 16000)
    >>> round(float(noisy[0]), 3), round(float(clean[0]), 3), round(gain, 3)
    (0.2, 0.1, 0.2)
    """
    own = active_rms(reference, sample_rate)
    gain = 10 ** (level_dbfs / 20) / own if own > 0 else 1.0
    peak = max((float(np.abs(signal).max(initial=0)) for signal in signals), default=0)
    if gain * peak > 1:
        gain = 1 / peak
    return [signal * signal.dtype.type(gain) for signal in signals], float(gain)
