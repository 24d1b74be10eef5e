"""Losses of items with a target and of items whose target is silence."""

import pytest
import torch

from sesame.losses import (
    multi_resolution_loss,
    pesq_mos,
    residual_energy,
    restoration_terms,
    snr,
    suppression_snr,
)

RATE = 8000


def _signals(seed=0):
    """Estimate, target and mixture (2, L); the second target is silence."""
    generator = torch.Generator().manual_seed(seed)
    estimate, target, noise = 0.1 * torch.randn(3, 2, 1600, generator=generator)
    target[1] = 0
    return estimate + target, target, target + noise


def test_the_terms_are_the_losses_of_their_names():
    estimate, target, mixture = _signals()
    terms = restoration_terms(estimate, target, mixture, RATE)
    spectra, magnitudes = multi_resolution_loss(estimate, target, RATE)
    assert torch.equal(terms["complex"], spectra)
    assert torch.equal(terms["magnitude"], magnitudes)
    assert terms["snr"][0] == -snr(estimate[0], target[0])
    assert terms["mos"][0] == -pesq_mos(estimate, target, RATE)[0]
    assert terms["silence"][1] == residual_energy(estimate[1], mixture[1])


def test_what_has_no_sense_for_an_item_is_zero_and_teaches_nothing():
    estimate, target, mixture = _signals()
    for name, item in (("snr", 1), ("mos", 1), ("silence", 0)):
        estimate = estimate.detach().requires_grad_()
        term = restoration_terms(estimate, target, mixture, RATE)[name]
        term.sum().backward()
        assert term[item] == 0 and not estimate.grad[item].any()
        assert term[1 - item] != 0 and estimate.grad[1 - item].any()


def test_with_a_weight_the_snr_is_that_of_suppression():
    estimate, target, mixture = _signals()
    plain = restoration_terms(estimate, target, mixture, RATE)
    terms = restoration_terms(estimate, target, mixture, RATE, suppression_weight=3.0)
    cost = -suppression_snr(estimate, target, mixture, RATE, 3.0)
    assert terms["snr"][0] == cost[0] and terms["snr"][1] == 0
    for name in plain.keys() - {"snr"}:
        assert torch.equal(terms[name], plain[name])


def test_an_item_does_not_depend_on_the_others():
    signals = _signals()
    together = restoration_terms(*signals, RATE)
    for i in range(2):
        alone = restoration_terms(*(s[i : i + 1] for s in signals), RATE)
        for name, term in together.items():
            torch.testing.assert_close(term[i : i + 1], alone[name])


def test_exits_come_in_front():
    estimate, target, mixture = _signals()
    exits = torch.stack([estimate, mixture, target])
    terms = restoration_terms(exits, target, mixture, RATE)
    assert {term.shape for term in terms.values()} == {(3, 2)}
    torch.testing.assert_close(
        terms["snr"][1],
        restoration_terms(mixture, target, mixture, RATE)["snr"],
    )


def test_an_item_beyond_the_threshold_has_the_threshold_and_no_gradient():
    _, target, mixture = _signals()
    near = (target + 1e-4 * mixture).requires_grad_()
    term = restoration_terms(near, target, mixture, RATE, max_snr=30.0)["snr"]
    term.sum().backward()
    assert term[0] == -30 and not near.grad.any()
    free = restoration_terms(near, target, mixture, RATE, max_snr=None)["snr"]
    assert free[0] < -60


@pytest.mark.parametrize("silent", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_silence_has_finite_losses_and_gradients(silent):
    signals = list(_signals())
    for i in silent:
        signals[i] = torch.zeros_like(signals[i])
    signals[0].requires_grad_()
    terms = restoration_terms(*signals, RATE)
    sum(term.sum() for term in terms.values()).backward()
    assert all(term.isfinite().all() for term in terms.values())
    assert signals[0].grad.isfinite().all()


def test_the_energy_left_is_a_ratio_and_bounded_where_the_input_is_silent():
    x = torch.randn(1, 800)
    assert residual_energy(0.1 * x, x).item() == pytest.approx(0.01, rel=1e-3)
    assert residual_energy(0 * x, x) == 0
    # -60 dBFS out of silence counts as much as an input that is let through.
    quiet = torch.full((1, 800), 1e-3)
    assert residual_energy(quiet, 0 * x).item() == pytest.approx(1.0)


def test_signals_of_different_lengths_are_refused():
    estimate, target, mixture = _signals()
    with pytest.raises(ValueError, match=r"estimate \(1600\), target \(1599\)"):
        restoration_terms(estimate, target[:, 1:], mixture, RATE)
