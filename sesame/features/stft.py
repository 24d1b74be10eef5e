"""Short-time Fourier transform with an inverse of exact length."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import at_least_float32


class STFT(nn.Module):
    """Short-time Fourier transform of real waveforms: centred, reflected, one-sided.

    Frame t is centred on sample ``t * hop_length``; the window is a periodic Hann
    window. Every length from one sample on can be analysed and is restored exactly.

    Shape: waveform (B, L) -> complex spectrum (B, F, T) with F = n_fft // 2 + 1 and
    T = L // hop_length + 1.
    Source: yxlu-0102/MP-SENet at 89932cf, dataset.py.

    Arguments
    ---------
    n_fft : int
        Length of the Fourier transform [samples], even, at least ``win_length``.
    hop_length : int
        Distance between frames [samples], 1 to ``win_length // 2``; above that the
        last samples of a waveform could not be restored.
    win_length : int
        Length of the window [samples], at least 2.

    Raises
    ------
    ValueError
        If the three lengths break these rules.

    Example
    -------
    >>> stft = STFT(n_fft=400, hop_length=100, win_length=400)
    >>> waveform = torch.randn(2, 16001)
    >>> spectrum = stft(waveform)
    >>> spectrum.shape
    torch.Size([2, 201, 161])
    >>> torch.allclose(stft.inverse(spectrum, 16001), waveform, atol=1e-5)
    True
    """

    window: Tensor

    def __init__(
        self, n_fft: int = 400, hop_length: int = 100, win_length: int = 400
    ) -> None:
        super().__init__()
        # The padding of an odd transform is one sample short of a last frame.
        if n_fft % 2:
            raise ValueError(f"n_fft ({n_fft}) must be even")
        if not 2 <= win_length <= n_fft:
            raise ValueError(
                f"win_length ({win_length}) must be in [2, n_fft ({n_fft})]"
            )
        if not 1 <= hop_length <= win_length // 2:
            raise ValueError(
                f"hop_length ({hop_length}) must be in "
                f"[1, win_length // 2 ({win_length // 2})]"
            )
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.win_length = win_length
        self.num_bins = n_fft // 2 + 1
        window = torch.hann_window(win_length, periodic=True)
        self.register_buffer("window", window, persistent=False)

    def num_frames(self, length: int) -> int:
        """Number of frames T of a waveform.

        Arguments
        ---------
        length : int
            Length L of the waveform [samples].

        Returns
        -------
        int
            T = L // hop_length + 1.

        Example
        -------
        >>> STFT(hop_length=100).num_frames(250)
        3
        """
        return length // self.hop_length + 1

    def forward(self, waveform: Tensor) -> Tensor:
        """Analyses waveforms.

        Shape: waveform (B, L) -> (B, F, T) complex.

        Arguments
        ---------
        waveform : Tensor
            Real waveforms of one length, L >= 1.

        Returns
        -------
        Tensor
            Complex spectrum, complex64 (complex128 for a float64 waveform).

        Raises
        ------
        ValueError
            If the waveform is not (B, L) with L >= 1.

        Example
        -------
        >>> STFT()(torch.zeros(1, 1)).shape
        torch.Size([1, 201, 1])
        """
        if waveform.ndim != 2 or waveform.shape[-1] == 0:
            raise ValueError(
                f"expected waveform (B, L) with L >= 1, got {tuple(waveform.shape)}"
            )
        waveform = at_least_float32(waveform)
        length = waveform.shape[-1]
        # Reflection needs more samples than it mirrors.
        missing = self.n_fft // 2 + 1 - length
        if missing > 0:
            waveform = F.pad(waveform, (0, missing))
        spectrum = torch.stft(
            waveform,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            win_length=self.win_length,
            window=self.window.to(waveform.dtype),
            center=True,
            pad_mode="reflect",
            onesided=True,
            return_complex=True,
        )
        return spectrum[..., : self.num_frames(length)]

    def inverse(self, spectrum: Tensor, length: int) -> Tensor:
        """Synthesises waveforms: weighted overlap-add of the frames.

        Shape: spectrum (B, F, T) complex -> (B, length).

        Arguments
        ---------
        spectrum : Tensor
            Complex spectrum.
        length : int
            Length of the result [samples], 1 to ``T * hop_length - 1``.

        Returns
        -------
        Tensor
            Real waveforms of exactly ``length`` samples.

        Raises
        ------
        ValueError
            If the spectrum is not (B, F, T) or its frames do not cover ``length``.

        Example
        -------
        >>> STFT().inverse(torch.zeros(1, 201, 3, dtype=torch.complex64), 250).shape
        torch.Size([1, 250])
        """
        if spectrum.ndim != 3 or spectrum.shape[1] != self.num_bins:
            raise ValueError(
                f"expected spectrum (B, {self.num_bins}, T), "
                f"got {tuple(spectrum.shape)}"
            )
        longest = spectrum.shape[-1] * self.hop_length - 1
        if not 1 <= length <= longest:
            raise ValueError(
                f"length ({length}) must be in [1, T * hop_length - 1 ({longest})]"
            )
        return torch.istft(
            spectrum,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            win_length=self.win_length,
            window=self.window.to(spectrum.real.dtype),
            center=True,
            onesided=True,
            length=length,
        )
