"""The Triton scan equals the loop: interpreted on a CPU, compiled where there is a GPU.

Run as a program, this file prints the errors of the interpreted kernels as JSON.
"""

import json
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from sesame.nnet.selective_scan.reference import scan_reference
from sesame.nnet.selective_scan.triton_scan import scan_triton

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("y", "u", "delta", "A", "B", "C", "D")
# Types of u, B, C and of delta, which autocast leaves in float32, and tolerances.
TYPES = {
    "float32": (torch.float32, torch.float32, 1e-5),
    "float16": (torch.float16, torch.float16, 2e-3),
    "bfloat16": (torch.bfloat16, torch.bfloat16, 1e-2),
    "autocast": (torch.bfloat16, torch.float32, 1e-2),
}
# (S, I, P): every remainder of S by 4, one and several blocks of channels, of which
# the last is not full, and sizes of the state that are no power of two.
SIZES = [
    (1, 5, 4),
    (2, 33, 16),
    (3, 1, 16),
    (4, 32, 16),
    (5, 130, 4),
    (9, 37, 3),
    (9, 17, 20),
    (17, 40, 16),
    (6, 3, 1),
]
CASES = [
    *((*size, reverse, "float32") for size in SIZES for reverse in (False, True)),
    (9, 37, 16, False, "bfloat16"),
    (9, 37, 16, True, "bfloat16"),
    (9, 37, 16, True, "float16"),
    (9, 37, 16, True, "autocast"),
]
on_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


def _inputs(
    num_sequences, num_steps, num_channels, state_size, types="float32", device="cpu"
):
    """Inputs of the scan and a gradient of y, strided as layers leave them."""
    dtype, delta_dtype, _ = TYPES[types]
    sizes = num_sequences, num_channels, num_steps
    u, delta, y_grad = torch.randn(3, *sizes, device=device).transpose(2, 3)
    u, delta, y_grad = u.to(dtype), delta.to(delta_dtype), y_grad.to(dtype)
    weights = torch.randn(num_sequences, num_steps, 2 * state_size, device=device)
    B, C = weights.to(dtype).chunk(2, 2)
    A = -torch.rand(num_channels, state_size, device=device) * 8 - 0.1
    D = torch.randn(num_channels, device=device)
    delta = torch.nn.functional.softplus(delta - 2)
    return [x.requires_grad_() for x in (u, delta, A, B, C, D)], y_grad


def _results(scan, inputs, y_grad, reverse):
    y = scan(*inputs, reverse)
    return [y, *torch.autograd.grad(y, inputs, y_grad)]


def _errors(*sizes, reverse, types, device="cpu"):
    """Greatest error of y and of each gradient over the greatest expected value.

    Where only zeros are expected, as for A after one step, the error is not divided.
    """
    inputs, y_grad = _inputs(*sizes, types, device)
    exact = [x.detach().double().requires_grad_() for x in inputs]
    expected = _results(scan_reference, exact, y_grad.double(), reverse)
    actual = _results(scan_triton, inputs, y_grad, reverse)
    return {
        name: (a - e).abs().max().item() / (e.abs().max().item() or 1.0)
        for name, a, e in zip(NAMES, actual, expected, strict=True)
    }


def _main():
    torch.manual_seed(0)
    errors = [
        _errors(2, *sizes, reverse=reverse, types=types)
        for *sizes, reverse, types in CASES
    ]
    inputs, _ = _inputs(2, 9, 5, 4)
    with torch.no_grad():
        y = scan_triton(*inputs)
    same = not y.requires_grad and torch.equal(y, scan_triton(*inputs))
    print(json.dumps({"errors": errors, "no_grad_is_the_same": same}))


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: f"{CASES[i]}")
def test_interpreted_kernels_equal_the_loop_with_all_gradients(interpreted, case):
    errors = interpreted["errors"][case]
    assert list(errors) == list(NAMES)
    tolerance = TYPES[CASES[case][-1]][2]
    assert not {name: e for name, e in errors.items() if not e <= tolerance}


def test_output_is_the_same_where_no_gradient_is_needed(interpreted):
    assert interpreted["no_grad_is_the_same"]


@pytest.mark.parametrize("position", range(len(NAMES) - 1))
def test_float64_is_refused_with_the_form_that_takes_it(position):
    inputs, _ = _inputs(1, 2, 3, 4)
    inputs[position] = inputs[position].double()
    rule = rf"{NAMES[position + 1]} \(torch.float64\) must be .*form='sequential'"
    with pytest.raises(ValueError, match=rule):
        scan_triton(*inputs)


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
@pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="needs Triton's compiler")
def test_tensors_on_a_cpu_are_refused_with_the_form_that_takes_them():
    inputs, _ = _inputs(1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"u \(cpu\) must be .*form='sequential'"):
        scan_triton(*inputs)


def test_module_needs_triton_only_when_called(monkeypatch):
    package = scan_triton.__module__.rpartition(".")[0]
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, f"{package}.triton_kernels", raising=False)
    monkeypatch.delattr(sys.modules[package], "triton_kernels", raising=False)
    module = runpy.run_path(ROOT / "sesame/nnet/selective_scan/triton_scan.py")
    inputs, _ = _inputs(1, 2, 3, 4)
    with pytest.raises(ImportError, match="pip install triton"):
        module["scan_triton"](*inputs)


@on_cuda
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("sizes", [(5, 101, 256, 16), (3, 321, 200, 16), (2, 64, 9, 5)])
def test_compiled_kernels_equal_the_loop_with_all_gradients(sizes, types, reverse):
    errors = _errors(*sizes, reverse=reverse, types=types, device="cuda")
    tolerance = TYPES[types][2]
    assert not {name: e for name, e in errors.items() if not e <= tolerance}


@on_cuda
@pytest.mark.parametrize("num_steps", [*range(1, 21), *range(21, 401, 19), 400])
def test_compiled_kernels_take_every_length(num_steps):
    for reverse in (False, True):
        errors = _errors(
            2, num_steps, 40, 16, reverse=reverse, types="float32", device="cuda"
        )
        assert not {name: e for name, e in errors.items() if not e <= 1e-5}


@on_cuda
def test_gradients_are_the_same_bit_for_bit():
    inputs, y_grad = _inputs(64, 101, 256, 16, "bfloat16", "cuda")
    first, second = (_results(scan_triton, inputs, y_grad, False) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@on_cuda
def test_states_are_stored_only_where_a_gradient_is_needed():
    inputs, _ = _inputs(64, 100, 256, 16, "float32", "cuda")
    inputs = [x.detach().contiguous().requires_grad_() for x in inputs]
    stored = []
    for enabled in (False, True):
        before = torch.cuda.memory_allocated()
        with torch.set_grad_enabled(enabled):
            y = scan_triton(*inputs)
        stored.append(torch.cuda.memory_allocated() - before - y.nbytes)
        del y
    assert stored == [0, 64 * 25 * 256 * 16 * 4]


@on_cuda
def test_rows_beyond_32_bits_are_reached():
    # 2.2e9 entries of u; the last sequences alone must give the same.
    sizes = 2048, 4096, 264, 1
    if torch.cuda.mem_get_info()[0] < 24e9:
        pytest.skip("needs 24 GB of GPU memory")
    u = torch.randn(*sizes[:3], dtype=torch.bfloat16, device="cuda")
    delta = torch.rand_like(u)
    B, C = torch.randn(2, *sizes[:2], 1, dtype=torch.bfloat16, device="cuda")
    A, D = -torch.ones(264, 1, device="cuda"), torch.ones(264, device="cuda")
    with torch.no_grad():
        y = scan_triton(u, delta, A, B, C, D)[-2:]
        tail = [x[-2:] for x in (u, delta, B, C)]
        assert torch.equal(y, scan_triton(*tail[:2], A, *tail[2:], D))


if __name__ == "__main__":
    _main()
