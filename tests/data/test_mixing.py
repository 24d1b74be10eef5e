import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.data.mixing import (
    active_rms,
    check_levels,
    draw_snr,
    mix_at_levels,
    mix_at_snr,
    ratio_gain,
)

RATE = 16_000


def noise(seed, length=RATE, scale=0.05):
    wave = scale * np.random.default_rng(seed).standard_normal(length)
    return wave.astype(np.float32)


def slow_active_rms(wave):
    """The definition, frame by frame."""
    frames = [wave[i : i + 320].astype(float) for i in range(0, len(wave), 320)]
    loudest = max(np.mean(frame**2) for frame in frames)
    kept = [frame for frame in frames if np.mean(frame**2) >= loudest * 1e-4]
    return np.sqrt(np.mean(np.concatenate(kept) ** 2))


def test_active_rms_of_a_stationary_signal_is_its_rms():
    wave = noise(0)
    assert active_rms(wave, RATE) == pytest.approx(np.sqrt(np.mean(wave**2)), rel=1e-6)


def test_active_rms_does_not_change_with_pauses():
    wave = noise(0, 3200)
    paused = np.concatenate([np.zeros(6400, "f"), wave, np.full(3200, 1e-6, "f")])
    assert active_rms(paused, RATE) == pytest.approx(active_rms(wave, RATE), rel=1e-6)


@given(st.integers(1, 2000), st.integers(0, 99))
def test_active_rms_follows_its_definition(length, seed):
    rng = np.random.default_rng(seed)
    wave = noise(seed, length) * 10 ** rng.uniform(-4, 0, length)
    assert active_rms(wave, RATE) == pytest.approx(slow_active_rms(wave), rel=1e-9)


@pytest.mark.parametrize("gain", [1e-30, 1e-3, 100])
def test_active_rms_scales_with_the_signal(gain):
    wave = noise(1).astype(float)
    expected = gain * active_rms(wave, RATE)
    assert active_rms(gain * wave, RATE) == pytest.approx(expected, rel=1e-9)


def test_active_rms_of_silence_is_zero():
    assert active_rms(np.zeros(500), RATE) == 0
    assert active_rms(np.zeros(0), RATE) == 0


@pytest.mark.parametrize("snr_db", [-20, -5, 0, 2.5, 17.5, 40])
@pytest.mark.parametrize("scale", [0.001, 0.05, 3.0])
def test_snr_is_exact(snr_db, scale):
    speech = np.concatenate([noise(1), np.zeros(5000, "f")])
    noisy, clean = mix_at_snr(speech, noise(2, len(speech), scale), snr_db, RATE)
    levels = active_rms(clean, RATE) / active_rms(noisy - clean, RATE)
    assert 20 * np.log10(levels) == pytest.approx(snr_db, abs=0.01)
    assert noisy.dtype == clean.dtype == np.float32


def test_speech_is_not_touched_unless_it_must_be_scaled():
    speech = noise(1)
    noisy, clean = mix_at_snr(speech, noise(2), 10.0, RATE)
    np.testing.assert_array_equal(clean, speech)
    assert np.abs(noisy).max() < 1


def test_overload_scales_both_signals_by_the_same_factor():
    speech = noise(1, scale=0.3)
    noisy, clean = mix_at_snr(speech, noise(2), -10.0, RATE)
    assert np.abs(noisy).max() == pytest.approx(1, abs=1e-6)
    factor = clean / speech
    assert factor.max() < 0.9
    assert np.ptp(factor) < 1e-5
    levels = active_rms(clean, RATE) / active_rms(noisy - clean, RATE)
    assert 20 * np.log10(levels) == pytest.approx(-10, abs=0.01)


def test_overloaded_speech_is_scaled_too():
    _, clean = mix_at_snr(noise(1, scale=2.0), noise(2), 60.0, RATE)
    assert np.abs(clean).max() <= 1


def test_silent_noise_adds_nothing():
    speech = noise(1)
    noisy, clean = mix_at_snr(speech, np.zeros_like(speech), 0.0, RATE)
    np.testing.assert_array_equal(noisy, speech)
    np.testing.assert_array_equal(clean, speech)


def test_silent_speech_gets_the_noise_at_its_own_level():
    noisy, clean = mix_at_snr(np.zeros(RATE, "f"), noise(2), 0.0, RATE)
    np.testing.assert_array_equal(noisy, noise(2))
    assert not clean.any()


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) and noise \(3,\)"):
        mix_at_snr(np.ones(2), np.ones(3), 0.0, RATE)


def test_listed_snrs_are_all_drawn_and_no_other():
    rng = np.random.default_rng(0)
    assert {draw_snr([0, 5, 10], rng) for _ in range(100)} == {0.0, 5.0, 10.0}


def test_two_values_are_a_range():
    rng = np.random.default_rng(0)
    values = [draw_snr([-5, 15], rng) for _ in range(1000)]
    assert -5 <= min(values) < -4.5 and 14.5 < max(values) <= 15
    assert len(set(values)) == 1000
    assert np.mean(values) == pytest.approx(5, abs=0.8)


@given(st.lists(st.floats(-60, -20), min_size=1, max_size=4), st.integers(0, 99))
def test_sources_get_their_levels_and_add_up(levels, seed):
    scales = 10 ** np.random.default_rng(seed).uniform(-3, 1, len(levels))
    sources = np.stack([noise(i, 1600, s) for i, s in enumerate(scales)])
    mixture, scaled = mix_at_levels(sources, levels, RATE)
    found = [20 * np.log10(active_rms(source, RATE)) for source in scaled]
    np.testing.assert_allclose(found, levels, atol=0.01)
    np.testing.assert_allclose(mixture, scaled.sum(axis=0), atol=1e-6)
    assert mixture.dtype == scaled.dtype == np.float32


def test_loud_sources_are_scaled_down_together():
    sources = np.stack([noise(0), noise(1)])
    mixture, scaled = mix_at_levels(sources, [0.0, -6.0], RATE)
    peak = max(np.abs(mixture).max(), np.abs(scaled).max())
    assert peak == pytest.approx(0.9, abs=1e-5)
    ratio = active_rms(scaled[0], RATE) / active_rms(scaled[1], RATE)
    assert 20 * np.log10(ratio) == pytest.approx(6.0, abs=0.01)


def test_sources_that_cancel_are_kept_below_full_scale_too():
    mixture, scaled = mix_at_levels(np.stack([noise(0), -noise(0)]), [0.0, 0.0], RATE)
    assert np.abs(scaled).max() == pytest.approx(0.9, abs=1e-5)
    np.testing.assert_allclose(mixture, 0, atol=1e-6)


def test_a_silent_source_stays_silent():
    sources = np.stack([noise(0), np.zeros(RATE, "f")])
    mixture, scaled = mix_at_levels(sources, [-20.0, -20.0], RATE)
    assert not scaled[1].any()
    np.testing.assert_array_equal(mixture, scaled[0])


def test_every_source_needs_a_level():
    with pytest.raises(ValueError, match=r"levels \(1\) must be that of the sources"):
        mix_at_levels(np.zeros((2, 10), "f"), [0.0], RATE)


@pytest.mark.parametrize("ratio_db", [-10.0, 0.0, 7.5])
def test_a_gain_brings_a_signal_to_its_ratio(ratio_db):
    rng = np.random.default_rng(0)
    signal, other = rng.normal(size=(2, 4000)) * [[0.2], [3.0]]
    gain = ratio_gain(signal, other, ratio_db, 16000)
    ratio = active_rms(signal, 16000) / active_rms(gain * other, 16000)
    assert 20 * np.log10(ratio) == pytest.approx(ratio_db, abs=1e-9)
    assert ratio_gain(signal, 0 * other, ratio_db, 16000) == 1.0
    assert ratio_gain(0 * signal, other, ratio_db, 16000) == 1.0


@pytest.mark.parametrize("levels", [[5.0], [0.0, 0.0], [-5.0, 20.0], [9.0, 3.0, 1.0]])
def test_lists_and_ranges_in_order_are_levels(levels):
    check_levels("snr_db", levels)


@pytest.mark.parametrize(
    "levels", [[], [1.0, 0.0], [np.nan], [0.0, np.inf], [1, 2, np.nan]]
)
def test_levels_out_of_order_or_not_finite_are_refused_under_their_name(levels):
    with pytest.raises(ValueError, match=r"^ser_db \(\[.*\]\) must be \[min, max\]"):
        check_levels("ser_db", levels)
