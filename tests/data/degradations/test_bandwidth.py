import numpy as np
import pytest

from sesame.data.degradations import BandLimit

RATE = 16_000


@pytest.mark.parametrize("lower", [4_000, 8_000, 11_025])
def test_what_is_above_the_band_is_gone_and_the_rest_is_in_step(lower, rng):
    white = rng.normal(0, 0.1, RATE).astype(np.float32)
    waveform, done = BandLimit([lower])(white, RATE, rng)
    assert done["bandwidth"] == lower / 2
    taper = np.hanning(RATE)
    before, after = (np.fft.rfft(taper * signal) for signal in (white, waveform))
    hertz = np.arange(len(before))
    passed, stopped = hertz < 0.45 * lower, hertz > 0.51 * lower
    # Complex, so a delay would show.
    error = np.abs(after[passed] - before[passed]).mean()
    assert error < 1e-3 * np.abs(before[passed]).mean()
    assert np.abs(after[stopped]).mean() < 1e-3 * np.abs(before[stopped]).mean()


def test_rates_that_are_not_lower_change_nothing(speech, rng):
    waveform, done = BandLimit([16_000, 24_000])(speech, RATE, rng)
    np.testing.assert_array_equal(waveform, speech)
    assert done["bandwidth"] == RATE / 2


@pytest.mark.parametrize("rates", [[], [1000, 8000]])
def test_impossible_rates_are_refused(rates):
    with pytest.raises(ValueError, match="rates"):
        BandLimit(rates)
