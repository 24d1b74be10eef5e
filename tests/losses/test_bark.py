"""The bands of PESQ: what its tables have to do with each other."""

import numpy as np

from sesame.losses.bark import (
    ABSOLUTE_THRESHOLDS,
    BAND_WIDTHS_BARK,
    BAND_WIDTHS_HZ,
    BINS_PER_BAND,
)


def test_the_bands_share_out_the_bins_of_a_frame():
    tables = BINS_PER_BAND, BAND_WIDTHS_BARK, BAND_WIDTHS_HZ, ABSOLUTE_THRESHOLDS
    assert {len(table) for table in tables} == {49}
    assert sum(BINS_PER_BAND) == 512 // 2


def test_widths_grow_by_one_ratio():
    ratios = np.divide(BAND_WIDTHS_BARK[2:], BAND_WIDTHS_BARK[1:-1])
    assert np.ptp(ratios) < 0.002 and ratios.min() > 1.01


def test_edges_in_hz_and_in_bark_are_those_of_one_scale():
    """Zwicker's, within the half Bark to which such formulas agree."""
    hertz = np.cumsum(BAND_WIDTHS_HZ)
    bark = 13 * np.arctan(0.76e-3 * hertz) + 3.5 * np.arctan((hertz / 7500) ** 2)
    assert np.abs(bark - np.cumsum(BAND_WIDTHS_BARK)).max() < 0.5
    edges = np.cumsum(BINS_PER_BAND) * 16000 / 512
    assert np.abs(edges - hertz).max() < 320


def test_hearing_is_best_in_the_middle_of_speech():
    centre = np.cumsum(BAND_WIDTHS_HZ)[int(np.argmin(ABSOLUTE_THRESHOLDS))]
    assert 500 < centre < 4000
    assert ABSOLUTE_THRESHOLDS[0] == max(ABSOLUTE_THRESHOLDS)
