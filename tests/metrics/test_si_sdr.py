import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.metrics import si_sdr

RNG = np.random.default_rng(0)
TARGET = RNG.standard_normal(4000)
NOISE = RNG.standard_normal(4000)


def orthogonal_error():
    target = TARGET - TARGET.mean()
    noise = NOISE - NOISE.mean()
    return target, noise - (noise @ target) / (target @ target) * target


@given(st.floats(-60, 60))
def test_value_is_that_of_a_constructed_angle(decibels):
    target, error = orthogonal_error()
    error = error * np.linalg.norm(target) / np.linalg.norm(error)
    estimate = target + 10 ** (-decibels / 20) * error
    assert si_sdr(estimate, target, 16000).value == pytest.approx(decibels, abs=1e-8)


@given(st.floats(1e-6, 1e6), st.floats(-10, 10), st.sampled_from([-1, 1]))
def test_scale_sign_and_offset_of_the_estimate_do_not_matter(scale, offset, sign):
    expected = si_sdr(TARGET + NOISE, TARGET, 16000).value
    estimate = sign * scale * (TARGET + NOISE + offset)
    assert si_sdr(estimate, TARGET, 16000).value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, -0.3, 1e-4, 1e5])
def test_a_scaled_copy_has_no_value(scale):
    score = si_sdr(scale * TARGET, TARGET, 16000)
    assert np.isnan(score.value)
    assert "scaled copy" in score.reason


def test_a_copy_in_single_precision_still_has_a_value():
    assert 130 < si_sdr(TARGET.astype(np.float32), TARGET, 16000).value < 170


def test_constant_signals_have_no_value():
    constant = np.full(4000, 0.3)
    assert si_sdr(TARGET, constant, 16000).reason == "target is constant"
    assert si_sdr(constant, TARGET, 16000).reason == "estimate is constant"


def test_orthogonal_signals_have_no_value():
    target = np.tile([1.0, -1.0, 1.0, -1.0], 100)
    estimate = np.tile([1.0, 1.0, -1.0, -1.0], 100)
    assert "orthogonal" in si_sdr(estimate, target, 16000).reason


def test_levels_of_both_signals_may_be_extreme():
    expected = si_sdr(TARGET + NOISE, TARGET, 16000).value
    quiet = si_sdr(1e-8 * (TARGET + NOISE), 1e8 * TARGET, 16000).value
    assert quiet == pytest.approx(expected, abs=1e-9)
