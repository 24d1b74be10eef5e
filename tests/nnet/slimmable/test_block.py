"""Dual-path block: frames see themselves and the past; steps are the whole."""

import pytest
import torch

from sesame.nnet.slimmable import FlexDualPathBlock, prefix_state_dict
from sesame.nnet.streaming import ring_slots

CONTEXT = 4


def block_and_input(frames=11, channels=8, batch=2):
    block = FlexDualPathBlock(8, 4, 2, CONTEXT).double()
    torch.nn.init.normal_(block.time_attention.biases)
    return block, torch.randn(batch, frames, 5, channels, dtype=torch.float64)


def stream(block, x, blocks, tokens=None):
    """Step by step, with the bias table looked up by hand."""
    batch, _, bands, channels = x.shape
    heads, slots = channels // 2, 0 if tokens is None else 3
    memory = x.new_zeros(batch, bands, 2, heads, slots + CONTEXT, 2)
    filled = torch.zeros(batch, dtype=torch.int64)
    if tokens is not None:
        memory[..., : tokens.shape[-2], :] = tokens
        filled += tokens.shape[-2]
    past = x.new_zeros(batch, bands, 2, 2 * channels)
    table = block.time_attention.biases[:heads].detach()
    table = torch.nn.functional.pad(table, (0, 1), value=-torch.inf)
    seen, outputs = torch.zeros(batch, dtype=torch.int64), []
    with torch.no_grad():
        for frames in x.split(blocks, dim=1):
            count = frames.shape[1]
            places, rows = ring_slots(seen, count, CONTEXT, filled, slots)
            bias = table[:, rows].transpose(0, 1).repeat_interleave(bands, 0)
            y, memory, past = block.step(frames, memory, past, places, bias)
            seen = seen + count
            outputs.append(y)
    return torch.cat(outputs, dim=1)


@pytest.mark.parametrize("blocks", [[1] * 11, [2, 1, 5, 3], [11], [9, 1, 1]])
@pytest.mark.parametrize("channels", [4, 8])
@pytest.mark.parametrize("num_tokens", [0, 2, 3])
def test_steps_are_the_whole(blocks, channels, num_tokens):
    block, x = block_and_input(channels=channels)
    tokens = None
    if num_tokens:
        voice = torch.randn(2, num_tokens, 5, channels, dtype=torch.float64)
        tokens = block.enroll(voice, 3)[0].detach()
    actual = stream(block, x, blocks, tokens)
    torch.testing.assert_close(actual, block(x, tokens), rtol=1e-11, atol=1e-11)


def test_a_frame_sees_every_band_and_no_later_frame():
    block, x = block_and_input()
    changed = x.clone()
    changed[:, 6, 2] += 1
    different = (block(x) - block(changed)).abs().amax((0, 3)) > 0
    assert not different[:6].any()
    assert different[6].all()


def test_enrollment_is_pooled_over_time():
    block, x = block_and_input(frames=12)
    tokens, after = block.enroll(x, 4)
    assert tokens.shape == (2, 5, 2, 4, 4, 2)
    torch.testing.assert_close(after, block(x))
    frames = block.time_attention_norm(block.along_bands(x).transpose(1, 2))
    means = frames.unflatten(2, (4, 3)).mean(3).flatten(0, 1)
    expected = block.time_attention.project(means)[1].unflatten(0, (2, 5))
    torch.testing.assert_close(tokens, expected)


def test_a_short_enrollment_is_kept_as_it_is():
    block, x = block_and_input(frames=3)
    assert block.enroll(x, 4)[0].shape[-2] == 3


def test_streams_and_batch_mates_do_not_meet():
    block, x = block_and_input()
    torch.testing.assert_close(block(x)[1:], block(x[1:]), rtol=1e-12, atol=1e-12)


def test_a_prefix_on_its_own_gives_the_same_to_the_last_bit():
    block, smaller = (FlexDualPathBlock(c, c // 16, 16, 5) for c in (96, 32))
    smaller.load_state_dict(prefix_state_dict(block, smaller))
    x = torch.randn(2, 13, 6, 32)
    assert torch.equal(smaller(x), block(x))
