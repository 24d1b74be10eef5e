"""Laws of the routing losses: extremes of the balance, direction, z-loss."""

import pytest
import torch

from sesame.losses.routing import (
    load_balance_loss,
    router_z_loss,
    sequence_balance_loss,
)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(
        *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)
    )


def choose(logits, top_k):
    return logits.topk(top_k, dim=-1).indices


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_balance_loss_is_the_naive_sum(top_k):
    logits = noise(50, 4)
    ids = choose(logits, top_k)
    share = [0.0] * 4
    for token in ids.tolist():
        for expert in token:
            share[expert] += 1 / (50 * top_k)
    probability = logits.softmax(-1).mean(0).tolist()
    expected = 4 * sum(f * p for f, p in zip(share, probability, strict=True))
    torch.testing.assert_close(load_balance_loss(logits, ids).item(), expected)


@pytest.mark.parametrize("top_k", [1, 2])
def test_uniform_load_costs_one(top_k):
    logits = 1e-9 * torch.eye(8, dtype=torch.float64).repeat(5, 1)
    ids = (torch.arange(40)[:, None] + torch.arange(top_k)) % 8
    torch.testing.assert_close(load_balance_loss(logits, ids).item(), 1.0)


def test_collapse_costs_the_number_of_experts():
    logits = torch.zeros(40, 8)
    logits[:, 3] = 100
    ids = torch.full((40, 1), 3)
    torch.testing.assert_close(load_balance_loss(logits, ids).item(), 8.0)


@pytest.mark.parametrize("seed", range(5))
def test_balance_of_a_router_lies_between_uniform_and_collapse(seed):
    # A bias common to all tokens makes load and probability agree, as in training.
    logits = 0.1 * noise(200, 6, seed=seed) + 2 * noise(1, 6, seed=seed + 100)
    loss = load_balance_loss(logits, choose(logits, 1)).item()
    assert 1 < loss < 6


def test_steps_along_the_gradient_spread_the_probability():
    logits = noise(100, 4)
    logits[:, 0] += 1
    logits.requires_grad_()
    ids = choose(logits, 1)
    load_balance_loss(logits, ids).backward()
    after = (logits - 100 * logits.grad).softmax(-1).mean(0)
    before = logits.softmax(-1).mean(0)
    assert before.argmax() == 0
    assert after[0] < before[0]


def test_order_of_tokens_and_of_choices_does_not_matter():
    logits = noise(30, 4)
    ids = choose(logits, 2)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    expected = load_balance_loss(logits, ids)
    torch.testing.assert_close(load_balance_loss(logits[order], ids[order]), expected)
    torch.testing.assert_close(load_balance_loss(logits, ids.flip(-1)), expected)


def test_order_of_memory_does_not_matter():
    logits = noise(30, 4)
    by_expert = logits.t().contiguous().t()
    ids = choose(logits, 2)
    torch.testing.assert_close(
        load_balance_loss(by_expert, ids), load_balance_loss(logits, ids)
    )
    torch.testing.assert_close(router_z_loss(by_expert), router_z_loss(logits))


def test_z_loss_is_the_mean_squared_log_sum_exp():
    logits = noise(50, 4)
    expected = (logits.exp().sum(-1).log() ** 2).mean()
    torch.testing.assert_close(router_z_loss(logits), expected)


def test_z_loss_sees_the_offset_that_the_balance_loss_ignores():
    logits = noise(50, 4)
    ids = choose(logits, 2)
    torch.testing.assert_close(
        load_balance_loss(logits + 7, ids), load_balance_loss(logits, ids)
    )
    assert router_z_loss(logits + 7) > router_z_loss(logits) + 40


def test_large_logits_stay_finite():
    logits = torch.full((3, 4), 1e4, requires_grad=True)
    loss = router_z_loss(logits) + load_balance_loss(logits, torch.tensor([[0]] * 3))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences():
    logits = noise(6, 3).requires_grad_()
    ids = choose(logits, 2)
    assert torch.autograd.gradcheck(lambda x: load_balance_loss(x, ids), (logits,))
    assert torch.autograd.gradcheck(router_z_loss, (logits,))


def test_losses_are_computed_in_float32_for_half_precision_and_under_autocast():
    logits = noise(50, 4).bfloat16()
    ids = choose(logits, 2)
    expected = load_balance_loss(logits.float(), ids), router_z_loss(logits.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = load_balance_loss(logits, ids), router_z_loss(logits)
    assert losses == expected
    assert all(loss.dtype == torch.float32 for loss in losses)


@pytest.mark.parametrize("top_k", [1, 2])
def test_sequence_balance_is_the_mean_of_the_balance_of_each_utterance(top_k):
    logits = noise(60, 4)
    ids = choose(logits, top_k)
    parts = zip(logits.split(20), ids.split(20), strict=True)
    expected = torch.stack([load_balance_loss(*part) for part in parts]).mean()
    torch.testing.assert_close(sequence_balance_loss(logits, ids, 3), expected)
    torch.testing.assert_close(
        sequence_balance_loss(logits, ids, 1), load_balance_loss(logits, ids)
    )


def test_sequence_balance_is_the_formula_of_its_source():
    logits, num_experts, top_k, rows = noise(12, 3), 3, 2, 6
    ids = choose(logits, top_k)
    total = 0.0
    for utterance in range(2):
        mine = slice(utterance * rows, (utterance + 1) * rows)
        for expert in range(num_experts):
            count = (ids[mine] == expert).sum().item()
            share = num_experts / (rows * top_k) * count
            total += share * logits[mine].softmax(-1)[:, expert].mean().item() / 2
    torch.testing.assert_close(sequence_balance_loss(logits, ids, 2).item(), total)


def test_uniform_probabilities_cost_one_whatever_is_chosen():
    ids = torch.randint(0, 12, (40, 2))
    logits = torch.full((40, 12), 3.0, dtype=torch.float64)
    torch.testing.assert_close(sequence_balance_loss(logits, ids, 4).item(), 1.0)


def test_utterances_that_collapse_on_different_experts_are_not_balanced():
    logits = torch.zeros(40, 2)
    logits[:20, 0] = logits[20:, 1] = 100
    ids = choose(logits, 1)
    torch.testing.assert_close(load_balance_loss(logits, ids).item(), 1.0)
    torch.testing.assert_close(sequence_balance_loss(logits, ids, 2).item(), 2.0)


def test_sequence_balance_has_the_gradient_of_finite_differences():
    logits = noise(6, 3).requires_grad_()
    ids = choose(logits, 2)
    assert torch.autograd.gradcheck(
        lambda x: sequence_balance_loss(x, ids, 2), (logits,)
    )


def test_sequence_balance_widens_half_precision():
    logits = noise(6, 3).bfloat16()
    loss = sequence_balance_loss(logits, choose(logits, 1), 2)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("num_utterances", [0, 4])
def test_utterances_must_divide_the_rows(num_utterances):
    with pytest.raises(ValueError, match=rf"num_utterances \({num_utterances}\) must"):
        sequence_balance_loss(
            torch.zeros(6, 2), torch.zeros(6, 1, dtype=torch.int64), num_utterances
        )
