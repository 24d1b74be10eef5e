"""Tiles of two-layer experts: equal to the loop, and never look at the values."""

import pytest
import torch

from sesame.nnet.moe import swish_tiled
from sesame.nnet.moe.swish_tiled import tiled_swish_experts

CASES = [(37, 1, 5, 1), (37, 1, 5, 3), (7, 6, 4, 1), (7, 6, 4, 2), (1, 1, 1, 1)]


@pytest.mark.parametrize("tile", [1, 4, 128])
@pytest.mark.parametrize(("num_blocks", "length", "num_experts", "top_k"), CASES)
def test_tiles_equal_the_loop_with_all_gradients(
    assert_equals_swish_loop, monkeypatch, num_blocks, length, num_experts, top_k, tile
):
    monkeypatch.setattr(swish_tiled, "_TILE", tile)
    assert_equals_swish_loop(
        tiled_swish_experts, num_blocks, length, num_experts, top_k
    )


@pytest.mark.parametrize("length", [1, 3])
def test_idle_experts_get_zero_gradients(assert_equals_swish_loop, length):
    assert_equals_swish_loop(tiled_swish_experts, 11, length, 7, 2, used=3)


@pytest.mark.parametrize("tile", [1, 3, 4])
def test_the_worst_division_of_the_tokens_fits_into_the_tiles(
    assert_equals_swish_loop, monkeypatch, tile
):
    # All tokens with one expert, and one token too many in every tile.
    monkeypatch.setattr(swish_tiled, "_TILE", tile)
    for num_tokens in range(1, 10):
        assert_equals_swish_loop(tiled_swish_experts, num_tokens, 1, 3, 1, used=1)
        assert_equals_swish_loop(tiled_swish_experts, num_tokens, 1, 3, 3)


@pytest.mark.parametrize("length", [1, 3])
def test_tiles_never_wait_for_a_value(length):
    # A meta tensor has a shape and no values: whatever would synchronise raises.
    with torch.device("meta"):
        parameters = [torch.randn(4, 6, 8), torch.randn(4, 8)]
        parameters += [torch.randn(4, 8, 6), torch.randn(4, 6)]
        ids = torch.zeros(9, 2, dtype=torch.int64)
        tokens, weights = torch.randn(9, length, 6), torch.rand(9, 2)
        output = tiled_swish_experts(tokens, *parameters, ids, weights)
    assert output.shape == (9, length, 6)


def test_tiles_are_one_graph():
    compiled = torch.compile(tiled_swish_experts, backend="eager", fullgraph=True)
    parameters = [torch.randn(4, 6, 8), torch.randn(4, 8)]
    parameters += [torch.randn(4, 8, 6), torch.randn(4, 6)]
    ids, weights = torch.rand(9, 4).topk(2).indices, torch.rand(9, 2)
    arguments = (torch.randn(9, 1, 6), *parameters, ids, weights)
    torch.testing.assert_close(compiled(*arguments), tiled_swish_experts(*arguments))
