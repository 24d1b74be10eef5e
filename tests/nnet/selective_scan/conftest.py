"""What the tests of the scans share: inputs, comparison, Triton without a GPU."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from sesame.nnet.selective_scan.reference import scan_reference

NAMES = ("y", "u", "delta", "A", "B", "C", "D")


@pytest.fixture(scope="module")
def interpreted(request):
    """What the test file prints, as JSON, when run with Triton's interpreter."""
    if find_spec("triton") is None:
        pytest.skip("needs Triton")
    root = str(Path(__file__).resolve().parents[3])
    run = subprocess.run(
        [sys.executable, Path(__file__).with_name("interpret.py"), request.path],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _draw(size, dtype=torch.float64, seed=0):
    num_sequences, num_steps, num_channels, state_size = size
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    wide = num_sequences, num_steps, num_channels
    slim = num_sequences, num_steps, state_size
    inputs = [
        normal(*wide),
        torch.nn.functional.softplus(normal(*wide) - 1),
        -normal(num_channels, state_size).exp(),
        normal(*slim),
        normal(*slim),
        normal(num_channels),
    ]
    return [x.requires_grad_() for x in inputs]


@pytest.fixture
def draw_inputs():
    """(N, S, I, P), type, seed -> u, delta, A, B, C, D that require gradients."""
    return _draw


@pytest.fixture
def assert_equals_reference():
    """Compares y and all gradients of a scan with those of the loop in float64."""

    def check(scan, inputs, reverse, tolerance):
        exact = [x.detach().double().requires_grad_() for x in inputs]
        expected = scan_reference(*exact, reverse)
        # A curved objective, so that the incoming gradient varies.
        y_grad = expected.detach().cos()
        actual = scan(*inputs, reverse)
        assert actual.dtype == inputs[0].dtype
        results = [actual, *torch.autograd.grad(actual, inputs, y_grad.to(actual))]
        exact = [expected, *torch.autograd.grad(expected, exact, y_grad)]
        for name, got, wanted in zip(NAMES, results, exact, strict=True):
            error, scale = (got.double() - wanted).abs().max(), wanted.abs().max()
            assert error <= tolerance * scale, f"{name}: {error:.1e} of {scale:.1e}"

    return check
