"""BSRNN: its size, its bands, laws of a separator."""

import math

import pytest
import torch

from sesame.models.bsrnn import BSRNN, hertz_bands


def small(**changes):
    sizes = {"channels": 4, "num_blocks": 1, "n_fft": 128, "hop_length": 32}
    return BSRNN(**(sizes | changes)).double().eval()


def mixture(batch=2, length=1500):
    return torch.randn(batch, length, dtype=torch.float64)


def test_size_is_that_of_the_published_baseline():
    size = sum(parameter.numel() for parameter in BSRNN().parameters())
    assert size == 2_427_692
    assert round(size / 1e6, 4) == 2.4277


def test_sources_are_as_many_as_asked_for_and_as_long_as_the_mixture():
    assert small(num_sources=3)(mixture(length=777)).shape == (2, 3, 777)


def test_output_does_not_depend_on_batch_mates():
    network, x = small(), mixture()
    loud = torch.stack((x[0], 10 * x[1]))
    torch.testing.assert_close(network(loud)[:1], network(x[:1]))


def test_every_parameter_receives_a_gradient():
    network = small()
    (network(mixture()) - mixture().unsqueeze(1)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 1e-9, name


def test_time_comes_before_the_bands():
    block = BSRNN(channels=4, num_blocks=1).blocks[0]
    assert block.axis_order == "time_frequency"


def test_a_bin_belongs_to_the_band_of_its_frequency():
    bands = hertz_bands(512, 16000, 28)
    edges = [200 * index for index in range(20)]
    edges += [4000 + 500 * index for index in range(8)] + [math.inf]
    for (start, stop), low, high in zip(bands, edges[:-1], edges[1:], strict=True):
        frequencies = [index * 31.25 for index in range(start, stop)]
        assert all(low <= frequency < high for frequency in frequencies)
    assert [index for band in bands for index in range(*band)] == list(range(257))


@pytest.mark.parametrize(
    ("n_fft", "sample_rate", "num_bands"),
    [
        (512, 16000, 27),
        (512, 16000, 30),
        (256, 8000, 20),
        (256, 8000, 21),
        (960, 48000, 35),
        (128, 16000, 28),
    ],
)
def test_bands_share_all_bins_among_them(n_fft, sample_rate, num_bands):
    bands = hertz_bands(n_fft, sample_rate, num_bands)
    assert len(bands) == num_bands
    covered = [index for band in bands for index in range(*band)]
    assert covered == list(range(n_fft // 2 + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((512, 16000, 26), r"num_bands \(26\) must be at least 27"),
        ((256, 8000, 19), r"num_bands \(19\) must be at least 20"),
        ((64, 16000, 28), r"one of the bins of n_fft \(64\)"),
    ],
)
def test_numbers_of_bands_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        hertz_bands(*arguments)
