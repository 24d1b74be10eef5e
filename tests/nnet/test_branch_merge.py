"""Merging two branches by cross-attention."""

import pytest
import torch

from sesame.nnet import CrossAttentionMerge


@pytest.fixture
def merge():
    return CrossAttentionMerge(channels=4, num_heads=2).double()


def branches(steps=5):
    return torch.randn(2, 2, steps, 4, dtype=torch.float64).unbind(0)


def test_exchanging_branches_and_their_layers_changes_nothing(merge):
    first, second = branches()
    expected = merge(first, second)
    exchanged = CrossAttentionMerge(channels=4, num_heads=2).double()
    names = {"first": "second", "second": "first"}
    state = {
        ".".join([names_of(part, names) for part in name.split(".")]): value
        for name, value in merge.state_dict().items()
    }
    state["projection.weight"] = merge.projection.weight.roll(4, dims=1)
    exchanged.load_state_dict(state)
    torch.testing.assert_close(exchanged(second, first), expected, rtol=0, atol=1e-12)


def names_of(part, names):
    for name, other in names.items():
        if part.startswith(f"{name}_"):
            return part.replace(name, other)
    return part


def test_every_step_learns_of_every_step_of_the_other_branch(merge):
    first, second = branches()
    other = second.clone()
    other[1, 3] += torch.randn(4).double()
    moved = (merge(first, second) - merge(first, other)).abs().amax(2) > 1e-12
    assert moved.tolist() == [[False] * 5, [True] * 5]


def test_silent_attention_leaves_a_linear_map_of_both_branches(merge):
    for attention in (merge.first_attention, merge.second_attention):
        torch.nn.init.zeros_(attention.out_projection.weight)
    first, second = branches()
    joined = torch.cat((first, second), dim=-1)
    torch.testing.assert_close(
        merge(first, second), merge.projection(joined), rtol=0, atol=1e-12
    )
