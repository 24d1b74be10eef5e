"""Pieces cover everything, stay in the budget and exist on a CPU only."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sesame.nnet.pieces import piece_size

X = torch.zeros(1)


@given(st.integers(1, 500), st.integers(1, 100), st.integers(1, 10000))
def test_a_piece_stays_in_the_budget_unless_one_item_exceeds_it(count, item, budget):
    size = piece_size(X, count, item, budget)
    assert 1 <= size <= count
    assert size * item <= budget or size == 1 or size * item < budget + item


@given(st.integers(1, 500), st.integers(1, 100), st.integers(1, 10000))
def test_pieces_are_about_equal(count, item, budget):
    size = piece_size(X, count, item, budget)
    pieces = -(-count // size)
    assert count - (pieces - 1) * size > 0
    assert size - count / pieces < 1 or pieces == 1


@given(st.integers(1, 500), st.integers(1, 500))
def test_a_piece_has_the_least_number_of_items(count, least):
    assert piece_size(X, count, 100, budget=1, least=least) >= min(least, count)


def test_other_devices_take_everything_at_once():
    assert piece_size(torch.zeros(1, device="meta"), 100, 10, budget=10) == 100


def test_a_traced_program_takes_everything_at_once():
    sizes = []

    def program(x):
        sizes.append(piece_size(x, 100, 10, budget=10))
        return x + 1

    torch.jit.trace(program, X, check_trace=False)
    assert sizes == [100]
    program(X)
    assert sizes == [100, 1]


@pytest.mark.parametrize("budget", [1, 999, 1000, 10**9])
def test_pieces_cover_every_item_once(budget):
    size = piece_size(X, 100, 10, budget)
    assert sum(len(part) for part in torch.arange(100).split(size)) == 100
