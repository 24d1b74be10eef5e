"""Laws of the metric losses: scale, failed items, gradients for all ranks."""

import math

import pytest
import torch

from sesame.losses import discriminator_loss, generator_metric_loss, pesq_to_unit

NAN = math.nan


def scores(*values):
    return torch.tensor(values, requires_grad=True)


@pytest.mark.parametrize(("pesq", "unit"), [(1.0, 0.0), (4.5, 1.0), (2.75, 0.5)])
def test_pesq_is_mapped_to_the_unit_interval(pesq, unit):
    assert pesq_to_unit(pesq) == unit
    assert pesq_to_unit(torch.tensor([pesq, NAN]))[0].item() == unit


def test_identical_signals_map_above_one_and_failures_stay_failures():
    assert abs(pesq_to_unit(4.6439) - 1.0411) < 1e-4
    assert math.isnan(pesq_to_unit(NAN))


def test_generator_is_pulled_towards_score_one():
    score = scores(0.2, 0.9)
    loss = generator_metric_loss(score)
    torch.testing.assert_close(loss.item(), (0.64 + 0.01) / 2)
    loss.backward()
    assert (score.grad < 0).all()
    assert generator_metric_loss(torch.ones(3)).item() == 0


def test_discriminator_loss_is_the_sum_of_two_mean_squares():
    loss = discriminator_loss(
        scores(0.5, 1.0), scores(0.3, 0.9), torch.tensor([0.1, 0.6])
    )
    torch.testing.assert_close(loss.item(), 0.25 / 2 + (0.04 + 0.09) / 2)


def test_perfect_discriminator_has_loss_zero():
    target = torch.tensor([0.1, 0.6])
    assert discriminator_loss(torch.ones(2), target.clone(), target).item() == 0


def test_failed_items_count_as_if_they_were_absent():
    target = torch.tensor([0.1, NAN, 0.6])
    fake = scores(0.3, 0.7, 0.9)
    real = torch.ones(3)
    loss = discriminator_loss(real, fake, target)
    kept = discriminator_loss(real[::2], fake[::2], target[::2])
    torch.testing.assert_close(loss, kept)
    loss.backward()
    assert fake.grad[1].item() == 0 and fake.grad[0] != 0 and fake.grad[2] != 0


def test_real_pairs_count_whatever_failed():
    real = scores(0.5, 0.5)
    loss = discriminator_loss(real, scores(0.1, 0.2), torch.tensor([NAN, NAN]))
    torch.testing.assert_close(loss.item(), 0.25)


def test_gradient_path_is_kept_when_every_item_failed():
    weight = torch.ones(2, requires_grad=True)
    fake = weight * torch.tensor([0.3, 0.4])
    discriminator_loss(torch.ones(2), fake, torch.tensor([NAN, NAN])).backward()
    assert torch.equal(weight.grad, torch.zeros(2))


def test_infinite_targets_are_failures_too():
    fake = scores(0.3, 0.4)
    loss = discriminator_loss(torch.ones(2), fake, torch.tensor([math.inf, 0.4]))
    assert loss.item() == 0


def test_targets_may_come_in_float64_from_the_metric():
    target = torch.tensor([0.1, NAN], dtype=torch.float64)
    loss = discriminator_loss(torch.ones(2), scores(0.3, 0.4), target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.item(), 0.04)


def test_half_precision_scores_give_a_float32_loss():
    half = torch.tensor([0.3, 0.4]).bfloat16()
    assert discriminator_loss(half, half, torch.zeros(2)).dtype == torch.float32
    assert generator_metric_loss(half).dtype == torch.float32


def test_column_of_scores_is_refused_before_it_broadcasts():
    with pytest.raises(ValueError, match=r"score_fake \(2, 1\) and target_unit \(2,\)"):
        discriminator_loss(torch.ones(2), torch.ones(2, 1), torch.ones(2))
