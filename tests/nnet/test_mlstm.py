"""The mLSTM mixer: causal, reversible, streamable, of the published size."""

import math
import statistics

import pytest
import torch
from torch import nn

from sesame.nnet import mlstm
from sesame.nnet.mlstm import MLSTM, BlockLinear


def lively(**sizes):
    """A mixer in float64 whose gates depend on the input."""
    mixer = MLSTM(channels=4, num_heads=2, **sizes).double()
    with torch.no_grad():
        for gate in (mixer.input_gate, mixer.forget_gate):
            gate.weight.normal_(std=0.5)
            gate.bias.normal_()
        mixer.out_norm.bias.normal_()
        mixer.skip.normal_()
    return mixer


def sequences(steps=9, number=2):
    return torch.randn(number, steps, 4, dtype=torch.float64)


def test_every_step_is_heard_by_itself_and_all_later_ones():
    mixer, x = lively(), sequences()
    y = x.clone()
    y[0, 3] += 1.0
    moved = (mixer(x) - mixer(y)).abs().amax(2) > 1e-9
    assert moved.tolist() == [[False] * 3 + [True] * 6, [False] * 9]


def test_reverse_equals_the_mixer_between_two_flips():
    mixer, x = lively(), sequences(70)
    backward = lively(reverse=True)
    backward.load_state_dict(mixer.state_dict())
    assert not torch.allclose(backward(x), mixer(x), atol=1e-3)
    torch.testing.assert_close(
        backward(x), mixer(x.flip(1)).flip(1), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("conv_width", [1, 4])
def test_steps_one_by_one_equal_the_whole(conv_width):
    mixer, x = lively(conv_width=conv_width), sequences(70, number=3)
    state = mixer.initial_state(3)
    outputs = []
    for step in x.unbind(1):
        y, state = mixer.step(step, state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), mixer(x), rtol=0, atol=1e-10)


def test_a_reversed_mixer_does_not_go_step_by_step():
    mixer = lively(reverse=True)
    with pytest.raises(ValueError, match=r"reverse \(True\) must be False"):
        mixer.step(sequences()[:, 0], mixer.initial_state(2))


def test_parts_of_a_batch_give_the_same_as_the_whole(monkeypatch):
    mixer, x = lively(), sequences(number=5).requires_grad_()
    whole = mixer(x)
    (gradient,) = torch.autograd.grad(whole.square().sum(), x)
    monkeypatch.setattr(mlstm, "_PIECE_BYTES", 1)
    assert len(mixer._split(x)) == 5
    parts = mixer(x)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    (of_parts,) = torch.autograd.grad(parts.square().sum(), x)
    torch.testing.assert_close(of_parts, gradient, rtol=0, atol=1e-12)


def test_heads_do_not_meet_before_the_output():
    mixer, x = lively(), sequences()
    with torch.no_grad():
        mixer.input_gate.weight.zero_()
        mixer.forget_gate.weight.zero_()
        half = mixer.inner_channels // 2
        mixer.out_projection.weight[:, half:] = 0
        expected = mixer(x)
        for inner in (mixer.in_projection, mixer.conv):
            inner.bias[half : 2 * half] += 1.0
    torch.testing.assert_close(mixer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("channels", "num_heads"), [(64, 4), (24, 2), (12, 3)])
def test_block_projection_equals_a_linear_map_with_zeros_outside(channels, num_heads):
    layer = BlockLinear(channels, num_heads).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(3, 5, channels, dtype=torch.float64)
    dense = torch.block_diag(*layer.weight)
    expected = nn.functional.linear(x, dense, layer.bias)
    heads = expected.unflatten(-1, (num_heads, -1)).permute(2, 0, 1, 3)
    torch.testing.assert_close(layer(x), heads, rtol=0, atol=1e-12)


def test_starts_like_the_network_of_the_authors():
    mixer = MLSTM(64)
    spreads = {
        mixer.in_projection: math.sqrt(2 / 320),
        mixer.query: math.sqrt(2 / 320),
        mixer.key: math.sqrt(2 / 320),
        mixer.value: math.sqrt(2 / 320),
        mixer.out_projection: 0.25,
    }
    for module, spread in spreads.items():
        assert statistics.stdev(module.weight.flatten().tolist()) == pytest.approx(
            spread, rel=0.06
        )
        assert not module.bias.any()
    for gate in (mixer.input_gate, mixer.forget_gate):
        assert not gate.weight.any() and not gate.bias.any()
    assert (mixer.skip == 1).all() and (mixer.out_norm.weight == 1).all()
    torch.manual_seed(1)
    expected = nn.Conv1d(256, 256, 4, groups=256)
    torch.manual_seed(1)
    mixer.conv.reset_parameters()
    assert torch.equal(mixer.conv.weight, expected.weight)


# Published totals: 2 203 601 and 2 272 849, of which the codec has 1 147 217 and each
# merge of two directions, Linear(128, 64), 8 256.
@pytest.mark.parametrize(
    ("expand", "blocks", "total"), [(4, 4, 2_203_601), (2, 8, 2_272_849)]
)
def test_size_is_the_published_one(expand, blocks, total):
    direction = nn.ModuleList([nn.LayerNorm(64), MLSTM(64, expand=expand)])
    size = sum(parameter.numel() for parameter in direction.parameters())
    assert 1_147_217 + 2 * blocks * (2 * size + 8_256) == total


def test_autocast_leaves_gates_and_memory_in_float32(monkeypatch):
    dtypes, reducing = [], []
    cell = mlstm.mlstm_cell

    def recording(*arguments):
        y = cell(*arguments)
        dtypes.append({part.dtype for part in (*arguments, y)})
        reducing.append(torch.is_autocast_enabled("cpu"))
        return y

    monkeypatch.setattr(mlstm, "mlstm_cell", recording)
    mixer, x = lively().float(), sequences().float()
    expected = mixer(x)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = mixer(x)
    assert dtypes == [{torch.float32}] * 2 and reducing == [False, False]
    assert reduced.dtype == torch.bfloat16
    error = (reduced.float() - expected).square().mean() / expected.square().mean()
    assert error < 2e-3


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("reverse", [False, True])
def test_a_trace_serves_any_number_of_sequences_and_steps(reverse):
    mixer = lively(reverse=reverse)
    traced = torch.jit.trace(mixer, sequences(5))
    for steps, number in [(1, 1), (70, 3), (9, 2)]:
        x = sequences(steps, number)
        torch.testing.assert_close(traced(x), mixer(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["channels", "expand", "num_heads", "conv_width"])
def test_sizes_must_be_positive(name):
    with pytest.raises(ValueError, match=rf"{name} \(0\) must be at least 1"):
        MLSTM(**{"channels": 8, name: 0})


def test_heads_must_consist_of_whole_blocks():
    with pytest.raises(ValueError, match=r"channels \(24\).*num_heads \(16\)"):
        MLSTM(channels=6)
