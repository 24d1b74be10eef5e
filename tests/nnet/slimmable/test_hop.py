"""Prepared blocks: the step of the block itself."""

import pytest
import torch

from sesame.nnet.slimmable import FlexDualPathBlock, HopBlock


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_prepared_block_takes_the_step_of_the_block(batch, kernel_size):
    block = FlexDualPathBlock(8, 2, 4, context=3, kernel_size=kernel_size).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    hop = HopBlock(block)
    x = torch.randn(batch, 1, 5, 8, dtype=torch.float64)
    memory = torch.randn(batch, 5, 2, 2, 3, 4, dtype=torch.float64)
    past = torch.randn(batch, 5, kernel_size - 1, 16, dtype=torch.float64)
    slots = torch.arange(batch)[:, None]
    bias = torch.randn(batch * 5, 2, 1, 3, dtype=torch.float64)
    copy = memory.clone()
    with torch.no_grad():
        expected, memory, expected_past = block.step(x, memory, past, slots, bias)
        y, actual_past = hop(x.view(-1, 8), copy, past, slots, bias)
    torch.testing.assert_close(y.view(x.shape), expected)
    torch.testing.assert_close(copy, memory)
    torch.testing.assert_close(actual_past, expected_past)


def test_weights_are_those_of_the_moment_without_gradients():
    block = FlexDualPathBlock(4, 1, 4, context=2)
    hop = HopBlock(block)
    inputs = (torch.zeros(1, 3, 2, 1, 2, 4), torch.zeros(1, 3, 2, 8))
    places = (torch.tensor([[0]]), torch.zeros(1, 1, 1, 2))
    x = torch.randn(3, 4)
    before, _ = hop(x, *inputs, *places)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    after, _ = hop(x, *inputs, *places)
    torch.testing.assert_close(before, after)
    assert not before.requires_grad
