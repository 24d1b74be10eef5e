"""Laws of the precision rule."""

import pytest
import torch

from sesame.features import at_least_float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_without_changing_a_value(dtype):
    half = torch.tensor([0.1, -3.0, 1e-3]).to(dtype)
    wide = at_least_float32(half)
    assert wide.dtype == torch.float32
    assert torch.equal(wide.to(dtype), half)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_is_the_same_tensor(dtype):
    tensor = torch.ones(3, dtype=dtype)
    assert at_least_float32(tensor) is tensor
