"""The matrix memory: one function, however it is computed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.nnet.mlstm_cell import MLSTMCellState, mlstm_cell, mlstm_cell_step


def arguments(steps, batch=(2,), width=4, dtype=torch.float64, gate_scale=2.0):
    """Queries, keys, values and gates whose memory reaches over many chunks."""
    rows = torch.randn(3, *batch, steps, width, dtype=dtype)
    input_gate, forget_gate = gate_scale * torch.randn(2, *batch, steps, dtype=dtype)
    return [*rows, input_gate, forget_gate + 3.0]


def recurrence(query, key, value, input_gate, forget_gate):
    """Paper's equations, step by step, without stabilisation but with its effect."""
    batch, width = query.shape[:-2], query.shape[-1]
    memory = query.new_zeros(*batch, width, width)
    normalizer = query.new_zeros(*batch, width)
    largest = query.new_full(batch, -torch.inf)
    outputs = []
    for t in range(query.shape[-2]):
        forget = torch.sigmoid(forget_gate[..., t])
        gained = input_gate[..., t].exp()
        k, v = key[..., t, :] / width**0.5, value[..., t, :]
        outer = k.unsqueeze(-1) * v.unsqueeze(-2)
        memory = forget[..., None, None] * memory + gained[..., None, None] * outer
        normalizer = forget[..., None] * normalizer + gained[..., None] * k
        largest = torch.maximum(forget.log() + largest, input_gate[..., t])
        total = torch.einsum("...d,...de->...e", query[..., t, :], memory)
        weight = (query[..., t, :] * normalizer).sum(-1).abs()
        divisor = weight.clamp(min=1.0) + 1e-6 * largest.exp()
        outputs.append(total / divisor[..., None])
    return torch.stack(outputs, -2)


def definition(query, key, value, input_gate, forget_gate):
    """The docstring's double sum, every d[t, s] added up by itself."""
    outputs = []
    log_forget = torch.nn.functional.logsigmoid(forget_gate)
    for t in range(query.shape[-2]):
        logarithms = torch.stack(
            [
                input_gate[..., s] + log_forget[..., s + 1 : t + 1].sum(-1)
                for s in range(t + 1)
            ],
            -1,
        )
        largest = logarithms.amax(-1)
        products = torch.einsum(
            "...d,...sd->...s", query[..., t, :], key[..., : t + 1, :]
        )
        weights = (logarithms - largest[..., None]).exp() * products
        weights = weights / query.shape[-1] ** 0.5
        total = torch.einsum("...s,...sd->...d", weights, value[..., : t + 1, :])
        divisor = torch.maximum(weights.sum(-1).abs(), (-largest).exp()) + 1e-6
        outputs.append(total / divisor[..., None])
    return torch.stack(outputs, -2)


def test_chunks_equal_the_recurrence_for_every_length():
    for steps in range(1, 201):
        inputs = arguments(steps)
        expected = recurrence(*inputs)
        scale = expected.abs().max().clamp(min=1.0)
        assert (mlstm_cell(*inputs) - expected).abs().max() < 1e-10 * scale, steps
        whole = mlstm_cell(*inputs, chunk_length=steps)
        assert (whole - expected).abs().max() < 1e-10 * scale, steps


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 24), chunk_length=st.integers(1, 30), seed=st.integers(0, 999)
)
def test_the_length_of_chunks_changes_nothing(steps, chunk_length, seed):
    torch.manual_seed(seed)
    inputs = arguments(steps, gate_scale=6.0)
    expected = definition(*inputs)
    chunked = mlstm_cell(*inputs, chunk_length=chunk_length)
    torch.testing.assert_close(chunked, expected, rtol=1e-10, atol=1e-10)


def test_steps_one_by_one_equal_the_whole():
    inputs = arguments(90, batch=(3, 2))
    state = MLSTMCellState.initial(inputs[1][..., 0, :])
    outputs = []
    for t in range(90):
        rows = (row[..., t, :] for row in inputs[:3])
        gates = (gate[..., t] for gate in inputs[3:])
        y, state = mlstm_cell_step(state, *rows, *gates)
        outputs.append(y)
    torch.testing.assert_close(
        torch.stack(outputs, -2), mlstm_cell(*inputs), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("chunk_length", [1, 3, 7])
def test_gradients_of_chunks_equal_those_of_the_definition(chunk_length):
    inputs = [part.requires_grad_() for part in arguments(7)]
    expected = torch.autograd.grad(definition(*inputs).square().sum(), inputs)
    y = mlstm_cell(*inputs, chunk_length=chunk_length)
    gradients = torch.autograd.grad(y.square().sum(), inputs)
    torch.testing.assert_close(gradients, expected, rtol=1e-9, atol=1e-9)


def test_no_step_hears_a_later_one():
    inputs = arguments(150)
    changed = [part.clone() for part in inputs]
    for part in changed[:3]:
        part[:, 70] += 1.0
    for part in changed[3:]:
        part[:, 70] += 1.0
    moved = (mlstm_cell(*inputs) - mlstm_cell(*changed)).abs().amax((0, 2)) > 1e-9
    assert not moved[:70].any() and moved[70:75].all()


def test_scaling_the_values_scales_the_output():
    query, key, value, *gates = arguments(90)
    torch.testing.assert_close(
        mlstm_cell(query, key, 3 * value, *gates),
        3 * mlstm_cell(query, key, value, *gates),
    )


def test_float32_stays_close_over_thousands_of_steps():
    inputs = arguments(1921, batch=(1,))
    exact = mlstm_cell(*inputs)
    rounded = mlstm_cell(*(part.float() for part in inputs)).double()
    # Where the weights nearly cancel, the quotient magnifies the rounding.
    assert (rounded - exact).abs().median() < 1e-6


@pytest.mark.parametrize("input_gate", [-300.0, 0.0, 300.0])
@pytest.mark.parametrize("forget_gate", [-300.0, 0.0, 300.0])
def test_extreme_gates_leave_output_and_gradients_finite(input_gate, forget_gate):
    inputs = arguments(130, dtype=torch.float32)
    inputs[3] += input_gate
    inputs[4] += forget_gate
    inputs = [part.requires_grad_() for part in inputs]
    y = mlstm_cell(*inputs)
    gradients = torch.autograd.grad(y.square().sum(), inputs)
    assert all(part.isfinite().all() for part in (y, *gradients))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_serves_any_number_of_sequences_and_steps():
    traced = torch.jit.trace(mlstm_cell, tuple(arguments(5)), check_trace=False)
    for steps in (1, 64, 65, 200):
        inputs = arguments(steps, batch=(3,), gate_scale=6.0)
        torch.testing.assert_close(
            traced(*inputs), mlstm_cell(*inputs), rtol=1e-10, atol=1e-10
        )
