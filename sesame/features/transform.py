"""The feature transform of the enhancement networks."""

import torch
from torch import Tensor, nn

from .compression import to_magnitude_phase, to_spectrum
from .stft import STFT


class CompressedSTFT(nn.Module):
    """Waveform <-> compressed magnitude and phase.

    Works in float32 (float64 for float64 input) also under autocast.

    Shape: waveform (B, L) -> magnitude (B, F, T), phase (B, F, T) with
    F = n_fft // 2 + 1 and T = L // hop_length + 1.
    Source: yxlu-0102/MP-SENet at 89932cf, dataset.py.

    Arguments
    ---------
    n_fft : int
        Length of the Fourier transform [samples].
    hop_length : int
        Distance between frames [samples], at most ``win_length // 2``.
    win_length : int
        Length of the periodic Hann window [samples], at most ``n_fft``.
    exponent : float
        Exponent on the magnitude, in (0, 1]; 1 means no compression.

    Raises
    ------
    ValueError
        If ``exponent`` is not in (0, 1] or the lengths break the rules of ``STFT``.

    Example
    -------
    >>> transform = CompressedSTFT()
    >>> waveform = torch.randn(1, 1234)
    >>> magnitude, phase = transform(waveform)
    >>> magnitude.shape
    torch.Size([1, 201, 13])
    >>> restored = transform.inverse(magnitude, phase, 1234)
    >>> torch.allclose(restored, waveform, atol=1e-3)
    True
    """

    def __init__(
        self,
        n_fft: int = 400,
        hop_length: int = 100,
        win_length: int = 400,
        exponent: float = 0.3,
    ) -> None:
        super().__init__()
        if not 0 < exponent <= 1:
            raise ValueError(f"exponent ({exponent}) must be in (0, 1]")
        self.stft = STFT(n_fft, hop_length, win_length)
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.win_length = win_length
        self.exponent = exponent
        self.num_bins = self.stft.num_bins

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Analyses waveforms.

        Shape: waveform (B, L) -> magnitude (B, F, T), phase (B, F, T).

        Arguments
        ---------
        waveform : Tensor
            Real waveforms of one length, L >= 1.

        Returns
        -------
        tuple[Tensor, Tensor]
            Compressed magnitude and phase [rad].

        Example
        -------
        >>> magnitude, phase = CompressedSTFT()(torch.zeros(2, 400))
        >>> phase.shape
        torch.Size([2, 201, 5])
        """
        with torch.autocast(waveform.device.type, enabled=False):
            return to_magnitude_phase(self.stft(waveform), self.exponent)

    def inverse(self, magnitude: Tensor, phase: Tensor, length: int) -> Tensor:
        """Synthesises waveforms.

        Shape: magnitude (B, F, T), phase (B, F, T) -> (B, length).

        Arguments
        ---------
        magnitude : Tensor
            Compressed magnitude, not negative.
        phase : Tensor
            Phase [rad].
        length : int
            Length of the result [samples], 1 to ``T * hop_length - 1``.

        Returns
        -------
        Tensor
            Real waveforms of exactly ``length`` samples.

        Example
        -------
        >>> zeros = torch.zeros(2, 201, 5)
        >>> CompressedSTFT().inverse(zeros, zeros, 444).shape
        torch.Size([2, 444])
        """
        with torch.autocast(magnitude.device.type, enabled=False):
            spectrum = to_spectrum(magnitude, phase, self.exponent)
            return self.stft.inverse(spectrum, length)
