"""A measured value or the reason why there is none; checks that all metrics share."""

import math
from typing import NamedTuple

import numpy as np

# One hop of the 16 kHz analysis: what an inverse STFT without a length loses.
MAX_LENGTH_DIFFERENCE = 100
# -200 dB below full scale; squares of anything smaller drown in rounding.
SILENCE_PEAK = 1e-10


class Score(NamedTuple):
    """A finite value, or NaN with the reason why it could not be measured.

    Arguments
    ---------
    value : float
        The measured value, NaN if there is none.
    reason : str
        Why there is no value; empty when there is one.

    Example
    -------
    >>> Score(3.5).scored, Score.missing("target is silent").scored
    (True, False)
    """

    value: float
    reason: str = ""

    @property
    def scored(self) -> bool:
        """Whether there is a value.

        Example
        -------
        >>> Score(0.0).scored
        True
        """
        return math.isfinite(self.value)

    @classmethod
    def missing(cls, reason: str) -> "Score":
        """NaN with a reason.

        Arguments
        ---------
        reason : str
            Why there is no value, one line.

        Returns
        -------
        Score
            NaN and the reason.

        Example
        -------
        >>> Score.missing("target is silent")
        Score(value=nan, reason='target is silent')
        """
        return cls(math.nan, reason)

    @classmethod
    def measured(cls, value: float, name: str) -> "Score":
        """A score of a computed value, which must be finite to count.

        Arguments
        ---------
        value : float
            What a metric computed.
        name : str
            The metric's name for the reason.

        Returns
        -------
        Score
            The value, or NaN with a reason when it is NaN or infinite.

        Example
        -------
        >>> Score.measured(float("inf"), "PESQ")
        Score(value=nan, reason='PESQ is inf')
        """
        value = float(value)
        if math.isfinite(value):
            return cls(value)
        return cls.missing(f"{name} is {value}")

    @classmethod
    def failed(cls, name: str, error: BaseException) -> "Score":
        """NaN with the first line of what a package raised.

        Arguments
        ---------
        name : str
            The metric's name for the reason.
        error : BaseException
            What was raised.

        Returns
        -------
        Score
            NaN with a reason of one line.

        Example
        -------
        >>> Score.failed("PESQ", RuntimeError("no speech\\nand more")).reason
        'PESQ failed: RuntimeError: no speech'
        """
        line = str(error).strip().partition("\n")[0].rstrip()
        return cls.missing(f"{name} failed: {type(error).__name__}: {line}")


class Pair(NamedTuple):
    """Two comparable signals, or the reason why they cannot be compared.

    Arguments
    ---------
    estimate : np.ndarray
        (L,) float64, full scale 1.
    target : np.ndarray
        (L,) float64, full scale 1.
    reason : str
        Why the pair cannot be scored; empty when it can.

    Example
    -------
    >>> Pair(np.ones(3), np.ones(3)).reason
    ''
    """

    estimate: np.ndarray
    target: np.ndarray
    reason: str = ""


def check_signal(signal: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """A mono signal in float64 with full scale 1, and what is wrong with it.

    int16 samples are divided by 32768; other integer types have no agreed scale.

    Shape: signal (L,) -> (L,).

    Arguments
    ---------
    signal : np.ndarray
        Samples, float with full scale 1 or int16.
    name : str
        What to call the signal in the reason.

    Returns
    -------
    tuple[np.ndarray, str]
        The samples and the reason why they cannot be scored (empty if they can).

    Example
    -------
    >>> check_signal(np.array([16384], dtype=np.int16), "target")
    (array([0.5]), '')
    >>> check_signal(np.zeros(4), "target")[1]
    'target is silent'
    """
    signal = np.asarray(signal)
    if signal.ndim != 1:
        return np.zeros(0), f"{name} must be mono (L,), got {signal.shape}"
    if signal.size == 0:
        return np.zeros(0), f"{name} is empty"
    if signal.dtype == np.int16:
        samples = signal / 32768.0
    elif np.issubdtype(signal.dtype, np.floating):
        samples = signal.astype(np.float64)
    else:
        return np.zeros(0), f"{name} must be floating or int16, got {signal.dtype}"
    if not np.isfinite(samples).all():
        return samples, f"{name} has NaN or Inf samples"
    if np.abs(samples).max() < SILENCE_PEAK:
        return samples, f"{name} is silent"
    return samples, ""


def check_estimate(
    estimate: np.ndarray, sample_rate: int, required_rate: int | None = None
) -> tuple[np.ndarray, str]:
    """A signal ready for a metric without a reference, and what is wrong with it.

    Shape: estimate (L,) -> (L,).

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    sample_rate : int
        Its rate, Hz.
    required_rate : int | None
        The only rate the metric is defined for, Hz; None for any positive rate.

    Returns
    -------
    tuple[np.ndarray, str]
        Samples in float64 and the reason why they cannot be scored (empty if they can).

    Example
    -------
    >>> check_estimate(np.ones(9), 8000, required_rate=16000)[1]
    'sample rate is 8000 Hz, must be 16000 Hz'
    """
    samples, reason = check_signal(estimate, "estimate")
    return samples, reason or _check_rate(sample_rate, required_rate)


def check_pair(
    estimate: np.ndarray,
    target: np.ndarray,
    sample_rate: int,
    required_rate: int | None = None,
    min_duration: float = 0.0,
    max_length_difference: int = MAX_LENGTH_DIFFERENCE,
) -> Pair:
    """Two signals ready for a metric, or the reason why they are not.

    Lengths that differ by up to ``max_length_difference`` are cut to the shorter one.

    Shape: estimate (L,), target (L',) -> both (min(L, L'),).

    Arguments
    ---------
    estimate : np.ndarray
        Signal under test, float with full scale 1 or int16.
    target : np.ndarray
        Clean reference, float with full scale 1 or int16.
    sample_rate : int
        Rate of both signals, Hz.
    required_rate : int | None
        The only rate the metric is defined for, Hz; None for any positive rate.
    min_duration : float
        Shortest duration the metric is defined for, seconds.
    max_length_difference : int
        Largest difference of lengths that is cut, samples.

    Returns
    -------
    Pair
        Both signals in float64, with the reason if they cannot be scored.

    Example
    -------
    >>> check_pair(np.ones(9), np.ones(8), 16000).estimate.shape
    (8,)
    >>> check_pair(np.ones(9), np.ones(8), 8000, required_rate=16000).reason
    'sample rate is 8000 Hz, must be 16000 Hz'
    """
    estimate, estimate_reason = check_signal(estimate, "estimate")
    target, target_reason = check_signal(target, "target")
    lengths = estimate.size, target.size
    length = min(lengths)
    if not estimate_reason and not target_reason:
        # What is cut off may have been all there was to hear.
        estimate, estimate_reason = check_signal(estimate[:length], "estimate")
        target, target_reason = check_signal(target[:length], "target")
    reason = "; ".join(filter(None, (target_reason, estimate_reason)))
    reason = reason or _check_rate(sample_rate, required_rate)
    if not reason and abs(lengths[0] - lengths[1]) > max_length_difference:
        reason = (
            f"lengths differ by more than {max_length_difference} samples: "
            f"estimate {lengths[0]}, target {lengths[1]}"
        )
    if not reason and length < min_duration * sample_rate:
        reason = (
            f"{length} samples at {sample_rate} Hz are too short: "
            f"at least {min_duration:g} s needed"
        )
    return Pair(estimate[:length], target[:length], reason)


def _check_rate(sample_rate: int, required_rate: int | None) -> str:
    if required_rate is not None and sample_rate != required_rate:
        return f"sample rate is {sample_rate} Hz, must be {required_rate} Hz"
    if not sample_rate > 0:
        return f"sample rate is {sample_rate} Hz, must be above 0"
    return ""
