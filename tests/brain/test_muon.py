"""Muon: equal to PyTorch's for one matrix, each matrix of a stack by itself."""

import copy

import pytest
import torch

from sesame.brain import Muon, weight_decay_groups
from sesame.nnet.moe import MoEFeedForward


def _steps(optimizer, parameters, gradients):
    for drawn in gradients:
        for parameter, gradient in zip(parameters, drawn, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()


def _draw(shapes, count=3):
    generator = torch.Generator().manual_seed(0)
    parameters = [torch.randn(shape, generator=generator) for shape in shapes]
    gradients = [
        [torch.randn(shape, generator=generator) for shape in shapes]
        for _ in range(count)
    ]
    return [torch.nn.Parameter(p) for p in parameters], gradients


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5), (5, 1)])
def test_one_matrix_takes_the_steps_of_pytorch_muon(shape):
    (ours,), gradients = _draw([shape])
    theirs = torch.nn.Parameter(ours.detach().clone())
    settings = {"lr": 0.03, "weight_decay": 0.1, "momentum": 0.9}
    _steps(Muon([ours], **settings), [ours], gradients)
    reference = torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **settings)
    _steps(reference, [theirs], gradients)
    # bfloat16 inside; one step moves a weight by about 0.2 * 0.03.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_vectors_and_groups_without_matrices_take_the_steps_of_adamw():
    ours, gradients = _draw([(5,), (4, 3)])
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    settings = {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "eps": 1e-6}
    groups = [{"params": ours[:1]}, {"params": ours[1:], "matrices": False}]
    _steps(Muon(groups, **settings), ours, gradients)
    _steps(torch.optim.AdamW(theirs, **settings), theirs, gradients)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_each_matrix_of_a_stack_goes_by_itself():
    (stack,), gradients = _draw([(2, 3, 4, 6)])
    alone = [torch.nn.Parameter(m.clone()) for m in stack.detach().flatten(0, 1)]
    _steps(Muon([stack], lr=0.1), [stack], gradients)
    split = [list(drawn[0].flatten(0, 1)) for drawn in gradients]
    _steps(Muon(alone, lr=0.1), alone, split)
    together = torch.stack([m.detach() for m in alone]).view_as(stack)
    torch.testing.assert_close(stack.detach(), together, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 8), (4, 32), (3, 16, 5)])
def test_a_step_has_the_size_of_adamw_whatever_the_gradient(shape):
    (weight,), gradients = _draw([shape], count=1)
    sizes = []
    for scale in (1e-4, 1.0, 1e4):
        parameter = torch.nn.Parameter(weight.detach().clone())
        optimizer = Muon([parameter], lr=0.1, weight_decay=0.0)
        _steps(optimizer, [parameter], [[scale * gradients[0][0]]])
        moved = (parameter - weight).detach()
        # Root mean square 0.2 * lr where all singular values are 1; the iteration
        # leaves them between 0.68 and 1.14.
        sizes.append(moved.square().mean().sqrt().item() / (0.2 * 0.1))
        values = torch.linalg.svdvals(moved / (0.2 * 0.1 * max(shape[-2:]) ** 0.5))
        assert 0.6 < values.min() and values.max() < 1.25
    assert max(sizes) - min(sizes) < 0.02


def test_an_expert_without_tokens_stays_where_it_is():
    (experts,), gradients = _draw([(3, 4, 6)], count=1)
    gradients[0][0][1] = 0
    before = experts.detach().clone()
    _steps(Muon([experts], lr=0.1, weight_decay=0.0), [experts], gradients)
    moved = (experts.detach() - before).abs().amax(dim=(1, 2))
    assert moved[1] == 0 and moved[0] > 0 and moved[2] > 0


def test_what_seldom_learns_goes_on_at_full_length_in_between():
    """Why the full width learns in every step of a stage, see ``draw_sizes``."""
    weight = torch.nn.Parameter(torch.zeros(32, 32))
    optimizer = Muon([weight], lr=1.0, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for number in range(30):
        before = weight.detach().clone()
        weight.grad = torch.randn(32, 32, generator=generator)
        if number % 10:
            weight.grad[16:] = weight.grad[:, 16:] = 0
        optimizer.step()
    moved = (weight - before).detach().square()  # in the ninth step without gradient
    assert moved[16:, 16:].mean() > 0.8 * moved[:16, :16].mean()


def test_training_goes_on_from_its_state_dict():
    torch.manual_seed(0)
    network = MoEFeedForward(4, 3, 1, expert_hidden_dim=5)
    x = torch.randn(2, 7, 4)

    def train(module, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            module(x).square().mean().backward()
            optimizer.step()

    optimizer = Muon(weight_decay_groups(network), lr=0.05)
    train(network, optimizer, 2)
    resumed = copy.deepcopy(network)
    other = Muon(weight_decay_groups(resumed), lr=0.9)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(network, optimizer, 2)
    train(resumed, other, 2)
    for one, two in zip(network.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_gradients_are_kept_and_parameters_without_are_left_alone():
    parameters, gradients = _draw([(3, 3), (3,), (2, 2)], count=1)
    frozen = parameters[2].detach().clone()
    optimizer = Muon(parameters, lr=0.1)
    for parameter, gradient in zip(parameters[:2], gradients[0], strict=False):
        parameter.grad = gradient
    assert optimizer.step(lambda: "loss") == "loss"
    assert parameters[0].grad is gradients[0][0]
    assert torch.equal(parameters[2], frozen) and not optimizer.state[parameters[2]]


@pytest.mark.parametrize(
    "name, value", [("momentum", 1.0), ("momentum", -0.1), ("lr", -1)]
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=f"(?i){name.replace('lr', 'learning rate')}"):
        Muon([torch.nn.Parameter(torch.zeros(2, 2))], **{name: value})
