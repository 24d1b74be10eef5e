import numpy as np
import pytest

from sesame.data.degradations import set_level
from sesame.data.mixing import active_rms

RATE = 16_000


@pytest.mark.parametrize("level", [-40.0, -30.0, -24.0])
def test_reference_has_the_level_and_ratios_are_kept(level, speech, noise):
    noisy = speech + noise
    (loud, clean), gain = set_level([noisy, speech], speech, level, RATE)
    assert 20 * np.log10(active_rms(clean, RATE)) == pytest.approx(level, abs=0.01)
    np.testing.assert_allclose(loud, gain * noisy, rtol=1e-5, atol=1e-9)
    assert loud.dtype == np.float32


def test_no_signal_exceeds_full_scale(speech, noise):
    (loud, clean), gain = set_level([speech + 9 * noise, speech], speech, -3.0, RATE)
    assert np.abs(loud).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(clean, gain * speech, rtol=1e-5)


def test_a_silent_reference_leaves_the_level(noise):
    (same,), gain = set_level([noise], np.zeros_like(noise), -20.0, RATE)
    np.testing.assert_array_equal(same, noise)
    assert gain == 1.0
