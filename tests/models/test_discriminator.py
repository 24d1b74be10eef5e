"""The metric discriminator: size, spectral norm, independence of batch-mates."""

import copy

import pytest
import torch

from sesame.models import MetricDiscriminator


def pair(batch=3, num_bins=33, frames=20):
    shape = (2, batch, num_bins, frames)
    return torch.rand(shape, dtype=torch.float64).unbind(0)


def normalised_layers(network):
    modules = [*network.convolutions, *network.head]
    return [module for module in modules if hasattr(module, "parametrizations")]


def test_defaults_have_the_published_number_of_parameters():
    network = MetricDiscriminator()
    assert sum(p.numel() for p in network.parameters()) == 181_650
    assert sum(b.numel() for b in network.buffers()) == 2_321


def test_scores_lie_between_zero_and_one():
    scores = MetricDiscriminator(4).double()(*pair())
    assert scores.shape == (3,)
    assert ((scores > 0) & (scores < 1)).all()


def test_score_does_not_depend_on_batch_mates():
    network = MetricDiscriminator(4).double().eval()
    reference, candidate = pair()
    alone = network(reference[1:2], candidate[1:2])
    assert (network(reference, candidate)[1] - alone).abs() < 1e-5


def test_the_two_inputs_play_different_roles():
    network = MetricDiscriminator(4).double().eval()
    reference, candidate = pair()
    swapped = network(candidate, reference)
    assert not torch.allclose(network(reference, candidate), swapped)


def test_every_parameter_receives_a_gradient():
    network = MetricDiscriminator(4).double()
    with torch.no_grad():  # else the maxima of all channels are positive
        network.convolutions[10].bias[::2] -= 6.0
    network(*pair(batch=8)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 1e-9, name


def test_candidate_receives_a_gradient_for_the_generator():
    reference, candidate = pair()
    candidate.requires_grad_()
    MetricDiscriminator(4).double()(reference, candidate).sum().backward()
    assert (candidate.grad.abs().amax((1, 2)) > 0).all()


def test_power_iteration_brings_the_largest_singular_value_to_one():
    network = MetricDiscriminator(4).double()
    inputs = pair()
    with torch.no_grad():
        for _ in range(200):
            network(*inputs)
    network.eval()
    for layer in normalised_layers(network):
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        assert largest == pytest.approx(1.0, abs=1e-3)


def test_only_training_moves_the_power_iteration():
    network = MetricDiscriminator(4).double()
    inputs = pair()

    def moves(network):
        before = [buffer.clone() for buffer in network.buffers()]
        network(*inputs)
        after = network.buffers()
        return [
            not torch.equal(old, new) for old, new in zip(before, after, strict=True)
        ]

    network.eval()
    assert not any(moves(network))
    network.train()
    assert all(
        moved or buffer.numel() == 1
        for moved, buffer in zip(moves(network), network.buffers(), strict=True)
    )


def test_gradient_of_the_spectral_norm_matches_finite_differences():
    network = MetricDiscriminator(2).double().eval()
    weight = network.head[3].parametrizations.weight.original
    norm = network.head[3].parametrizations.weight[0]
    assert torch.autograd.gradcheck(norm, weight.detach().clone().requires_grad_())


@pytest.mark.parametrize("training", [True, False])
def test_two_forwards_may_precede_their_common_backward(training):
    network = MetricDiscriminator(4).double().train(training)
    reference, candidate = pair()
    loss = network(reference, reference).sum() - network(reference, candidate).sum()
    loss.backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_a_training_forward_may_come_between_an_evaluation_and_its_backward():
    network = MetricDiscriminator(4).double()
    inputs = pair()
    score = network.eval()(*inputs).sum()
    network.train()(*inputs)
    score.backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_three_tenths_of_the_hidden_features_are_dropped_in_training_only():
    network = MetricDiscriminator(4).double()
    dropout, hidden = network.head[1], torch.ones(100, 100)
    assert (dropout(hidden) == 0).double().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(dropout.eval()(hidden), hidden)


def test_a_trained_discriminator_can_be_copied():
    network = MetricDiscriminator(4).double()
    inputs = pair()
    network(*inputs).sum().backward()
    network.eval()
    assert torch.equal(copy.deepcopy(network)(*inputs), network(*inputs))


def test_state_dict_round_trip_keeps_the_score():
    inputs = pair()
    first, second = (MetricDiscriminator(4).double().eval() for _ in range(2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(*inputs), second(*inputs))


def test_autocast_keeps_the_power_iteration_in_float32():
    first = MetricDiscriminator(4)
    second = copy.deepcopy(first)
    inputs = [x.float() for x in pair()]
    first(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        second(*inputs)
    for ours, theirs in zip(first.buffers(), second.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_short_or_unequal_inputs_are_refused_with_the_values():
    network = MetricDiscriminator(2)
    with pytest.raises(ValueError, match=r"bins \(33\) and frames \(15\)"):
        network(torch.rand(1, 33, 15), torch.rand(1, 33, 15))
    with pytest.raises(ValueError, match=r"\(1, 33, 20\) and \(1, 33, 21\)"):
        network(torch.rand(1, 33, 20), torch.rand(1, 33, 21))
    network(torch.rand(1, 16, 32), torch.rand(1, 16, 32))
