"""The noise context is a function of the frame alone."""

import torch

from sesame.nnet.moe.context import NoiseContext


def test_context_of_a_frame_depends_on_that_frame_only():
    context = NoiseContext(num_bins=9, context_dim=4).double()
    magnitude = torch.rand(2, 9, 6, dtype=torch.float64)
    changed = magnitude.clone()
    changed[1, :, 3] += 1
    difference = (context(magnitude) - context(changed)).abs().sum(2)
    assert difference[1, 3] > 1e-6
    difference[1, 3] = 0
    assert difference.max() == 0


def test_context_equals_its_formula():
    context = NoiseContext(num_bins=9, context_dim=4).double()
    magnitude = torch.rand(2, 9, 6, dtype=torch.float64)
    frame = magnitude[1, :, 2]
    projected = context.projection.weight @ frame + context.projection.bias
    deviation = projected - projected.mean()
    normal = deviation / (deviation.square().mean() + 1e-5).sqrt()
    expected = normal * torch.sigmoid(normal)
    torch.testing.assert_close(context(magnitude)[1, 2], expected)


def test_silence_gives_finite_values_and_gradients():
    context = NoiseContext(num_bins=9, context_dim=4)
    magnitude = torch.zeros(1, 9, 3, requires_grad=True)
    output = context(magnitude)
    output.square().sum().backward()
    assert output.isfinite().all() and magnitude.grad.isfinite().all()


def test_every_parameter_receives_a_gradient():
    context = NoiseContext(num_bins=9, context_dim=4)
    context(torch.rand(2, 9, 6)).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in context.parameters())
