"""Experts: the right parameters, initialised as linear layers, on every path."""

import pytest
import torch
from torch import nn

from sesame.nnet.moe import experts as experts_module
from sesame.nnet.moe.experts import Experts


def _choice(num_tokens, num_experts, top_k):
    scores = torch.rand(num_tokens, num_experts)
    weights, ids = scores.topk(top_k, dim=1)
    return ids, weights / weights.sum(1, keepdim=True)


def _parameters(experts):
    hidden = [] if experts.hidden_dim is None else ["hidden_weight", "hidden_bias"]
    return [getattr(experts, name) for name in [*hidden, "weight", "bias"]]


@pytest.mark.parametrize("hidden_dim", [None, 5])
@pytest.mark.parametrize(("num_experts", "top_k"), [(1, 1), (4, 3), (20, 3)])
def test_experts_equal_the_loop(loop_mixture, num_experts, top_k, hidden_dim):
    # 20 experts have too many sets of 3 to group: the third formulation.
    torch.manual_seed(0)
    experts = Experts(num_experts, 6, 4, hidden_dim).double()
    tokens = torch.randn(31, 6, dtype=torch.float64)
    ids, weights = _choice(31, num_experts, top_k)
    expected = loop_mixture(tokens, _parameters(experts), ids, weights.double())
    torch.testing.assert_close(experts(tokens, ids, weights.double()), expected)


@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_choosing_all_experts_is_the_dense_mixture(hidden_dim):
    torch.manual_seed(0)
    experts = Experts(3, 6, 4, hidden_dim).double()
    tokens = torch.randn(9, 6, dtype=torch.float64)
    ids, weights = _choice(9, 3, 3)
    weights = weights.double()
    state = tokens.expand(3, -1, -1)
    if hidden_dim:
        state = torch.baddbmm(
            experts.hidden_bias[:, None], state, experts.hidden_weight
        )
        state = nn.functional.leaky_relu(state)
    outputs = torch.baddbmm(experts.bias[:, None], state, experts.weight)
    gates = torch.zeros(9, 3, dtype=torch.float64).scatter(1, ids, weights)
    expected = torch.einsum("eno,ne->no", outputs, gates)
    torch.testing.assert_close(experts(tokens, ids, weights), expected)


@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_token_permutation_commutes(hidden_dim):
    torch.manual_seed(0)
    experts = Experts(5, 6, 4, hidden_dim).double()
    tokens = torch.randn(40, 6, dtype=torch.float64)
    ids, weights = _choice(40, 5, 2)
    order = torch.randperm(40)
    permuted = experts(tokens[order], ids[order], weights[order].double())
    torch.testing.assert_close(permuted, experts(tokens, ids, weights.double())[order])


def test_order_of_the_choices_does_not_matter():
    torch.manual_seed(0)
    experts = Experts(5, 6, 4).double()
    tokens = torch.randn(40, 6, dtype=torch.float64)
    ids, weights = _choice(40, 5, 3)
    weights = weights.double()
    flipped = experts(tokens, ids.flip(1), weights.flip(1))
    torch.testing.assert_close(flipped, experts(tokens, ids, weights))


@pytest.mark.parametrize("hidden_dim", [None, 64])
def test_each_expert_is_initialised_as_a_linear_layer(hidden_dim):
    torch.manual_seed(0)
    experts = Experts(50, 64, 64, hidden_dim)
    reference = nn.Linear(64, 64)
    for parameter in experts.parameters():
        # Uniform in +-1/8 for 64 inputs, weight and offset, as nn.Linear draws.
        assert parameter.abs().max() <= 0.125
        assert parameter.abs().amax() > 0.99 * 0.125
        assert parameter.std().item() == pytest.approx(0.125 / 3**0.5, rel=0.03)
    assert reference.weight.std().item() == pytest.approx(0.125 / 3**0.5, rel=0.03)
    assert not torch.equal(experts.weight[0], experts.weight[1])


@pytest.mark.parametrize(
    ("hidden_dim", "names"),
    [
        (None, {"weight": (4, 6, 3), "bias": (4, 3)}),
        (
            5,
            {
                "hidden_weight": (4, 6, 5),
                "hidden_bias": (4, 5),
                "weight": (4, 5, 3),
                "bias": (4, 3),
            },
        ),
    ],
)
def test_parameters_are_stacked_over_experts(hidden_dim, names):
    experts = Experts(4, 6, 3, hidden_dim)
    assert {n: tuple(p.shape) for n, p in experts.named_parameters()} == names


@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_idle_experts_get_zero_gradients_not_none(hidden_dim):
    experts = Experts(4, 6, 3, hidden_dim)
    ids = torch.zeros(7, 1, dtype=torch.int64)
    experts(torch.randn(7, 6), ids, torch.ones(7, 1)).sum().backward()
    for parameter in experts.parameters():
        assert parameter.grad[0].abs().sum() > 0
        assert torch.equal(parameter.grad[1:], torch.zeros_like(parameter.grad[1:]))


@pytest.mark.parametrize("hidden_dim", [None, 5])
@pytest.mark.parametrize("num_experts", [4, 70])
def test_autocast_returns_bfloat16_close_to_float32(hidden_dim, num_experts):
    torch.manual_seed(0)
    experts = Experts(num_experts, 32, 8, hidden_dim)
    tokens = torch.randn(60, 32)
    ids, weights = _choice(60, num_experts, 2)
    exact = experts(tokens, ids, weights)
    exact.square().mean().backward()
    gradients = [p.grad.clone() for p in experts.parameters()]
    experts.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = experts(tokens, ids, weights)
        loss = rounded.float().square().mean()
    loss.backward()
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() < 0.02 * exact.norm()
    for parameter, gradient in zip(experts.parameters(), gradients, strict=True):
        assert parameter.grad.dtype == torch.float32
        assert (parameter.grad - gradient).norm() < 0.03 * gradient.norm()


@pytest.mark.parametrize("hidden_dim", [None, 5])
def test_the_device_alone_selects_the_formulation(monkeypatch, hidden_dim):
    used = []
    for name in [
        "dense_linear_experts",
        "dense_hidden_experts",
        "grouped_linear_experts",
        "sorted_experts",
    ]:
        original = getattr(experts_module, name)

        def record(*arguments, name=name, original=original):
            used.append(name)
            return original(*arguments)

        monkeypatch.setattr(experts_module, name, record)
    experts = Experts(4, 6, 3, hidden_dim)
    ids, weights = _choice(5, 4, 2)
    experts(torch.randn(5, 6), ids, weights)
    # Meta tensors stand for an accelerator: anything that waits for values raises.
    experts.to("meta")(torch.randn(5, 6).to("meta"), ids.to("meta"), weights.to("meta"))
    if hidden_dim is None:
        assert used == ["grouped_linear_experts", "dense_linear_experts"]
    else:
        assert used == ["sorted_experts", "dense_hidden_experts"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("hidden_dim", [None, 5])
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_cuda_equals_cpu_without_synchronisation(hidden_dim, top_k):
    torch.manual_seed(0)
    experts = Experts(4, 6, 3, hidden_dim).double()
    tokens = torch.randn(50, 6, dtype=torch.float64, requires_grad=True)
    ids, weights = _choice(50, 4, top_k)
    weights = weights.double()
    experts(tokens, ids, weights).sin().sum().backward()
    expected = [tokens.grad, *(p.grad for p in experts.parameters())]
    twin = Experts(4, 6, 3, hidden_dim).double().cuda()
    twin.load_state_dict(experts.state_dict())
    there = tokens.detach().cuda().requires_grad_()
    arguments = there, ids.cuda(), weights.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        twin(*arguments).sin().sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    actual = [there.grad, *(p.grad for p in twin.parameters())]
    for left, right in zip(actual, expected, strict=True):
        torch.testing.assert_close(left.cpu(), right)


@pytest.mark.parametrize("sizes", [(0, 6, 3), (4, 0, 3), (4, 6, 0), (4, 6, 3, 0)])
def test_a_size_below_one_is_named(sizes):
    with pytest.raises(ValueError, match=r"\(0\) must be at least 1"):
        Experts(*sizes)


def test_no_tokens_give_no_output():
    ids = torch.empty(0, 2, dtype=torch.int64)
    for hidden_dim in (None, 5):
        experts = Experts(4, 6, 3, hidden_dim)
        assert experts(torch.empty(0, 6), ids, torch.empty(0, 2)).shape == (0, 3)


@pytest.mark.parametrize("hidden_dim", [None, 5])
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_a_trace_serves_other_tokens_and_other_routings(hidden_dim, top_k):
    experts = Experts(4, 6, 3, hidden_dim).double()

    def example(num_tokens):
        expert_ids = torch.rand(num_tokens, 4).topk(top_k, dim=1).indices
        weights = torch.rand(num_tokens, top_k, dtype=torch.float64)
        tokens = torch.randn(num_tokens, 6, dtype=torch.float64)
        return tokens, expert_ids, weights

    traced = torch.jit.trace(experts, example(7), check_trace=False)
    for num_tokens in (1, 7, 50):
        arguments = example(num_tokens)
        torch.testing.assert_close(traced(*arguments), experts(*arguments))
