"""The learnable sigmoid: bounded, with one slope per feature, on dimension 1."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sesame.nnet import LearnableSigmoid


@given(beta=st.floats(0.1, 10.0), value=st.floats(-5.0, 5.0))
def test_starts_as_a_sigmoid_with_ceiling_beta(beta, value):
    x = torch.full((1, 3), value, dtype=torch.float64)
    expected = beta / (1 + torch.exp(-x))
    assert torch.allclose(LearnableSigmoid(3, beta).double()(x), expected)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 5), (2, 4, 5, 3)])
def test_each_slope_moves_only_its_feature_on_dimension_one(shape):
    layer = LearnableSigmoid(4)
    x = torch.randn(shape)
    before = layer(x)
    with torch.no_grad():
        layer.slope[2] = 3.0
    changed = (layer(x) != before).transpose(0, 1).flatten(1).any(1)
    assert changed.tolist() == [False, False, True, False]
    assert torch.allclose(layer(x)[:, 2], torch.sigmoid(3.0 * x[:, 2]))


def test_zero_slope_gives_half_of_the_ceiling():
    layer = LearnableSigmoid(3, beta=2.0)
    torch.nn.init.zeros_(layer.slope)
    assert torch.equal(layer(torch.randn(2, 3, 4)), torch.ones(2, 3, 4))


def test_slope_receives_a_gradient():
    layer = LearnableSigmoid(3)
    layer(torch.rand(2, 3, 4) + 1).sum().backward()
    assert (layer.slope.grad > 0).all()
