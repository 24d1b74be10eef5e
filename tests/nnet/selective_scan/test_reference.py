"""The scan as defined: closed forms, one step at a time, either direction."""

import pytest
import torch

from sesame.nnet.selective_scan.reference import scan_reference, selective_scan_step

SIZE = (2, 7, 3, 4)


def test_is_the_sum_over_all_earlier_inputs(draw_inputs):
    """The recurrence unrolled: exp(A * time elapsed since r) weighs the input at r."""
    u, delta, A, B, C, D = draw_inputs(SIZE)
    elapsed = delta.cumsum(1)
    expected = D * u
    for t in range(SIZE[1]):
        for r in range(t + 1):
            decay = torch.exp((elapsed[:, t] - elapsed[:, r]).unsqueeze(2) * A)
            weights = (C[:, t] * B[:, r]).unsqueeze(1) * decay
            term = weights.sum(2) * delta[:, r] * u[:, r]
            expected = expected.index_add(1, torch.tensor([t]), term.unsqueeze(1))
    torch.testing.assert_close(scan_reference(u, delta, A, B, C, D), expected)


def test_reverse_is_the_flipped_scan_of_flipped_sequences(draw_inputs):
    u, delta, A, B, C, D = draw_inputs(SIZE)
    flipped = (x.flip(1) for x in (u, delta, B, C))
    u_flipped, delta_flipped, B_flipped, C_flipped = flipped
    y = scan_reference(u_flipped, delta_flipped, A, B_flipped, C_flipped, D)
    assert torch.equal(scan_reference(u, delta, A, B, C, D, reverse=True), y.flip(1))


def test_steps_in_a_row_are_the_scan(draw_inputs):
    u, delta, A, B, C, D = draw_inputs(SIZE)
    state = torch.zeros(2, 3, 4, dtype=torch.float64)
    outputs = []
    for t in range(SIZE[1]):
        y, state = selective_scan_step(
            state, u[:, t], delta[:, t], A, B[:, t], C[:, t], D
        )
        outputs.append(y)
    assert torch.equal(torch.stack(outputs, 1), scan_reference(u, delta, A, B, C, D))


def test_gradients_are_those_of_finite_differences(draw_inputs):
    for reverse in (False, True):
        inputs = draw_inputs((2, 3, 2, 2))
        assert torch.autograd.gradcheck(scan_reference, (*inputs, reverse))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_state_of_narrow_inputs_stays_in_float32(draw_inputs, dtype):
    """Thousands of small inputs add up, which they cannot in the type of u."""
    num_steps = 4096
    ones = torch.ones(1, num_steps, 1, dtype=dtype)
    y = scan_reference(
        ones, ones, torch.full((1, 1), -1e-9), ones, ones, torch.zeros(1)
    )
    assert y.dtype == dtype
    assert y[0, -1, 0] == num_steps
    state = torch.zeros(1, 1, 1)
    parameters = torch.full((1, 1), -1e-9), ones[:, 0], ones[:, 0], torch.zeros(1)
    y, state = selective_scan_step(state, ones[:, 0], ones[:, 0], *parameters)
    assert (y.dtype, state.dtype) == (dtype, torch.float32)
