"""Bidirectional parts: mirrored directions of the right kind and size."""

import pytest
import torch

from sesame.models.directions import (
    bidirectional_lstm,
    bidirectional_mamba,
    bidirectional_mlstm,
)

PARTS = {
    "mamba": lambda: bidirectional_mamba(8, 2, 4, 4),
    "mlstm": lambda: bidirectional_mlstm(8, 2, 2, 4),
    "lstm": lambda: bidirectional_lstm(8, 5),
}
every_part = pytest.mark.parametrize("name", PARTS)


@every_part
def test_directions_mirror_each_other(name):
    part = PARTS[name]().double()
    part.backward_layer.load_state_dict(part.forward_layer.state_dict())
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    ahead, back = part(x).chunk(2, dim=-1)
    mirrored, _ = part(x.flip(1)).flip(1).chunk(2, dim=-1)
    torch.testing.assert_close(back, mirrored, rtol=0, atol=1e-12)
    assert not torch.allclose(ahead, back)


@every_part
def test_directions_have_parameters_of_their_own(name):
    part = PARTS[name]()
    ahead, back = part.forward_layer, part.backward_layer
    assert not {id(p) for p in ahead.parameters()} & {id(p) for p in back.parameters()}


def test_a_published_direction_of_mamba_has_65_344_parameters():
    part = bidirectional_mamba(64, expand=4, state_size=16, conv_width=4)
    assert sum(p.numel() for p in part.forward_layer.parameters()) == 65_344
