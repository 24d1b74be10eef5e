import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sesame.inference.overlap import (
    BlockQueue,
    chunk_spans,
    overlap_add,
    window_spans,
)

STEP = 4


@st.composite
def plans(draw):
    """Length, window, context and fade that fit together, and sizes of blocks."""
    context = draw(st.integers(0, 3)) * STEP
    fade = draw(st.integers(0, 3)) * STEP
    window = 2 * context + 2 * fade + draw(st.integers(1, 10)) * STEP
    length = draw(st.integers(1, 6 * window))
    size = draw(st.integers(1, 2 * window))
    return length, window, context, fade, size


def blocks_of(signal, size):
    for start in range(0, signal.shape[-1], size):
        yield signal[:, start : start + size]


@given(plans())
def test_windows_cover_the_signal_on_a_grid(plan):
    length, window, context, fade, _ = plan
    overlap = 2 * context + fade
    spans = window_spans(length, window, overlap, STEP)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(start % STEP == 0 for start, _ in spans)
    assert all(end - start == window for start, end in spans[:-1])
    if len(spans) > 1:
        assert window <= spans[-1][1] - spans[-1][0] < window + STEP
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end - start >= overlap


@given(st.integers(1, 500), st.integers(1, 200), st.integers(1, 300))
def test_chunks_tile_the_signal_and_only_the_last_is_shorter(length, chunk, size):
    spans = chunk_spans(length, chunk)
    lengths = [end - start for start, end in spans]
    assert sum(lengths) == length and 1 <= lengths[-1] <= chunk
    assert set(lengths[:-1]) <= {chunk}
    signal = np.random.default_rng(0).standard_normal((2, length)).astype("f4")
    heard = []
    pieces = overlap_add(
        blocks_of(signal, size), spans, 0, 0, lambda x: heard.append(x) or 2 * x
    )
    np.testing.assert_array_equal(np.concatenate(list(pieces), axis=-1), 2 * signal)
    assert [x.shape[-1] for x in heard] == lengths


@given(plans())
def test_what_both_windows_agree_on_comes_out_unchanged(plan):
    length, window, context, fade, size = plan
    signal = np.random.default_rng(0).standard_normal((2, length)).astype(np.float32)
    spans = window_spans(length, window, 2 * context + fade, STEP)
    pieces = overlap_add(blocks_of(signal, size), spans, context, fade, lambda x: x)
    np.testing.assert_array_equal(np.concatenate(list(pieces), axis=-1), signal)


@given(plans())
def test_windows_equal_one_pass_for_what_reaches_no_further_than_the_context(plan):
    length, window, context, fade, size = plan
    signal = np.random.default_rng(0).standard_normal((1, length)).astype(np.float32)
    kernel = np.ones(2 * context + 1)

    def smooth(x):
        return np.convolve(x[0], kernel)[context : context + x.shape[-1]][None]

    spans = window_spans(length, window, 2 * context + fade, STEP)
    pieces = overlap_add(blocks_of(signal, size), spans, context, fade, smooth)
    whole = np.concatenate(list(pieces), axis=-1)
    np.testing.assert_allclose(whole, smooth(signal), rtol=0, atol=1e-5)


def test_windows_that_disagree_fade_into_each_other_without_a_step():
    spans = window_spans(300, window=100, overlap=40, step=STEP)
    values = iter(range(len(spans)))
    pieces = overlap_add(
        [np.zeros((1, 300), dtype=np.float32)],
        spans,
        context=10,
        fade=20,
        process=lambda x: np.full_like(x, next(values)),
    )
    whole = np.concatenate(list(pieces), axis=-1)[0]
    assert whole[0] == 0 and whole[-1] == len(spans) - 1
    assert 0 <= np.diff(whole).min() and np.diff(whole).max() <= 1 / 20 + 1e-6


@given(st.lists(st.integers(0, 9), max_size=9), st.lists(st.integers(0, 9)))
def test_a_queue_hands_out_every_sample_once_and_in_order(sizes, portions):
    signal = np.arange(2 * sum(sizes)).reshape(2, -1)
    edges = np.cumsum([0, *sizes])
    blocks = [signal[:, a:b] for a, b in itertools.pairwise(edges)]
    queue = BlockQueue(blocks)
    taken = [queue.take(portion) for portion in [*portions, 99]]
    whole = np.concatenate([t for t in taken if t.size] or [signal[:, :0]], axis=-1)
    np.testing.assert_array_equal(whole, signal)
    done = 0
    for portion, got in zip(portions, taken, strict=False):
        assert got.shape[-1] == min(portion, signal.shape[-1] - done)
        done += got.shape[-1]


@pytest.mark.parametrize("window, overlap", [(10, 4), (12, 6), (12, 12), (8, 12)])
def test_windows_off_the_grid_are_refused(window, overlap):
    with pytest.raises(ValueError, match="must be multiples of step"):
        window_spans(100, window, overlap, STEP)
