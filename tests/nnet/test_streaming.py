"""States: batches of streams taken apart, joined and reset; slots of a ring."""

import pytest
import torch

from sesame.nnet.streaming import (
    RingBiases,
    Stream,
    StreamState,
    ring_slots,
    write_slots,
)


def state(batch=3, **settings):
    tensors = {
        "seen": torch.arange(batch),
        "memory": torch.randn(batch, 2, 5, 4),
        "voice": torch.randn(batch, 2),
    }
    return StreamState(tensors, settings, {"memory": 2, "voice": None})


def test_taking_and_joining_are_indexing_and_concatenation():
    whole = state()
    parts = [whole.take([2]), whole.take(torch.tensor([True, True, False]))]
    joined = StreamState.join(parts)
    assert (joined.batch_size, whole.batch_size) == (3, 3)
    for name, tensor in joined.tensors.items():
        assert torch.equal(tensor, whole.tensors[name][[2, 0, 1]])
    assert joined.constants == whole.constants


def test_copies_share_no_memory():
    whole = state()
    for copy in (whole.clone(), whole.take([0, 1, 2]), StreamState.join([whole])):
        copy.tensors["memory"].zero_()
    assert whole.tensors["memory"].any()


def test_a_reset_leaves_other_streams_and_constants_alone():
    whole = state()
    before = whole.clone().tensors
    whole.reset([1])
    assert whole.tensors["seen"].tolist() == [0, 0, 2]
    memory = whole.tensors["memory"]
    assert torch.equal(memory[[0, 2]], before["memory"][[0, 2]])
    assert torch.equal(memory[1, :, :2], before["memory"][1, :, :2])
    assert not memory[1, :, 2:].any()
    assert torch.equal(whole.tensors["voice"], before["voice"])
    whole.reset()
    assert not whole.tensors["memory"][:, :, 2:].any()


def test_a_reset_heals_a_stream_that_has_met_nan():
    whole = state()
    whole.tensors["memory"][0, :, 2:] = torch.nan
    whole.reset(torch.tensor([True, False, False]))
    assert whole.tensors["memory"].isfinite().all()


def test_memory_is_counted_in_bytes():
    assert state(2).num_bytes == 2 * 8 + 2 * 40 * 4 + 2 * 2 * 4


def test_streams_of_other_settings_do_not_join():
    with pytest.raises(ValueError, match=r"settings \({'rate': 2}\) must be those"):
        StreamState.join([state(rate=1), state(rate=2)])
    with pytest.raises(ValueError, match="must be at least one"):
        StreamState.join([])


def test_a_stream_keeps_its_state():
    def step(x, state, gain):
        total = state.tensors["total"] + gain * x
        return total, StreamState({"total": total})

    stream = Stream(step, StreamState({"total": torch.zeros(2)}))
    stream(torch.ones(2), 2)
    assert stream(torch.ones(2), 3).tolist() == [5, 5]
    stream.reset([0])
    assert stream(torch.zeros(2), 0).tolist() == [0, 5]


@pytest.mark.parametrize("blocks", [[1] * 12, [3, 1, 2, 5, 1], [7, 4, 1]])
@pytest.mark.parametrize("num_tokens", [0, 2])
def test_each_slot_is_as_far_back_as_what_it_holds(blocks, num_tokens):
    """Slots hold the numbers of steps; a second stream starts three steps later."""
    context = 4
    seen, tokens = torch.tensor([3, 0]), torch.tensor([2, 1])
    memory = torch.full((2, num_tokens + context, 1), -100)
    for step in range(3):
        memory[0, num_tokens + step] = step
    for count in blocks:
        slots, rows = ring_slots(seen, count, context, tokens, num_tokens)
        new = seen[:, None] + torch.arange(count)
        values = new[:, -context:, None]
        if count == 1:
            keys = write_slots(memory, slots, values)[..., 0]
        else:
            keys = torch.cat((memory[..., 0], new), dim=1)
            write_slots(memory, slots, values)
        for stream in range(2):
            for step in range(count):
                now = int(new[stream, step])
                row = rows[stream, step]
                held = keys[stream, num_tokens:]
                near = (held >= 0) & (held <= now) & (held > now - context)
                expected = torch.where(near, now - held, context + 1)
                assert torch.equal(row[num_tokens:], expected)
                assert near.sum() == min(now + 1, context)
                fixed = [context, context if stream == 0 else context + 1]
                assert row[:num_tokens].tolist() == fixed[:num_tokens]
        seen = seen + count


@pytest.mark.parametrize("num_tokens", [0, 2])
@pytest.mark.parametrize("context", [1, 4])
def test_biases_are_what_the_table_has_for_the_rows(context, num_tokens):
    table = torch.randn(3, 2, context + 2)
    biases, filled = RingBiases(table), torch.tensor([1])
    for seen in torch.arange(3 * context + 1):
        # One step of one stream comes from another table, its neighbour from rows.
        for steps, streams in ((1, 1), (1, 2), (3, 1)):
            arguments = seen + torch.arange(streams), steps, filled.expand(streams)
            slots, found = biases(*arguments, num_tokens)
            places, rows = ring_slots(
                arguments[0], steps, context, arguments[2], num_tokens
            )
            assert torch.equal(slots, places)
            expected = table[:, :, rows].transpose(1, 2)
            assert torch.equal(found, expected)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_slots_are_written_in_place_but_not_by_a_trace():
    slots, values = torch.tensor([[1], [2]]), torch.ones(2, 1, 1)
    memory = torch.zeros(2, 3, 1)
    assert write_slots(memory, slots, values) is memory
    assert memory[..., 0].tolist() == [[0, 1, 0], [0, 0, 1]]
    zeros = torch.zeros(2, 3, 1)
    traced = torch.jit.trace(write_slots, (zeros, slots, values), check_trace=False)
    untouched = torch.zeros(2, 3, 1)
    assert torch.equal(traced(untouched, slots, values), memory)
    assert not untouched.any()
