"""The total of named loss terms."""

from collections.abc import Mapping

from torch import Tensor


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sums loss terms, each times the weight of its name.

    Names must agree both ways, so that neither a misspelt weight nor a forgotten term
    goes unnoticed. A weight of 0 keeps the term in the graph, with a gradient of 0.

    Shape: scalars -> scalar.

    Arguments
    ---------
    terms : Mapping[str, Tensor]
        Unweighted scalar losses by name, at least one.
    weights : Mapping[str, float]
        Weight of each.

    Returns
    -------
    Tensor
        ``sum(weights[name] * terms[name])``, in the order of ``terms``.

    Raises
    ------
    ValueError
        If there is no term, a name lacks its weight or its term, or a term is not a
        scalar.

    Example
    -------
    >>> import torch
    >>> terms = {"magnitude": torch.tensor(2.0), "time": torch.tensor(10.0)}
    >>> weighted_sum(terms, {"magnitude": 1.0, "time": 0.5})
    tensor(7.)
    """
    if not terms:
        raise ValueError("expected at least one loss term, got none")
    if terms.keys() != weights.keys():
        raise ValueError(
            f"terms without weight: {sorted(terms.keys() - weights.keys())}, "
            f"weights without term: {sorted(weights.keys() - terms.keys())}"
        )
    for name, term in terms.items():
        if term.ndim != 0:
            raise ValueError(
                f"loss term {name} must be a scalar, got {tuple(term.shape)}"
            )
    first, *rest = (weights[name] * term for name, term in terms.items())
    return sum(rest, start=first)
