"""Front ends: one per rate and device, fit for training whenever they are made."""

import pytest
import torch

from sesame.features.front_end import FrontEnds


def test_each_rate_has_one_front_end():
    front_ends = FrontEnds()
    assert front_ends(8000, "cpu") is front_ends(8000, torch.device("cpu"))
    assert front_ends(8000, "cpu").stft.n_fft == 160
    assert front_ends(16000, "cpu").stft.n_fft == 320
    assert front_ends(16000, "cpu").bands.num_bins == 161


def test_what_is_made_in_inference_serves_training():
    front_ends = FrontEnds()
    with torch.inference_mode():
        stft = front_ends(8000, "cpu").stft
    spectrum = torch.randn(1, 2, 81, 2, requires_grad=True)
    stft.inverse(spectrum, 160).square().sum().backward()
    assert spectrum.grad.abs().max() > 0


def test_rates_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"sample_rate \(22050\)"):
        FrontEnds()(22050, "cpu")
