"""Continuation: exact for tones, in parts the same, nothing where all is heard."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sesame.features.continuation import Continuation, continue_spectrum

LONGEST = 20  # frames


def spirals(frames, bins=5, batch=2):
    """Bins that turn at speeds of their own, and do not change in size."""
    speed = torch.linspace(-3, 3, bins, dtype=torch.float64)
    phase = speed * torch.arange(frames, dtype=torch.float64)[:, None]
    size = torch.rand(batch, 1, bins, dtype=torch.float64) + 0.1
    return torch.view_as_real(torch.polar(size, phase.expand(batch, -1, -1)))


def silenced(spectrum, heard):
    return spectrum * heard[:, :, None, None]


def taken_in_parts(spectrum, heard, sizes):
    memory = Continuation.initial(torch.zeros_like(spectrum[:, 0]))
    parts = []
    for frames, whole in zip(
        spectrum.split(sizes, 1), heard.split(sizes, 1), strict=True
    ):
        part, memory = memory.step(frames, whole)
        parts.append(torch.zeros_like(frames) if part is None else part)
    return torch.cat(parts, dim=1)


@pytest.mark.parametrize("gap", [1, 2, 7, LONGEST])
def test_what_turns_evenly_goes_on_as_it_would_have(gap):
    x = spirals(5 + gap)
    heard = torch.arange(5 + gap).lt(5).expand(2, -1)
    y = continue_spectrum(silenced(x, heard), heard)
    torch.testing.assert_close(y[:, 5:], x[:, 5:])
    assert not y[:, :5].any()


def test_it_ends_after_200_ms():
    heard = torch.arange(30).lt(4).expand(2, -1)
    y = continue_spectrum(silenced(spirals(30), heard), heard)
    assert y[:, 4 : 4 + LONGEST].abs().amax((0, 2, 3)).all()
    assert not y[:, 4 + LONGEST :].any()


def test_a_frame_that_is_heard_on_its_own_keeps_the_turn_of_before():
    x = spirals(9)
    heard = torch.tensor([[1, 1, 0, 0, 1, 0, 0, 0, 0]]).bool().expand(2, -1)
    x[:, 4:] *= 3
    y = continue_spectrum(silenced(x, heard), heard)
    torch.testing.assert_close(y[:, 5:], x[:, 5:])


@pytest.mark.parametrize("pattern", [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 1]])
def test_there_is_nothing_to_go_on_from_before_two_frames(pattern):
    heard = torch.tensor(pattern).bool().expand(2, -1)
    x = spirals(3)
    assert not continue_spectrum(x, heard).any()
    assert not taken_in_parts(x, heard, [1, 2]).any()


patterns = st.lists(st.booleans(), min_size=1, max_size=60)
runs = st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=6)
long_patterns = runs.map(lambda runs: [flag for flag, n in runs for _ in range(n)])


@given(patterns | long_patterns, st.integers(1, 9), st.integers(0, 99))
def test_any_cut_gives_the_whole(pattern, size, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, len(pattern), 4, 2, generator=generator, dtype=torch.float64)
    x[:, :, 3] = 0
    heard = torch.tensor([pattern, pattern[::-1]])
    expected = continue_spectrum(x, heard)
    torch.testing.assert_close(taken_in_parts(x, heard, size), expected)
    assert not expected[heard].any()


@given(long_patterns, st.integers(0, 99))
def test_no_frame_knows_of_a_later_one(pattern, place):
    place = place % len(pattern)
    x, heard = spirals(len(pattern)), torch.tensor([pattern, pattern[::-1]])
    y = continue_spectrum(x, heard)
    x[:, place:] += 1
    heard[:, place:] = ~heard[:, place:]
    changed = continue_spectrum(x, heard)
    assert torch.equal(y[:, :place], changed[:, :place])
    # Of its own frame, only whether it is heard.
    both = continue_spectrum(x, heard | True)
    assert not both.any()


def test_a_trace_gives_the_same():
    x, heard = torch.randn(2, 30, 4, 2), torch.rand(2, 30) > 0.4

    def step(frame, whole, *memory):
        y, memory = Continuation(*memory).step(frame, whole)
        return y, *memory

    memory = Continuation.initial(torch.zeros(2, 4, 2))
    traced = torch.jit.trace(step, (x[:, :1], heard[:, :1], *memory), check_trace=False)
    parts = []
    for frame, whole in zip(x.split(1, 1), heard.split(1, 1), strict=True):
        part, *memory = traced(frame, whole, *memory)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), continue_spectrum(x, heard))


@pytest.mark.parametrize("scale", [0.0, 1e-38, 1e-20, 1.0])
def test_gradients_are_finite_and_reach_the_last_frame(scale):
    x = (scale * torch.randn(1, 6, 4, 2)).requires_grad_()
    heard = torch.tensor([[True, True, True, False, False, False]])
    y = continue_spectrum(x, heard)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert x.grad[:, 2].any() == (scale == 1.0) or scale == 1e-20
    assert not x.grad[:, 3:].any()


def test_what_is_not_a_number_does_not_stay():
    x = spirals(12)
    x[:, 3] = torch.nan
    heard = torch.ones(2, 12, dtype=torch.bool)
    heard[:, 9:] = False
    for y in (continue_spectrum(x, heard), taken_in_parts(x, heard, 1)):
        torch.testing.assert_close(y[:, 9:], x[:, 9:])
        assert not y[:, :9].any()
