"""Sparse blocks: the context they need and the layers they are made of."""

import pytest

from sesame.models.sparse import noise_context, transformer_layer
from sesame.nnet import GRUFeedForward, MoEFeedForward


@pytest.mark.parametrize(("blocks", "width"), [([], 16), ([0], 0)])
def test_there_is_no_context_without_need(blocks, width):
    assert noise_context(blocks, 2, 9, width) is None


def test_context_has_the_width_asked_for():
    assert noise_context([1], 2, 9, 16).projection.out_features == 16


@pytest.mark.parametrize("blocks", [[2], [-1], [0, 2]])
def test_blocks_that_do_not_exist_are_refused(blocks):
    with pytest.raises(ValueError, match=r"must be in \[0, num_blocks \(2\)\)"):
        noise_context(blocks, 2, 9, 16)


def test_blocks_named_twice_are_refused():
    with pytest.raises(ValueError, match=r"moe_blocks \(\[1, 1\]\) must not repeat"):
        noise_context([1, 1], 2, 9, 16)


@pytest.mark.parametrize(
    ("sparse", "kind"), [(False, GRUFeedForward), (True, MoEFeedForward)]
)
def test_feed_forward_is_dense_or_sparse(sparse, kind):
    layer = transformer_layer(8, 2, sparse, 4, 2, None, 3)
    assert type(layer.feed_forward) is kind
    if sparse:
        assert layer.feed_forward.router.num_experts == 4
