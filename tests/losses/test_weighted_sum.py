"""Laws of the total: exact sum, strict names, gradients in proportion."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.losses import weighted_sum

numbers = st.floats(-1e6, 1e6)


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_total_is_exactly_the_sum_of_weight_times_term(pairs):
    terms = {
        f"t{i}": torch.tensor(t, dtype=torch.float64) for i, (t, _) in enumerate(pairs)
    }
    weights = {f"t{i}": weight for i, (_, weight) in enumerate(pairs)}
    expected = pairs[0][0] * pairs[0][1]
    for term, weight in pairs[1:]:
        expected += weight * term
    assert weighted_sum(terms, weights).item() == expected


def test_weights_are_found_by_name_not_by_order():
    terms = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert weighted_sum(terms, {"b": 10.0, "a": 1.0}).item() == 32


def test_each_term_gets_its_weight_as_gradient():
    terms = {name: torch.tensor(2.0, requires_grad=True) for name in "abc"}
    weighted_sum(terms, {"a": 0.5, "b": -3.0, "c": 0.0}).backward()
    assert [term.grad.item() for term in terms.values()] == [0.5, -3, 0]


def test_a_term_without_weight_is_refused_by_name():
    terms = {"magnitude": torch.tensor(1.0), "phase": torch.tensor(1.0)}
    with pytest.raises(ValueError, match=r"terms without weight: \['phase'\]"):
        weighted_sum(terms, {"magnitude": 1.0})


def test_a_misspelt_weight_is_refused_by_name():
    with pytest.raises(ValueError, match=r"weights without term: \['magnitud'\]"):
        weighted_sum({"magnitude": torch.tensor(1.0)}, {"magnitud": 1.0})


def test_a_term_that_is_not_reduced_is_refused():
    with pytest.raises(ValueError, match=r"time must be a scalar, got \(2,\)"):
        weighted_sum({"time": torch.ones(2)}, {"time": 1.0})


def test_no_terms_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        weighted_sum({}, {})
