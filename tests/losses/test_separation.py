"""Laws of the separation loss: numpy's formula, permutations, threshold, padding."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.losses import permutation_invariant, separation_loss, si_snr

EPS = 1e-8


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(
        *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


def formula(estimate, target):
    """SI-SNR of two signals, as in the papers, dB."""
    estimate, target = (np.asarray(x, dtype=np.float64) for x in (estimate, target))
    estimate, target = estimate - estimate.mean(), target - target.mean()
    projection = estimate @ target * target / (target @ target + EPS)
    error = estimate - projection
    return 10 * np.log10(projection @ projection / (error @ error + EPS))


def brute_force(estimates, targets):
    """Negative SI-SNR of each utterance on its best permutation, dB."""
    sources = range(len(targets[0]))
    return [
        min(
            np.mean([-formula(y[i], s[j]) for j, i in enumerate(order)])
            for order in itertools.permutations(sources)
        )
        for y, s in zip(estimates.numpy(), targets.numpy(), strict=True)
    ]


def near(targets, decibels, seed=7):
    """Estimates at about this SI-SNR."""
    error = noise(*targets.shape, seed=seed, dtype=targets.dtype)
    return targets + 10 ** (-decibels / 20) * error


# ----------------------------------------------------------------- si_snr


@given(st.floats(-30, 50), st.integers(0, 99), st.booleans())
@settings(deadline=None)
def test_si_snr_is_the_formula(decibels, seed, single):
    dtype = torch.float32 if single else torch.float64
    target = 0.05 * noise(2, 3, 4000, seed=seed, dtype=dtype) + 0.3
    estimate = near(target, decibels + 26, seed + 100)
    got = si_snr(estimate, target)
    for index in np.ndindex(2, 3):
        expected = formula(estimate[index], target[index])
        assert got[index].item() == pytest.approx(expected, abs=1e-4)


@given(st.floats(0.01, 100), st.floats(-3, 3), st.sampled_from([-1, 1]))
def test_scale_sign_and_offset_of_the_estimate_do_not_matter(scale, offset, sign):
    target = noise(500)
    estimate = target + 0.2 * noise(500, seed=1)
    changed = sign * scale * (estimate + offset)
    torch.testing.assert_close(
        si_snr(changed, target), si_snr(estimate, target), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("silent", ["estimate", "target", "both"])
def test_silence_gives_a_low_finite_value_and_no_gradient(silent):
    estimate, target = noise(400), noise(400, seed=1)
    estimate = estimate * (silent == "target")
    target = target * (silent == "estimate")
    estimate.requires_grad_()
    value = si_snr(estimate, target)
    value.backward()
    assert value.item() == pytest.approx(-80)
    assert not estimate.grad.any()


def test_a_perfect_copy_has_a_finite_gradient():
    estimate = noise(400, dtype=torch.float32).requires_grad_()
    value = si_snr(estimate, estimate.detach())
    value.backward()
    assert value.isfinite() and estimate.grad.isfinite().all()


def test_half_precision_is_widened():
    estimate = noise(2, 300).bfloat16()
    assert si_snr(estimate, estimate).dtype == torch.float32


def test_gradients_are_those_of_finite_differences():
    estimate = noise(3, 20).requires_grad_()
    lengths = torch.tensor([20, 13, 5])
    assert torch.autograd.gradcheck(
        lambda y: si_snr(y, noise(3, 20, seed=1), lengths), estimate
    )


@given(st.lists(st.integers(2, 40), min_size=3, max_size=3))
def test_what_lies_behind_the_length_does_not_matter(lengths):
    estimate, target = noise(3, 40), noise(3, 40, seed=1)
    got = si_snr(estimate, target, torch.tensor(lengths))
    for i, length in enumerate(lengths):
        alone = si_snr(estimate[i, :length], target[i, :length])
        torch.testing.assert_close(got[i], alone)


# ----------------------------------------------------------------- permutations


@pytest.mark.parametrize("sources", [1, 2, 3, 4])
def test_the_loss_is_the_best_of_all_orders(sources):
    targets = noise(5, sources, 300, dtype=torch.float32)
    estimates = noise(5, sources, 300, seed=1, dtype=torch.float32)
    expected = np.mean(brute_force(estimates, targets))
    assert separation_loss(estimates, targets).item() == pytest.approx(
        expected, abs=1e-4
    )


@given(st.permutations(range(4)), st.permutations(range(4)))
@settings(deadline=None)
def test_the_order_of_estimates_and_of_targets_does_not_matter(one, other):
    targets = noise(2, 4, 200)
    estimates = near(targets, 3)
    torch.testing.assert_close(
        separation_loss(estimates[:, list(one)], targets[:, list(other)]),
        separation_loss(estimates, targets),
    )


@given(st.permutations(range(4)))
@settings(deadline=None)
def test_the_order_names_the_estimate_of_each_target(order):
    targets = noise(1, 4, 200)
    estimates = torch.empty_like(targets)
    estimates[:, list(order)] = near(targets, 20)
    costs = -si_snr(estimates[:, :, None], targets[:, None])
    cost, found = permutation_invariant(costs)
    assert found[0].tolist() == list(order)
    torch.testing.assert_close(cost, -si_snr(near(targets, 20), targets).mean(-1))


def test_utterances_choose_their_orders_on_their_own():
    targets = noise(2, 2, 200)
    estimates = torch.stack([targets[0], targets[1].flip(0)])
    assert separation_loss(estimates, targets, max_si_snr=None) < -60


def test_only_the_best_order_gets_a_gradient():
    costs = torch.tensor([[[1.0, 5.0], [5.0, 2.0]]], requires_grad=True)
    permutation_invariant(costs)[0].sum().backward()
    assert costs.grad.tolist() == [[[0.5, 0.0], [0.0, 0.5]]]


# ----------------------------------------------------------------- threshold


def test_an_utterance_beyond_the_threshold_counts_as_the_threshold():
    targets = noise(2, 2, 400)
    estimates = torch.stack([near(targets, 50)[0], near(targets, 5)[1]])
    estimates.requires_grad_()
    loss = separation_loss(estimates, targets, max_si_snr=30.0)
    (better, worse) = brute_force(estimates.detach(), targets)
    assert better < -45
    assert loss.item() == pytest.approx((-30 + worse) / 2, abs=1e-4)
    loss.backward()
    assert not estimates.grad[0].any() and estimates.grad[1].any()


def test_the_threshold_is_one_of_the_utterance_not_of_a_source():
    targets = noise(1, 2, 400)
    estimates = torch.stack([near(targets, 50)[:, 0], near(targets, 5)[:, 1]], dim=1)
    estimates.requires_grad_()
    loss = separation_loss(estimates, targets, max_si_snr=30.0)
    (expected,) = brute_force(estimates.detach(), targets)
    assert loss.item() == pytest.approx(expected, abs=1e-4)
    loss.backward()
    assert all(gradient.any() for gradient in estimates.grad[0])


def test_without_threshold_everything_counts():
    targets = noise(2, 2, 400)
    estimates = near(targets, 50).requires_grad_()
    loss = separation_loss(estimates, targets, max_si_snr=None)
    expected = np.mean(brute_force(estimates.detach(), targets))
    assert loss.item() == pytest.approx(expected, abs=1e-4)
    loss.backward()
    assert all(gradient.any() for gradient in estimates.grad.flatten(0, 1))


# ----------------------------------------------------------------- batches


def test_a_padded_batch_has_the_loss_of_its_utterances():
    lengths = torch.tensor([300, 170, 55])
    targets = noise(3, 2, 300)
    estimates = near(targets, 2).flip(1)
    alone = [
        separation_loss(
            estimates[i : i + 1, :, :length], targets[i : i + 1, :, :length]
        )
        for i, length in enumerate(lengths)
    ]
    torch.testing.assert_close(
        separation_loss(estimates, targets, lengths), torch.stack(alone).mean()
    )


def test_a_number_that_is_not_finite_reaches_the_gradient():
    """The step of such a batch is then skipped."""
    for signal in (0, 1):
        pair = [noise(2, 2, 50), noise(2, 2, 50, seed=1)]
        pair[signal][0, 0, 3] = torch.nan
        pair[0].requires_grad_()
        separation_loss(*pair).backward()
        assert not pair[0].grad.isfinite().all()


@pytest.mark.parametrize(
    ("estimates", "targets"),
    [((2, 3, 9), (2, 2, 9)), ((2, 2, 9), (2, 2, 8)), ((2, 9), (2, 9))],
)
def test_shapes_that_do_not_fit_are_refused(estimates, targets):
    with pytest.raises(ValueError, match=r"must both be \(B, J, L\)"):
        separation_loss(noise(*estimates), noise(*targets))


def test_costs_must_be_square():
    with pytest.raises(ValueError, match=r"\(1, 2, 3\) must be \(B, J, J\)"):
        permutation_invariant(torch.zeros(1, 2, 3))
