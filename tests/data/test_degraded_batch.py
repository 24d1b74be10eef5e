import pytest
import torch

from sesame.data.degraded_batch import degraded_batch


def item(name, length, enrollment_length=0, far_end=False):
    return {
        "id": name,
        "degraded_sig": torch.rand(length),
        "target_sig": torch.rand(length),
        "far_end_sig": torch.rand(length) * far_end,
        "enrollment_sig": torch.rand(enrollment_length),
        "task": "extraction" if enrollment_length else "enhancement",
        "has_far_end": far_end,
        "has_enrollment": enrollment_length > 0,
    }


def test_signals_are_padded_and_their_lengths_told():
    items = [item("a", 6), item("b", 8, far_end=True)]
    batch = degraded_batch(items)
    for key in ("degraded_sig", "target_sig", "far_end_sig"):
        data, lengths = getattr(batch, key)
        assert data.shape == (2, 8) and lengths.tolist() == [0.75, 1.0]
        torch.testing.assert_close(data[0, :6], items[0][key])
        assert not data[0, 6:].any()
    assert batch.id == ["a", "b"] and batch.task == ["enhancement"] * 2
    assert batch.has_far_end.tolist() == [False, True]


def test_short_enrollments_are_repeated_and_absent_ones_are_zeros():
    items = [item("a", 4, 3), item("b", 4), item("c", 4, 7)]
    enrollment = degraded_batch(items).enrollment_sig
    assert enrollment.shape == (3, 7)
    short = items[0]["enrollment_sig"]
    torch.testing.assert_close(enrollment[0], torch.cat([short, short, short[:1]]))
    assert not enrollment[1].any()
    torch.testing.assert_close(enrollment[2], items[2]["enrollment_sig"])


def test_a_batch_without_enrollments_has_empty_ones():
    batch = degraded_batch([item("a", 4), item("b", 4)])
    assert batch.enrollment_sig.shape == (2, 0)
    assert not batch.has_enrollment.any() and batch.has_enrollment.dtype == torch.bool


def test_items_are_left_as_they_are():
    given = item("a", 4, 3)
    before = dict(given)
    degraded_batch([given, item("b", 4, 5)])
    assert given.keys() == before.keys()
    assert all(given[key] is before[key] for key in given)


def test_everything_moves_to_another_type():
    batch = degraded_batch([item("a", 4, 3)]).to(torch.float64)
    assert batch.degraded_sig.data.dtype == torch.float64
    assert batch.enrollment_sig.dtype == torch.float64


def test_an_item_without_signals_is_an_error():
    with pytest.raises(KeyError):
        degraded_batch([{"id": "a"}])
