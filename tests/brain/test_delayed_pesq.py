"""The line of batches that wait for their PESQ."""

import math
from concurrent.futures import Future

import pytest
import torch

from sesame.brain.delayed_pesq import DelayedPESQ
from sesame.brain.workers import WorkerPool
from sesame.metrics import pesq_wb

SAMPLE_RATE = 16_000


@pytest.fixture
def pairs(tiny):
    """Four batches of two utterances: noisy and clean (2, L)."""
    names = ["p301_001", "p302_002", "p303_003", "p304_004", "p305_001"]
    batches = [tiny.batch(*names[i : i + 2]) for i in range(4)]
    return [(b.noisy_sig.data, b.clean_sig.data) for b in batches]


def _line(lag):
    return DelayedPESQ(WorkerPool(0), SAMPLE_RATE, lag)


def _known(noisy, clean):
    scores = [
        pesq_wb(n, c, SAMPLE_RATE).value
        for n, c in zip(noisy.numpy(), clean.numpy(), strict=True)
    ]
    return torch.tensor(scores)


def test_a_negative_lag_is_refused():
    with pytest.raises(ValueError, match=r"lag \(-1\) must be at least 0"):
        _line(-1)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_what_is_popped_was_pushed_lag_steps_before_with_its_own_scores(pairs, lag):
    line = _line(lag)
    for step, pair in enumerate(pairs):
        line.push(*pair)
        popped = line.pop()
        if step < lag:
            assert popped is None
            continue
        noisy, clean, pesq = popped
        assert torch.equal(noisy, pairs[step - lag][0])
        assert torch.equal(clean, pairs[step - lag][1])
        assert torch.equal(pesq, _known(noisy, clean))
        assert pesq.isfinite().all() and pesq[0] != pesq[1]


def test_items_without_pesq_are_nan_and_the_others_keep_theirs(pairs):
    noisy, clean = (signal.clone() for signal in pairs[0])
    clean[0] = 0
    line = _line(0)
    line.push(noisy, clean)
    _, _, pesq = line.pop()
    assert pesq.isnan().tolist() == [True, False]
    assert pesq[1] == _known(*pairs[0])[1]


def test_a_worker_that_dies_costs_its_scores_and_nothing_else(pairs):
    class DyingPool:
        def submit(self, *_):
            future = Future()
            future.set_exception(RuntimeError("killed"))
            return future

    line = DelayedPESQ(DyingPool(), SAMPLE_RATE, lag=0)
    line.push(*pairs[0])
    assert line.pop()[2].isnan().all()


def test_what_waits_has_no_graph_and_is_float32(pairs):
    line = _line(0)
    line.push(pairs[0][0].bfloat16().requires_grad_(True), pairs[0][1])
    noisy, clean, pesq = line.pop()
    for tensor in (noisy, clean, pesq):
        assert not tensor.requires_grad and tensor.dtype == torch.float32


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_saved_line_goes_on_as_if_nothing_had_happened(pairs, lag, tmp_path, same):
    one, other = _line(lag), _line(lag)
    for pair in pairs[:2]:
        one.push(*pair)
        one.pop()
    one.save(tmp_path / "line.ckpt")
    other.push(*pairs[3])
    other.load(tmp_path / "line.ckpt", end_of_epoch=False)
    for pair in pairs[2:]:
        for line in (one, other):
            line.push(*pair)
        assert same(one.pop(), other.pop())


def test_each_rank_has_a_file_of_its_own(pairs, tmp_path, monkeypatch):
    path = tmp_path / "line.ckpt"
    for rank in (0, 1):
        monkeypatch.setattr(
            "sesame.brain.delayed_pesq.rank_and_world", lambda rank=rank: (rank, 2)
        )
        line = _line(1)
        line.push(*pairs[rank])
        line.save(path)
    # SpeechBrain takes every file that ends in .ckpt for a recoverable.
    assert [p.name for p in tmp_path.glob("*.ckpt")] == ["line.ckpt"]
    for rank in (0, 1):
        monkeypatch.setattr(
            "sesame.brain.delayed_pesq.rank_and_world", lambda rank=rank: (rank, 2)
        )
        line = _line(0)
        line.load(path, end_of_epoch=False)
        assert torch.equal(line.pop()[0], pairs[rank][0])


def test_a_rank_without_a_file_starts_empty(pairs, tmp_path, monkeypatch, caplog):
    path = tmp_path / "line.ckpt"
    _line(1).save(path)
    monkeypatch.setattr("sesame.brain.delayed_pesq.rank_and_world", lambda: (3, 4))
    line = _line(1)
    line.load(path, end_of_epoch=False)
    line.push(*pairs[0])
    assert line.pop() is None
    assert "line.ckpt.rank3 is absent" in caplog.text


def test_real_workers_give_the_same_scores(pairs):
    pool = WorkerPool(1)
    try:
        line = DelayedPESQ(pool, SAMPLE_RATE, lag=1)
        for pair in pairs[:2]:
            line.push(*pair)
        pesq = line.pop()[2]
    finally:
        pool.close()
    assert torch.equal(pesq, _known(*pairs[0]))
    assert not math.isnan(pesq[0])
