"""Two directions side by side."""

import torch
from torch import nn

from sesame.nnet import Bidirectional, Mamba, PreNormResidual


def both():
    directions = [
        PreNormResidual(nn.RMSNorm(4), Mamba(4, expand=1, reverse=reverse))
        for reverse in (False, True)
    ]
    return Bidirectional(4, *directions).double()


def test_forward_half_comes_first_and_each_half_has_its_layer():
    layer = both()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    expected = torch.cat((layer.forward_layer(x), layer.backward_layer(x)), dim=-1)
    assert torch.equal(layer(x), expected)
    assert layer.out_channels == expected.shape[-1]


def test_halves_see_the_past_and_the_future():
    layer = both()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    y = x.clone()
    y[0, 2] += 1.0
    moved = (layer(x) - layer(y)).abs()[0] > 1e-12
    assert moved[:, :4].any(1).tolist() == [False, False, True, True, True]
    assert moved[:, 4:].any(1).tolist() == [True, True, True, False, False]


def test_flipping_time_swaps_the_halves_of_mirrored_layers():
    layer = both()
    layer.backward_layer.load_state_dict(layer.forward_layer.state_dict())
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    swapped = layer(x.flip(1)).flip(1).roll(4, dims=2)
    torch.testing.assert_close(layer(x), swapped, rtol=0, atol=1e-12)


def test_residual_adds_what_the_mixer_makes_of_the_normalised_input():
    norm = nn.LayerNorm(4).double()
    layer = PreNormResidual(norm, nn.Tanh())
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    assert torch.equal(layer(x), x + norm(x).tanh())
