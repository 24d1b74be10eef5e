"""Laws of the waveform loss: a mean absolute error in full precision."""

import torch

from sesame.losses import waveform_loss


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_loss_is_the_mean_absolute_error_and_zero_at_equality():
    estimate, target = noise(2, 100), noise(2, 100, seed=1)
    expected = (estimate - target).abs().mean()
    torch.testing.assert_close(waveform_loss(estimate, target), expected)
    assert waveform_loss(target, target).item() == 0


def test_loss_scales_with_the_gain():
    estimate, target = noise(2, 100), noise(2, 100, seed=1)
    torch.testing.assert_close(
        waveform_loss(-3 * estimate, -3 * target), 3 * waveform_loss(estimate, target)
    )


def test_gradient_is_finite_at_equality():
    estimate = torch.zeros(1, 50, requires_grad=True)
    waveform_loss(estimate, torch.zeros(1, 50)).backward()
    assert torch.equal(estimate.grad, torch.zeros(1, 50))


def test_half_precision_is_averaged_in_float32():
    # In float16 the sum over 100 000 samples overflows.
    estimate = torch.full((1, 100_000), 2.0, dtype=torch.float16)
    loss = waveform_loss(estimate, -estimate)
    assert loss.dtype == torch.float32 and loss.item() == 4
