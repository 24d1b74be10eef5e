"""Mel bands: the published ones, and laws of any division."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.features.mel_bands import mel_bands

DIVISIONS = {
    "n_fft": st.integers(1, 1024).map(lambda half: 2 * half),
    "sample_rate": st.sampled_from([8000, 16000, 24000, 44100, 48000]),
    "num_bands": st.integers(1, 150),
}


def test_bands_of_tf_moe_are_those_of_the_published_list():
    bands = mel_bands(512, 16000, 80)
    digest = hashlib.sha256(str(bands).encode()).hexdigest()
    assert digest[:16] == "e47384ee478bdf41"
    assert bands[:6] == [(0, 2), (0, 3), (1, 3), (2, 4), (2, 5), (3, 6)]
    assert bands[-2:] == [(231, 248), (239, 257)]
    assert sum(stop - start for start, stop in bands) == 583


@given(**DIVISIONS)
def test_every_bin_is_in_a_band_and_every_band_has_bins(n_fft, sample_rate, num_bands):
    bands = mel_bands(n_fft, sample_rate, num_bands)
    assert len(bands) == num_bands
    assert all(start < stop for start, stop in bands)
    covered = {index for band in bands for index in range(*band)}
    assert covered == set(range(n_fft // 2 + 1))


@given(**DIVISIONS)
def test_bands_rise(n_fft, sample_rate, num_bands):
    bands = mel_bands(n_fft, sample_rate, num_bands)
    for lower, upper in pairwise(bands):
        assert lower[0] <= upper[0] and lower[1] <= upper[1]
        assert upper[0] <= lower[1]


@given(
    num_bands=st.integers(1, 80),
    sample_rate=st.sampled_from([8000, 16000, 48000]),
    factor=st.integers(2, 4),
)
def test_a_longer_transform_refines_the_same_bands(num_bands, sample_rate, factor):
    coarse = mel_bands(256, sample_rate, num_bands)
    fine = mel_bands(256 * factor, sample_rate, num_bands)
    for (start, stop), (fine_start, fine_stop) in zip(coarse, fine, strict=True):
        assert 0 <= fine_start - factor * start < factor
        assert 0 <= factor * stop - fine_stop < factor


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((511, 16000, 80), r"n_fft \(511\) must be even"),
        ((0, 16000, 80), r"n_fft \(0\) must be even and at least 2"),
        ((512, 0, 80), r"sample_rate \(0\) must be above 0 Hz"),
        ((512, 16000, 0), r"num_bands \(0\) must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mel_bands(*arguments)
