"""Bands at every sampling rate: complete, in order, and the same below Nyquist."""

import pytest
import torch

from sesame.features.rate_bands import BAND_GROUPS, RateBands

NUM_BANDS = {8000: 20, 16000: 27, 24000: 29, 32000: 31, 44100: 34, 48000: 34}


@pytest.mark.parametrize(("rate", "count"), NUM_BANDS.items())
def test_the_number_of_bands_follows_the_rate(rate, count):
    assert RateBands(rate // 100 + 1).num_bands == count


@pytest.mark.parametrize("num_bins", [1, 5, 6, 81, 161, 241, 442, 481])
def test_join_undoes_split_at_any_number_of_bins(num_bins):
    bands = RateBands(num_bins)
    x = torch.randn(2, 3, num_bins, 4)
    assert torch.equal(bands.join(bands.split(x)), x)


def test_the_first_bands_hold_the_bins_written_down_here():
    bins = torch.arange(1.0, 162).view(1, 1, 161, 1)
    narrow, middle, wide = (group[0, 0] for group in RateBands(161).split(bins))
    assert narrow[0].tolist() == [1, 2, 3, 4, 5]
    assert narrow[1].tolist() == [6, 7, 8, 9, 0]
    assert narrow[19].tolist() == [78, 79, 80, 81, 0]
    assert middle[0].tolist() == list(range(82, 92))
    assert wide[0].tolist() == [*range(142, 162), *[0] * 20]


def test_bands_below_nyquist_do_not_depend_on_the_rate():
    x = torch.randn(1, 2, 481, 2)
    high = torch.cat([g.flatten(2) for g in RateBands(481).split(x)], dim=2)
    low = RateBands(81).split(x[:, :, :81])
    assert torch.equal(low[0].flatten(2), high[:, :, : 20 * 5 * 2])


def test_values_of_a_bin_stay_together():
    x = torch.arange(81 * 2.0).view(1, 1, 81, 2)
    assert RateBands(81).split(x)[0][0, 0, 0].tolist() == list(range(10))
    assert BAND_GROUPS[0] == 5


@pytest.mark.parametrize("num_bins", [0, 482])
def test_bins_without_bands_are_refused(num_bins):
    with pytest.raises(ValueError, match=rf"num_bins \({num_bins}\) must be in"):
        RateBands(num_bins)


def test_other_bins_are_refused():
    with pytest.raises(ValueError, match=r"expected \(B, T, 81, V\)"):
        RateBands(81).split(torch.zeros(1, 2, 80, 2))
