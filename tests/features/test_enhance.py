"""Laws of a whole pass: exact length, silence, gain, independence of batch mates."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sesame.features import CompressedSTFT, enhance_waveform, normalize, rms

TRANSFORM = CompressedSTFT()


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(
        *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


def identity(magnitude, phase):
    return magnitude, phase


def nonlinear(magnitude, phase):
    """Depends on the level and on neighbouring frames and bins, not on batch mates."""
    mask = torch.sigmoid(
        magnitude - magnitude.roll(1, -1) - magnitude.mean((1, 2), True)
    )
    return mask * magnitude, phase + 0.1 * magnitude.roll(1, -2)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 80000))
@example(length=1)
@example(length=100)
@example(length=200)
@example(length=201)
@example(length=80000)
def test_a_network_that_does_nothing_returns_every_length_unchanged(length):
    noisy = noise(1, length)
    enhanced = enhance_waveform(identity, TRANSFORM, noisy)
    assert enhanced.shape == noisy.shape
    torch.testing.assert_close(enhanced, noisy, atol=1e-3 * noisy.abs().max(), rtol=0)


@pytest.mark.parametrize("length", [1, 50, 99, 100, 101, 333, 1600])
def test_network_sees_unit_level_and_whole_frames(length):
    seen = []

    def spy(magnitude, phase):
        seen.append((magnitude, phase))
        return magnitude, phase

    noisy = 0.01 * noise(1, length)
    enhance_waveform(spy, TRANSFORM, noisy)
    ceiling = -(-length // 100) * 100
    padded = torch.zeros(1, ceiling)
    padded[:, :length] = normalize(noisy, rms(noisy))
    expected = TRANSFORM(padded)
    assert expected[0].shape[-1] == ceiling // 100 + 1
    assert torch.equal(seen[0][0], expected[0])
    assert torch.equal(seen[0][1], expected[1])


@pytest.mark.parametrize("exponent", [-100, -20, -1, 1, 15, 100])
def test_gain_on_the_input_is_the_gain_on_the_output(exponent):
    noisy, gain = noise(1, 1234), 2.0**exponent
    enhanced = enhance_waveform(nonlinear, TRANSFORM, noisy)
    louder = enhance_waveform(nonlinear, TRANSFORM, gain * noisy)
    assert torch.equal(louder, gain * enhanced)


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(1e-12, 1e12))
def test_any_gain_commutes_up_to_rounding(gain):
    noisy = noise(1, 555, dtype=torch.float64)
    enhanced = enhance_waveform(nonlinear, TRANSFORM, noisy)
    louder = enhance_waveform(nonlinear, TRANSFORM, gain * noisy) / gain
    torch.testing.assert_close(louder, enhanced, atol=1e-9, rtol=0)


def test_silence_gives_exactly_zeros():
    enhanced = enhance_waveform(nonlinear, TRANSFORM, torch.zeros(2, 777))
    assert torch.equal(enhanced, torch.zeros(2, 777))


def test_silence_gives_zeros_even_if_the_network_fails_on_it():
    def broken(magnitude, phase):
        return magnitude / 0, phase * torch.nan

    enhanced = enhance_waveform(broken, TRANSFORM, torch.zeros(1, 300))
    assert torch.equal(enhanced, torch.zeros(1, 300))


@pytest.mark.parametrize("amplitude", [1e-45, 1e-40, 1e-30, 1e19, 1e38])
def test_extreme_amplitudes_stay_finite(amplitude):
    noisy = amplitude * noise(1, 500).sign()
    enhanced = enhance_waveform(identity, TRANSFORM, noisy)
    assert enhanced.isfinite().all()
    torch.testing.assert_close(enhanced, noisy, atol=2e-3 * amplitude + 1e-44, rtol=0)


def test_items_do_not_depend_on_batch_mates():
    noisy = noise(3, 1234) * torch.tensor([[1e-3], [1.0], [100.0]])
    noisy[2, ::2] = 0
    together = enhance_waveform(nonlinear, TRANSFORM, noisy)
    other = noisy.clone()
    other[0], other[2] = 0, 1e6
    torch.testing.assert_close(
        enhance_waveform(nonlinear, TRANSFORM, other)[1], together[1]
    )
    for item in range(3):
        alone = enhance_waveform(nonlinear, TRANSFORM, noisy[item : item + 1])
        scale = noisy[item].abs().max().item()
        torch.testing.assert_close(
            alone[0], together[item], atol=1e-6 * scale, rtol=1e-5
        )


def test_a_failing_item_leaves_its_batch_mates_alone():
    noisy = noise(2, 500)
    noisy[0, 3] = torch.nan
    enhanced = enhance_waveform(nonlinear, TRANSFORM, noisy)
    alone = enhance_waveform(nonlinear, TRANSFORM, noisy[1:])
    torch.testing.assert_close(enhanced[1:], alone)


def test_other_transforms_keep_the_length():
    transform = CompressedSTFT(n_fft=510, hop_length=160, win_length=480, exponent=0.5)
    for length in (1, 159, 160, 161, 256, 5000):
        noisy = noise(1, length)
        enhanced = enhance_waveform(identity, transform, noisy)
        torch.testing.assert_close(enhanced, noisy, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_result_has_the_dtype_of_the_input(dtype):
    noisy = noise(1, 500).to(dtype)
    enhanced = enhance_waveform(identity, TRANSFORM, noisy)
    assert enhanced.dtype == dtype
    torch.testing.assert_close(enhanced, noisy, atol=2e-2, rtol=0)


def test_gradients_reach_the_network():
    gain = torch.ones(201, 1, requires_grad=True)
    noisy = noise(1, 500)
    enhance_waveform(
        lambda m, p: (gain * m, p), TRANSFORM, noisy
    ).square().sum().backward()
    assert gain.grad.isfinite().all() and (gain.grad > 0).all()


@pytest.mark.parametrize(
    ("noisy", "message"),
    [
        (torch.zeros(16000), r"expected noisy \(B, L\) with L >= 1, got \(16000,\)"),
        (torch.zeros(1, 1, 100), r"got \(1, 1, 100\)"),
        (torch.zeros(2, 0), r"got \(2, 0\)"),
        (
            torch.zeros(1, 100, dtype=torch.int16),
            r"floating-point noisy, got torch.int16",
        ),
    ],
)
def test_inputs_that_are_no_waveforms_are_refused_with_rule_and_value(noisy, message):
    with pytest.raises(ValueError, match=message):
        enhance_waveform(identity, TRANSFORM, noisy)
