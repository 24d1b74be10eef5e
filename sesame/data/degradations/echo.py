"""Echo: what a loudspeaker plays comes back into the microphone."""

import numpy as np
from scipy.signal import oaconvolve

from sesame.data.degradations.degraded import Degraded, check_range, check_waveform

_FADE_SECONDS = 0.01
_CHANGE_PART = (0.25, 0.75)  # of the signal: when something changes


def loudspeaker(waveform: np.ndarray) -> np.ndarray:
    """A small loudspeaker driven to its limits.

    The signal is brought to peak 1, clipped at 0.8 of it, bent by b = 1.5 x - 0.3 x^2
    and saturated by 2 / (1 + exp(-a b)) - 1 with a = 4 where b > 0 and 0.5 elsewhere.
    Its mean, which no loudspeaker radiates, is taken out.

    Shape: (L,) -> (L,).

    Arguments
    ---------
    waveform : np.ndarray
        What is played.

    Returns
    -------
    np.ndarray
        What sounds; silence stays silent.

    Source: the model in common use for synthetic echo, e.g. H. Zhang and D. Wang,
    "Deep learning for acoustic echo cancellation in noisy and double-talk scenarios",
    Interspeech 2018.

    Example
    -------
    >>> played = np.array([0.0, 0.5, 0.0, -0.5])
    >>> loudspeaker(played).round(2).tolist()
    [-0.16, 0.81, -0.16, -0.49]
    """
    peak = float(np.abs(waveform).max(initial=0))
    if peak == 0:
        return waveform
    clipped = (waveform / peak).clip(-0.8, 0.8)
    bent = 1.5 * clipped - 0.3 * clipped**2
    slope = np.where(bent > 0, 4.0, 0.5)
    sound = 2 / (1 + np.exp(-slope * bent)) - 1
    return (sound - sound.mean()).astype(waveform.dtype)


class EchoPath:
    """The way of a far-end signal from the loudspeaker to the microphone.

    Nonlinear loudspeaker, room, delay; the path may change, as when the device is
    moved, and the loudspeaker may be turned up or down. The echo depends on the past of
    the far-end signal only, which begins with its first sample. Its level is that of
    the far-end signal or near it: scale it to a ratio.

    ``done``: ``nonlinear``; ``delay`` in samples; ``changed_at`` in samples, ``None``
    if the path does not change; ``gain_step_db``, 0 for none.

    Arguments
    ---------
    responses : np.ndarray
        Of the loudspeaker before and after a change, from the direct path on; see
        ``Room``.
    nonlinear : float
        Probability of a nonlinear loudspeaker.
    delay_seconds : tuple[float, float]
        Range of the delay.
    change : float
        Probability that the path changes, in the middle half of the signal.
    gain_step : float
        Probability that the gain changes, in the middle half of the signal.
    gain_step_db : tuple[float, float]
        Range of this change, dB.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Example
    -------
    >>> path = EchoPath(np.ones((2, 1), np.float32), 0.0, (0.5, 0.5), 0.0, 0.0)
    >>> far_end = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
    >>> echo, done = path(far_end, 4, np.random.default_rng(0))
    >>> echo.tolist(), done["delay"]
    ([0.0, 0.0, 1.0, 0.0], 2)
    """

    def __init__(
        self,
        responses: np.ndarray,
        nonlinear: float = 0.5,
        delay_seconds: tuple[float, float] = (0.0, 0.5),
        change: float = 0.1,
        gain_step: float = 0.1,
        gain_step_db: tuple[float, float] = (-6.0, 6.0),
    ):
        if responses.ndim != 2 or len(responses) != 2:
            raise ValueError(f"responses {responses.shape} must be (2, taps)")
        for name, value in (
            ("nonlinear", nonlinear),
            ("change", change),
            ("gain_step", gain_step),
        ):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} ({value}) must be a probability")
        self.responses = responses
        self.nonlinear = nonlinear
        self.delay_seconds = check_range("delay_seconds", delay_seconds, 0, 10)
        self.change = change
        self.gain_step = gain_step
        self.gain_step_db = check_range("gain_step_db", gain_step_db, -60, 60)

    def __call__(
        self, waveform: np.ndarray, sample_rate: int, rng: np.random.Generator
    ) -> Degraded:
        """Make the echo.

        Arguments
        ---------
        waveform : np.ndarray
            Far-end signal, (L,).
        sample_rate : int
            Hz.
        rng : np.random.Generator
            Source of chance.

        Returns
        -------
        Degraded
            Echo in step with the far-end signal.
        """
        check_waveform(waveform)
        length = len(waveform)
        # All is drawn, used or not, so that one setting does not shift the others.
        nonlinear, change, gain_step = rng.random(3) < (
            self.nonlinear,
            self.change,
            self.gain_step,
        )
        delay = round(float(rng.uniform(*self.delay_seconds)) * sample_rate)
        changed_at, step_at = (int(length * rng.uniform(*_CHANGE_PART)) for _ in "ab")
        step_db = float(rng.uniform(*self.gain_step_db))
        sound = loudspeaker(waveform) if nonlinear else waveform
        if gain_step:
            sound = sound * _ramp(length, step_at, sample_rate, 1, 10 ** (step_db / 20))
        sound = np.pad(sound, (delay, 0))[:length]
        echo = oaconvolve(sound, self.responses[0])[:length]
        if change:
            after = oaconvolve(sound, self.responses[1])[:length]
            echo += _ramp(length, changed_at, sample_rate, 0, 1) * (after - echo)
        done = {
            "nonlinear": bool(nonlinear),
            "delay": delay,
            "changed_at": changed_at if change else None,
            "gain_step_db": step_db if gain_step else 0.0,
        }
        return Degraded(echo.astype(waveform.dtype), done)


def _ramp(
    length: int, at: int, sample_rate: int, before: float, after: float
) -> np.ndarray:
    """One value, then another, with 10 ms from the one to the other."""
    rise = (np.arange(length) - at) / (_FADE_SECONDS * sample_rate)
    return (before + (after - before) * rise.clip(0, 1)).astype(np.float32)
