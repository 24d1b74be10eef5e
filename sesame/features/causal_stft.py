"""Frames of 20 ms every 10 ms at every sampling rate, for streams and whole signals."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import at_least_float32

__all__ = ["MAX_RATE", "MIN_RATE", "RATE_STEP", "CausalSTFT", "check_frame_rate"]

MIN_RATE, MAX_RATE, RATE_STEP = 8_000, 48_000, 100  # Hz


def check_frame_rate(sample_rate: int) -> None:
    """Refuses a sampling rate at which the frames cannot be made.

    Arguments
    ---------
    sample_rate : int
        Sampling rate [Hz].

    Raises
    ------
    ValueError
        If a frame would not have an even number of samples, or the rate is out of
        range.
    """
    if sample_rate % RATE_STEP or not MIN_RATE <= sample_rate <= MAX_RATE:
        raise ValueError(
            f"sample_rate ({sample_rate}) must be a multiple of {RATE_STEP} in "
            f"[{MIN_RATE}, {MAX_RATE}] Hz"
        )


class CausalSTFT(nn.Module):
    """Short-time Fourier transform that never looks ahead.

    The bins are 50 Hz apart and amplitudes are those of the signal (a sine has half of
    its amplitude in its bin) at every sampling rate. Frame t ends with sample
    (t + 1) * hop_length; what the frames give back is ``delay`` samples late, and with
    the hop that fills the frame the latency is 20 ms.

    Shape: waveform (B, L) -> spectrum (B, T, F, 2), the real and imaginary parts of
    F = n_fft // 2 + 1 bins of T = ceil(L / hop_length) frames.

    Arguments
    ---------
    sample_rate : int
        Sampling rate [Hz], a multiple of 100 from 8000 to 48000.

    Raises
    ------
    ValueError
        If the frame would not have an even number of samples, or the rate is out of
        range.

    Example
    -------
    >>> stft = CausalSTFT(16000)
    >>> waveform = torch.randn(2, 1600)
    >>> spectrum = stft(waveform)
    >>> spectrum.shape
    torch.Size([2, 10, 161, 2])
    >>> late = stft.inverse(spectrum, 1600)
    >>> torch.allclose(late[:, stft.delay :], waveform[:, : -stft.delay], atol=1e-6)
    True
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        check_frame_rate(sample_rate)
        self.sample_rate = int(sample_rate)
        self.n_fft = self.sample_rate // 50
        self.hop_length = self.n_fft // 2
        self.delay = self.n_fft - self.hop_length
        self.num_bins = self.n_fft // 2 + 1
        window = torch.hann_window(self.n_fft, periodic=True, dtype=torch.float64)
        window = window.sqrt()
        analysis, synthesis = window / window.sum(), window * window.sum()
        self.register_buffer("analysis", analysis.float(), persistent=False)
        self.register_buffer("synthesis", synthesis.float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Analyses whole signals, after silence.

        Arguments
        ---------
        waveform : Tensor
            (B, L), L >= 1.

        Returns
        -------
        Tensor
            Spectrum (B, T, F, 2), float32, or float64 for a float64 waveform.

        Raises
        ------
        ValueError
            If the waveform is not (B, L) with L >= 1.
        """
        if waveform.ndim != 2 or waveform.shape[1] == 0:
            raise ValueError(
                f"expected waveform (B, L) with L >= 1, got {tuple(waveform.shape)}"
            )
        return self.analyze(self.pad(waveform))

    def pad(self, waveform: Tensor) -> Tensor:
        """Puts silence before whole signals, and after, that frames be filled.

        Arguments
        ---------
        waveform : Tensor
            (B, L).

        Returns
        -------
        Tensor
            (B, delay + T * hop_length), as ``analyze`` takes it.

        Example
        -------
        >>> CausalSTFT(8000).pad(torch.zeros(1, 100)).shape
        torch.Size([1, 240])
        """
        missing = -waveform.shape[1] % self.hop_length
        return F.pad(waveform, (self.delay, missing))

    def inverse(self, spectrum: Tensor, length: int) -> Tensor:
        """Synthesises whole signals, ``delay`` samples late.

        Arguments
        ---------
        spectrum : Tensor
            (B, T, F, 2).
        length : int
            Length of the result [samples], 1 to T * hop_length.

        Returns
        -------
        Tensor
            (B, length).

        Raises
        ------
        ValueError
            If the frames do not cover the length.

        Example
        -------
        >>> CausalSTFT(8000).inverse(torch.zeros(1, 3, 81, 2), 230).shape
        torch.Size([1, 230])
        """
        longest = spectrum.shape[1] * self.hop_length
        if not 1 <= length <= longest:
            raise ValueError(
                f"length ({length}) must be in [1, T * hop_length ({longest})]"
            )
        tail = spectrum.new_zeros(len(spectrum), self.hop_length)
        return self.synthesize(spectrum, tail)[0][:, :length]

    def analyze(self, waveform: Tensor) -> Tensor:
        """Analyses what fills whole frames.

        Arguments
        ---------
        waveform : Tensor
            (B, delay + T * hop_length): the last ``delay`` samples of before, and new
            ones.

        Returns
        -------
        Tensor
            Spectrum (B, T, F, 2).

        Example
        -------
        >>> CausalSTFT(8000).analyze(torch.zeros(1, 240)).shape
        torch.Size([1, 2, 81, 2])
        """
        waveform = at_least_float32(waveform)
        frames = waveform.unfold(1, self.n_fft, self.hop_length) * self.analysis
        # Exporters do not know the transform of a real signal.
        if torch.jit.is_tracing():
            basis = np.fft.rfft(np.eye(self.n_fft)).view(np.float64)
            basis = torch.from_numpy(basis).to(frames)
            return (frames @ basis).unflatten(-1, (self.num_bins, 2))
        return torch.view_as_real(torch.fft.rfft(frames))

    def heard(self, waveform: Tensor) -> Tensor:
        """Tells frames that are whole from those that a lost packet has a part of.

        A lost packet is zeros, at least the half of a frame.

        Arguments
        ---------
        waveform : Tensor
            (B, delay + T * hop_length), as for ``analyze``.

        Returns
        -------
        Tensor
            Booleans (B, T).

        Example
        -------
        >>> waveform = torch.ones(1, 400)
        >>> waveform[:, 160:240] = 0
        >>> CausalSTFT(8000).heard(waveform)
        tensor([[ True, False, False,  True]])
        """
        alive = (waveform.unflatten(1, (-1, self.hop_length)) != 0).any(dim=-1)
        return alive[:, 1:] & alive[:, :-1]

    def synthesize(self, spectrum: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Adds frames to what overlaps from before.

        Arguments
        ---------
        spectrum : Tensor
            (B, T, F, 2).
        tail : Tensor
            What the call before returned, (B, hop_length); zeros at first.

        Returns
        -------
        tuple[Tensor, Tensor]
            Samples (B, T * hop_length), and the tail for the next ones.

        Example
        -------
        >>> stft = CausalSTFT(8000)
        >>> spectrum, tail = torch.zeros(1, 2, 81, 2), torch.zeros(1, 80)
        >>> samples, tail = stft.synthesize(spectrum, tail)
        >>> samples.shape, tail.shape
        (torch.Size([1, 160]), torch.Size([1, 80]))
        """
        if torch.jit.is_tracing():
            basis = np.eye(2 * self.num_bins).view(np.complex128)
            basis = torch.from_numpy(np.fft.irfft(basis, n=self.n_fft)).to(spectrum)
            frames = spectrum.flatten(2) @ basis
        else:
            spectrum = torch.view_as_complex(spectrum.contiguous())
            frames = torch.fft.irfft(spectrum, n=self.n_fft)
        frames = frames * self.synthesis
        first, second = frames.split(self.hop_length, dim=2)
        late = torch.cat((tail.unsqueeze(1), second[:, :-1]), dim=1)
        return (first + late).flatten(1), second[:, -1]
