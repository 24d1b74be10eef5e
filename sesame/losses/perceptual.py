"""What PESQ hears between two signals, as a loss."""

from functools import lru_cache
from itertools import accumulate

import torch
import torchaudio
from torch import Tensor
from torch.nn import functional as F

from sesame.features import at_least_float32

from .bark import (
    ABSOLUTE_THRESHOLDS,
    BAND_WIDTHS_BARK,
    BAND_WIDTHS_HZ,
    BINS_PER_BAND,
)

_RATE = 16000  # of P.862.2
_FRAME, _HOP = 512, 256
# Frames that are weighed together, half overlapping, and the power of their mean.
_INTERVAL, _INTERVAL_POWER = 20, 6
# Of the level: Hz between which it is measured, and mean square it is brought to.
_LEVEL_BAND, _LEVEL = (325.0, 3250.0), 1e7
# Filter of P.862.2 at the input, in second-order sections: numerator, denominator.
_INPUT_FILTER = (2.740826, -5.4816519, 2.740826), (1.0, -1.9444777, 0.94597794)
_POWER_SCALE, _LOUDNESS_SCALE = 6.910853e-6, 0.1866055
# Weights of the symmetric and of the asymmetric disturbance.
_WEIGHTS = 0.1, 0.0309
_MAX_DISTURBANCE = 45.0
_BEST = 4.5
# -100 dBFS, and a disturbance of 0.01: gradients stay finite on silence and identity.
_LEVEL_FLOOR, _POWER_FLOOR = 1e-10, 1e-12


def pesq_mos(estimate: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """PESQ (P.862.2, wideband), differentiable, item by item.

    What is left out: alignment in time, which outputs of a network do not need, bad
    intervals, and the treatment of long silence. As PESQ it does not mind the level,
    and hears nothing above 8 kHz; signals of other rates are resampled. The map to MOS
    flattens at both ends: what is hopeless or perfect has little of the gradient.

    Shape: estimate (..., L), target (..., L) -> (...).
    Source: ITU-T P.862 (02/2001) and P.862.2; arXiv:1907.12455 for its use as a loss.

    Arguments
    ---------
    estimate : Tensor
        Waveforms; broadcast against the targets.
    target : Tensor
        Clean waveforms; each is analysed once.
    sample_rate : int
        Sampling rate [Hz].

    Returns
    -------
    Tensor
        MOS-LQO from 1.04 to 4.64, float32 or float64.

    Example
    -------
    >>> speech = torch.randn(16000)
    >>> near, far = (speech + gain * torch.randn(16000) for gain in (0.1, 1.0))
    >>> scores = pesq_mos(torch.stack([near, far]), speech, 16000)
    >>> scores.shape, bool(scores[0] > scores[1])
    (torch.Size([2]), True)
    """
    raw = _BEST - _disturbance(estimate, target, sample_rate)
    return 0.999 + 4 * torch.sigmoid(1.3669 * raw - 3.8224)


def _disturbance(estimate, target, sample_rate):
    """What is subtracted from the best score (...), before the map to MOS."""
    estimate, target = at_least_float32(estimate), at_least_float32(target)
    device, dtype = target.device, target.dtype
    thresholds, exponents, widths = (
        torch.tensor(values, dtype=dtype, device=device) for values in _hearing()
    )
    degraded, clean = (
        _bark_powers(signal, sample_rate) for signal in (estimate, target)
    )

    def audible(powers, factor):
        return (powers * (powers > factor * thresholds)).sum(-1, keepdim=True)

    def loudness(powers):
        ratio = 0.5 + 0.5 * powers / thresholds
        scale = _LOUDNESS_SCALE * (2 * thresholds) ** exponents
        return scale * (ratio.clamp_min(1) ** exponents - 1)

    def norm(values, power):
        total = widths.sum()
        values = (widths * values).abs()[..., 1:] ** power
        return total * ((values.sum(-1) + _POWER_FLOOR) / total) ** (1 / power)

    # The colour of a constant filter is forgiven, then the level of each frame.
    speaks = audible(clean, 100) >= 1e7
    mean_degraded, mean_clean = (
        (powers * (powers > 100 * thresholds) * speaks).mean(-2, keepdim=True)
        for powers in (degraded, clean)
    )
    clean = clean * ((mean_degraded + 1e3) / (mean_clean + 1e3)).clamp(0.01, 100)
    heard = audible(clean, 1)
    gains = (heard + 5e3) / (audible(degraded, 1) + 5e3)
    before = torch.cat([gains[..., :1, :], gains[..., :-1, :]], dim=-2)
    degraded = (0.8 * gains + 0.2 * before).clamp(3e-4, 5) * degraded

    ours, theirs = loudness(degraded), loudness(clean)
    difference = (ours - theirs).abs() - 0.25 * torch.minimum(ours, theirs)
    difference = difference.clamp_min(0)
    # What was added is worse than what is missing.
    added = ((degraded + 50) / (clean + 50)) ** 1.2
    added = (added * (added >= 3)).clamp_max(12)
    loud = ((heard.squeeze(-1) + 1e5) / 1e7) ** 0.04
    return sum(
        weight * _over_time((frames / loud).clamp_max(_MAX_DISTURBANCE))
        for weight, frames in zip(
            _WEIGHTS, (norm(difference, 2), norm(added * difference, 1)), strict=True
        )
    )


def _bark_powers(waveform, sample_rate):
    """Powers (..., T, 49) of the Bark bands of a signal at the level of P.862."""
    if sample_rate != _RATE:
        waveform = torchaudio.functional.resample(waveform, sample_rate, _RATE)
    num_frames = max(1 + -(-(waveform.shape[-1] - _FRAME) // _HOP), _INTERVAL)
    length = waveform.shape[-1]
    waveform = F.pad(waveform, (0, _FRAME + (num_frames - 1) * _HOP - length))
    spectrum = torch.fft.rfft(waveform)
    frequencies = torch.linspace(0, _RATE / 2, spectrum.shape[-1])
    low, high = torch.searchsorted(frequencies, torch.tensor(_LEVEL_BAND)).tolist()
    energy = torch.view_as_real(spectrum[..., low:high]).square().sum((-2, -1))
    power = 2 * energy / waveform.shape[-1] / length
    window = torch.hann_window(_FRAME, dtype=waveform.dtype, device=waveform.device)
    frames = torch.fft.rfft(window * waveform.unfold(-1, _FRAME, _HOP))
    powers = torch.view_as_real(frames[..., :-1]).square().sum(-1)
    band_of_bin, gains = (part.to(powers.device) for part in _bands())
    bands = powers.new_zeros(*powers.shape[:-1], len(BINS_PER_BAND))
    bands = bands.index_add(-1, band_of_bin, powers * gains.to(powers))
    return bands * (_LEVEL / (power + _LEVEL_FLOOR))[..., None, None]


def _over_time(frames):
    """Disturbance of a signal from those of its frames (..., T): the worst count."""
    powers = frames.unfold(-1, _INTERVAL, _INTERVAL // 2) ** _INTERVAL_POWER
    intervals = (powers.mean(-1) + _POWER_FLOOR) ** (1 / _INTERVAL_POWER)
    return intervals.square().mean(-1).sqrt()


@lru_cache(maxsize=1)
def _bands():
    """Band of each bin but the last, and gain of its power, (256,) each."""
    numerator, denominator = (
        torch.fft.rfft(torch.tensor(part, dtype=torch.float64), _FRAME).abs()
        for part in _INPUT_FILTER
    )
    gains = (numerator / denominator).square()[:-1] * _POWER_SCALE
    gains[0] = 0.0
    counts = torch.tensor(BINS_PER_BAND)
    band_of_bin = torch.arange(len(counts)).repeat_interleave(counts)
    # Densities: powers of as many bins as a Bark has.
    densities = torch.tensor(BAND_WIDTHS_HZ) / torch.tensor(BAND_WIDTHS_BARK) / counts
    return band_of_bin, gains * densities[band_of_bin]


@lru_cache(maxsize=1)
def _hearing():
    """Thresholds, exponents of loudness, and widths of the bands."""
    edges = accumulate(BAND_WIDTHS_BARK)
    centres = [
        edge - width / 2 for edge, width in zip(edges, BAND_WIDTHS_BARK, strict=True)
    ]
    exponents = [0.23 * min(max(6 / (c + 2), 1.0), 2.0) ** 0.15 for c in centres]
    return ABSOLUTE_THRESHOLDS, exponents, BAND_WIDTHS_BARK
