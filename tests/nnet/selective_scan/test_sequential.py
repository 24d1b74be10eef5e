"""The fast scan equals the loop: values, gradients, types, strides, memory."""

import sys
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.nnet.selective_scan.reference import scan_reference
from sesame.nnet.selective_scan.sequential import scan_sequential

# Not by attribute: a function of the package above may bear the package's name.
MODULE = sys.modules[scan_sequential.__module__]
both_directions = pytest.mark.parametrize("reverse", [False, True])


@both_directions
def test_equals_the_loop_at_every_length(draw_inputs, assert_equals_reference, reverse):
    for num_steps in (*range(1, 41), 47, 48, 49, 63, 64, 65, 321, 399, 400):
        inputs = draw_inputs((2, num_steps, 3, 2), seed=num_steps)
        assert_equals_reference(scan_sequential, inputs, reverse, 1e-12)


@both_directions
@pytest.mark.parametrize("size", [(3, 101, 24, 16), (2, 400, 8, 4), (1, 33, 1, 1)])
def test_equals_the_loop_in_float32(
    draw_inputs, assert_equals_reference, size, reverse
):
    inputs = draw_inputs(size, torch.float32)
    assert_equals_reference(scan_sequential, inputs, reverse, 1e-5)


@both_directions
def test_narrow_inputs_cost_their_own_rounding_only(
    draw_inputs, assert_equals_reference, reverse
):
    u, delta, A, B, C, D = draw_inputs((2, 150, 8, 4), torch.float32)
    for dtype, tolerance in ((torch.bfloat16, 1e-2), (torch.float16, 1e-3)):
        narrow = [x.detach().to(dtype).requires_grad_() for x in (u, delta, B, C)]
        inputs = [*narrow[:2], A, *narrow[2:], D]
        assert_equals_reference(scan_sequential, inputs, reverse, tolerance)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(*(st.integers(1, n) for n in (7, 20, 4, 4))),
    reverse=st.booleans(),
    run_steps=st.integers(1, 9),
    budget=st.integers(1, 5000),
)
def test_cutting_into_runs_and_parts_changes_nothing(size, reverse, run_steps, budget):
    torch.manual_seed(0)
    *sequences, num_channels, state_size = size
    u, delta = torch.rand(2, *sequences, num_channels, dtype=torch.float64).unbind()
    B, C = torch.rand(2, *sequences, state_size, dtype=torch.float64).unbind()
    A = -torch.rand(num_channels, state_size, dtype=torch.float64)
    D = torch.rand(num_channels, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (u, delta, A, B, C, D)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_RUN_STEPS", run_steps)
        patch.setattr(MODULE, "_CPU_BYTES", budget)
        y = scan_sequential(*inputs, reverse)
        grads = torch.autograd.grad(y.sin().sum(), inputs)
    expected = scan_reference(*inputs, reverse)
    expected_grads = torch.autograd.grad(expected.sin().sum(), inputs)
    for got, wanted in zip((y, *grads), (expected, *expected_grads), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)


@both_directions
def test_gradients_are_those_of_finite_differences(draw_inputs, monkeypatch, reverse):
    monkeypatch.setattr(MODULE, "_RUN_STEPS", 2)
    inputs = draw_inputs((2, 5, 2, 2))
    assert torch.autograd.gradcheck(partial(scan_sequential, reverse=reverse), inputs)


@both_directions
def test_strides_of_the_inputs_do_not_matter(
    draw_inputs, assert_equals_reference, reverse
):
    """A convolution leaves the channels outermost, a projection B and C interleaved."""
    u, delta, A, B, C, D = (x.detach() for x in draw_inputs((2, 19, 3, 4)))
    u, delta = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (u, delta))
    B, C = torch.cat([B, C], 2).chunk(2, 2)
    inputs = [x.requires_grad_() for x in (u, delta, A, B, C, D)]
    assert_equals_reference(scan_sequential, inputs, reverse, 1e-12)
    assert scan_sequential(*inputs, reverse).is_contiguous()
    y = scan_sequential(*inputs, reverse)
    y.sum().backward()  # an expanded gradient, all strides 0
    expected = torch.autograd.grad(scan_reference(*inputs, reverse).sum(), inputs)
    for x, wanted in zip(inputs, expected, strict=True):
        torch.testing.assert_close(x.grad, wanted, rtol=1e-11, atol=1e-11)


def test_inputs_stay_as_they_are(draw_inputs):
    inputs = draw_inputs((2, 19, 3, 4))
    copies = [x.detach().clone() for x in inputs]
    scan_sequential(*inputs).sum().backward()
    assert all(torch.equal(x, copy) for x, copy in zip(inputs, copies, strict=True))


def test_one_input_that_needs_no_gradient_does_not_disturb_the_others(draw_inputs):
    inputs = draw_inputs((2, 19, 3, 4))
    expected = torch.autograd.grad(scan_sequential(*inputs).sin().sum(), inputs)
    for left_out in range(6):
        some = [x.detach().requires_grad_(k != left_out) for k, x in enumerate(inputs)]
        scan_sequential(*some).sin().sum().backward()
        for k, (x, wanted) in enumerate(zip(some, expected, strict=True)):
            assert x.grad is None if k == left_out else torch.equal(x.grad, wanted)


def _stored_elements(inputs):
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.numel()) or x, lambda x: x
    ):
        scan_sequential(*inputs)
    return sum(sizes) - sum(x.numel() for x in inputs)


def test_training_stores_one_state_for_every_run_of_steps(draw_inputs):
    num_sequences, num_steps, num_channels, state_size = size = (2, 160, 3, 4)
    per_state = num_sequences * num_channels * state_size
    expected = num_steps // MODULE._RUN_STEPS * per_state
    assert _stored_elements(draw_inputs(size)) == expected


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_nothing_is_stored_where_no_gradient_is_needed(
    draw_inputs, monkeypatch, without
):
    inputs = draw_inputs((2, 19, 3, 4))
    expected = scan_sequential(*inputs)
    monkeypatch.setattr(MODULE, "_Scan", None)
    with without():
        y = scan_sequential(*inputs)
    assert y.grad_fn is None
    assert torch.equal(y, expected)


def test_autocast_leaves_the_scan_in_float32(draw_inputs):
    inputs = draw_inputs((2, 19, 3, 4), torch.float32)
    expected = scan_sequential(*inputs)
    expected_grads = torch.autograd.grad(expected.sum(), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        y = scan_sequential(*inputs)
        grads = torch.autograd.grad(y.sum(), inputs)
    assert torch.equal(y, expected)
    assert all(map(torch.equal, grads, expected_grads))


def test_fast_decays_forget_and_slow_ones_keep_without_overflow(draw_inputs):
    u, delta, A, B, C, D = draw_inputs((1, 64, 2, 2), torch.float32)
    inputs = [u, delta * 100, A * 100, B, C, D]
    grads = torch.autograd.grad(scan_sequential(*inputs).sum(), inputs)
    assert all(torch.isfinite(x).all() for x in grads)
    y = scan_sequential(u, delta * 1e4, A * 1e4, B, C, D)
    alone = ((B * C).sum(2, keepdim=True) * delta * 1e4 + D) * u
    torch.testing.assert_close(y, alone, rtol=1e-5, atol=1e-3)


def test_second_derivatives_are_refused(draw_inputs):
    inputs = draw_inputs((1, 5, 2, 2))
    y = scan_sequential(*inputs).sin().sum()
    (grad,) = torch.autograd.grad(y, inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_no_sequences_give_no_outputs(draw_inputs):
    u, delta, A, B, C, D = draw_inputs((0, 5, 3, 2))
    y = scan_sequential(u, delta, A, B, C, D)
    y.sum().backward()
    assert y.shape == u.grad.shape == (0, 5, 3)
    assert not A.grad.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@both_directions
def test_equals_the_loop_on_cuda(draw_inputs, assert_equals_reference, reverse):
    inputs = draw_inputs((5, 77, 24, 16))
    inputs = [x.detach().cuda().requires_grad_() for x in inputs]
    assert_equals_reference(scan_sequential, inputs, reverse, 1e-12)
