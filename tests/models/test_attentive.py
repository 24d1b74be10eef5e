"""Blocks with attention: what each argument chooses."""

import pytest

from sesame.models.attentive import attentive_block
from sesame.nnet import AttentiveDualPathBlock, GRUFeedForward


def block(**choice):
    return attentive_block(lambda: GRUFeedForward(4), channels=4, num_heads=2, **choice)


@pytest.mark.parametrize(("shared", "count"), [(True, 1), (False, 2)])
def test_attention_is_one_or_one_per_axis(shared, count):
    assert len(block(shared_attention=shared).attentions) == count


def test_choices_reach_the_block():
    made = block(attention_position="after", axis_order="frequency_time")
    assert made.attention_position == "after"
    assert made.axis_order == "frequency_time"


def test_without_a_position_there_is_no_attention():
    assert not isinstance(block(attention_position=None), AttentiveDualPathBlock)


def test_halves_have_layers_of_their_own():
    made = block()
    assert made.time_layer is not made.frequency_layer
