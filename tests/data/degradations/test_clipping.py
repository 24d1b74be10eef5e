import numpy as np
import pytest

from sesame.data.degradations import Clipping

RATE = 16_000


def test_samples_at_the_limits_are_as_many_as_the_quantiles_say(speech):
    for seed in range(10):
        clipped, done = Clipping()(speech, RATE, np.random.default_rng(seed))
        below = np.mean(speech < clipped.min())
        above = np.mean(speech > clipped.max())
        assert below == pytest.approx(done["low"], abs=1e-3)
        assert above == pytest.approx(1 - done["high"], abs=1e-3)
        assert done["clipped"] == pytest.approx(below + above, abs=1e-9)


def test_samples_between_the_limits_are_untouched(speech, rng):
    clipped, _ = Clipping((0.1, 0.1), (0.9, 0.9))(speech, RATE, rng)
    inside = (speech > clipped.min()) & (speech < clipped.max())
    assert 0.75 < inside.mean() < 0.81
    np.testing.assert_array_equal(clipped[inside], speech[inside])


def test_quantiles_are_uniform_in_their_ranges(rng):
    ramp = np.linspace(-1, 1, 101, dtype=np.float32)
    done = [Clipping()(ramp, RATE, rng).done for _ in range(400)]
    low = np.array([each["low"] for each in done])
    high = np.array([each["high"] for each in done])
    assert low.min() >= 0 and low.max() <= 0.1
    assert high.min() >= 0.9 and high.max() <= 1
    assert low.mean() == pytest.approx(0.05, abs=0.005)
    assert high.mean() == pytest.approx(0.95, abs=0.005)


def test_clipping_does_not_depend_on_the_level(speech):
    loud, quiet = (
        Clipping()(gain * speech, RATE, np.random.default_rng(1)).waveform / gain
        for gain in (np.float32(1), np.float32(2**-6))
    )
    np.testing.assert_array_equal(loud, quiet)


def test_ranges_that_overlap_are_refused():
    with pytest.raises(ValueError, match="high"):
        Clipping(low=(0.0, 0.6), high=(0.5, 1.0))
    with pytest.raises(ValueError, match="low"):
        Clipping(low=(-0.1, 0.1))
