"""SEFlow over whole signals: sizes, slices, causality, identity, priors, gradients."""

import copy
import io

import pytest
import torch

from sesame.models.seflow import SEFlow

SMALL = {"width": 16, "depth": 3, "head_channels": 4, "context": 10, "num_tokens": 4}
# Width and depth: parameters.
TABLE = {
    (1, 8): 11_058_956,
    (6 / 8, 7): 5_535_838,
    (1, 4): 5_784_172,
    (4 / 8, 8): 2_842_732,
    (5 / 8, 5): 2_842_025,
    (4 / 8, 3): 1_184_392,
    (3 / 8, 6): 1_253_734,
    (2 / 8, 6): 582_024,
    (1 / 8, 8): 207_220,
    (1 / 8, 4): 121_312,
    (1 / 8, 3): 99_835,
    (1 / 8, 1): 56_881,
}
SIZES = [(1, 3), (0.75, 2), (0.5, 3), (0.25, 1)]
PRIORS = ["none", "enrollment", "far_end", "both"]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
every_prior = pytest.mark.parametrize("prior", PRIORS)


def network(**changes):
    """Parameters that start at zero are drawn, so that each one counts."""
    model = SEFlow(**(SMALL | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return model


def priors(prior, x, frames=7):
    """Keyword arguments with the prior inputs of a kind."""
    arguments = {}
    if prior in ("enrollment", "both"):
        arguments["enrollment"] = torch.randn(len(x), frames * 80, dtype=x.dtype)
    if prior in ("far_end", "both"):
        arguments["far_end"] = torch.randn_like(x)
    return arguments


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


# ----------------------------------------------------------------- sizes and slices


@pytest.fixture(scope="module")
def full():
    return SEFlow()


@pytest.mark.parametrize(("size", "parameters"), TABLE.items(), ids=str)
def test_sub_networks_have_the_sizes_of_the_table(full, size, parameters):
    assert count(full.subnet(*size)) == parameters


def test_the_network_itself_has_a_norm_for_each_exit(full):
    assert count(full) == 11_058_956 + 7 * 256
    assert count(SEFlow(early_exits=False)) == 11_058_956


@every_size
@every_prior
@pytest.mark.parametrize(("rate", "frames"), [(8000, 6), (8000, 33), (48000, 6)])
def test_a_sub_network_gives_what_the_slice_gives_to_the_last_bit(
    size, prior, rate, frames
):
    model, x = network(), torch.randn(2, frames * rate // 100)
    arguments = priors(prior, x)
    expected = model(x, rate, *size, **arguments)
    stand_alone = model.subnet(*size)
    assert torch.equal(stand_alone(x, rate, **arguments), expected)
    assert stand_alone.width == size[0] * 16


def test_a_full_size_sub_network_gives_what_the_slice_gives(full):
    x = torch.randn(1, 20 * 160)
    for size in ((0.5, 3), (0.125, 4)):
        assert torch.equal(full.subnet(*size)(x, 16000), full(x, 16000, *size))


def test_a_sub_network_is_a_copy_that_can_be_cut_again():
    model, x = network(), torch.randn(1, 800)
    half = model.subnet(0.5, 2)
    assert torch.equal(half.subnet(0.5)(x, 8000), model(x, 8000, 0.25, 2))
    with torch.no_grad():
        expected = model(x, 8000)
        for parameter in half.parameters():
            parameter.zero_()
        assert torch.equal(model(x, 8000), expected)


def test_cutting_draws_no_random_numbers_and_keeps_the_mode():
    model = network().double().eval()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    small = model.subnet(0.5, 1)
    assert torch.equal(torch.rand(1), expected)
    assert not small.training and small.role.dtype == torch.float64


def test_all_exits_come_in_one_pass():
    model, x = network(), torch.randn(2, 900)
    outputs = model(x, 8000, width=0.5, all_exits=True)
    assert len(outputs) == 3
    for depth, output in enumerate(outputs, start=1):
        assert torch.equal(output, model(x, 8000, 0.5, depth))


def test_a_state_dict_makes_another_network_equal():
    model, other, x = network(), network(), torch.randn(1, 800)
    assert not torch.equal(model(x, 8000), other(x, 8000))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(model(x, 8000), other(x, 8000))
    assert torch.equal(copy.deepcopy(model)(x, 8000), model(x, 8000))


# ------------------------------------------------------------------ laws of a signal


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@every_prior
@pytest.mark.parametrize("place", ["first", "second", "last"])
def test_no_sample_is_heard_before_it_comes(rate, prior, place):
    """Samples come in hops: the first output that may change is that of its hop."""
    model, x = network(), torch.randn(1, rate // 5)
    arguments = priors(prior, x)
    changed, later = dict(arguments), x.clone()
    y, hop = model(x, rate, **arguments), rate // 10
    start = hop + {"first": 0, "second": 1, "last": rate // 100 - 1}[place]
    later[:, start:] += torch.randn(1, rate // 5 - start)
    if "far_end" in changed:
        changed["far_end"] = arguments["far_end"].clone()
        changed["far_end"][:, start:] += 1
    different = (model(later, rate, **changed) - y)[0].nonzero()
    # The window starts with zero, so the first output of the hop stays.
    assert hop < different[0] < hop + rate // 100


@pytest.mark.parametrize("length", [1, 79, 80, 81, 1000])
def test_every_length_is_kept_and_its_whole_hops_do_not_depend_on_the_end(length):
    model, x = network(), torch.randn(1, 1000)
    y, whole = model(x[:, :length], 8000), length // 80 * 80
    assert y.shape == (1, length)
    expected = model(x, 8000)[:, :whole]
    torch.testing.assert_close(y[:, :whole], expected, rtol=1e-4, atol=1e-6)


@every_prior
def test_batch_mates_do_not_meet(prior):
    model, x = network().double(), torch.randn(3, 1200, dtype=torch.float64)
    arguments = priors(prior, x)
    alone = {name: value[1:2] for name, value in arguments.items()}
    y = model(x, 8000, **arguments)[1:2]
    torch.testing.assert_close(y, model(x[1:2], 8000, **alone), rtol=1e-9, atol=1e-9)


def test_long_signals_are_attended_to_window_by_window():
    """More than two contexts take another way; both give the same."""
    model, x = network(context=10).double(), torch.randn(1, 3000, dtype=torch.float64)
    wide = network(context=50).double()
    state = model.state_dict()
    for name in [name for name in state if name.endswith("biases")]:
        table = torch.full((4, 51), -torch.inf, dtype=torch.float64)
        table[:, :10], table[:, 50] = state[name][:, :10], state[name][:, 10]
        state[name] = table
    wide.load_state_dict(state)
    for arguments in ({}, {"enrollment": torch.randn(1, 900, dtype=torch.float64)}):
        y, expected = model(x, 8000, **arguments), wide(x, 8000, **arguments)
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)


# ----------------------------------------------------------------------------- priors


def test_priors_change_the_output_and_a_silent_far_end_does_not():
    model, x = network(), torch.randn(1, 900)
    y = model(x, 8000)
    for prior in ("enrollment", "far_end"):
        assert not torch.allclose(model(x, 8000, **priors(prior, x)), y)
    silent = model(x, 8000, far_end=torch.zeros_like(x))
    torch.testing.assert_close(silent, y, rtol=1e-5, atol=1e-6)


@every_size
def test_an_enrollment_is_computed_once_for_many_signals(size):
    model, x, voice = network(), torch.randn(3, 900), torch.randn(1, 2000)
    kept = model.enroll(voice, 8000, *size)
    expected = model(x, 8000, *size, enrollment=voice.expand(3, -1))
    for enrollment in (voice, kept):
        y = model(x, 8000, *size, enrollment=enrollment)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)
    assert kept.tokens[0].shape == (1, 20, 2, 4 * size[0], 4, 4)


# -------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    ("rate", "idle"), [(8000, (1, 2, 3)), (16000, (3,)), (48000, ())]
)
def test_idle_weights_get_a_gradient_of_exactly_zero_and_active_ones_do_not(rate, idle):
    model, x = network(), torch.randn(2, 15 * rate // 100)
    outputs = model(x, rate, 0.5, all_exits=True, **priors("both", x))
    sum(output.square().sum() for output in outputs).backward()
    small = dict(model.subnet(0.5).named_parameters())
    small |= {f"exits.{n}.weight": small["exits.3.weight"] for n in (1, 2)}
    # Wider bands than a rate has have no part.
    idle_groups = tuple(
        f"{layer}.{group}."
        for layer in ("encoder.maps", "decoder.hidden", "decoder.outputs")
        for group in idle
    )
    for name, parameter in model.named_parameters():
        if name.startswith(idle_groups):
            assert parameter.grad is None or not parameter.grad.any()
            continue
        active = tuple(slice(n) for n in small[name].shape)
        gradient = parameter.grad.clone()
        assert gradient.isfinite().all() and gradient[active].any(), name
        gradient[active] = 0
        assert not gradient.any(), name


def test_blocks_that_are_left_out_get_no_gradient():
    model = network()
    model(torch.randn(1, 800), 8000, depth=1).square().sum().backward()
    assert all(p.grad is not None for p in model.blocks[0].parameters())
    assert all(p.grad is None for p in model.blocks[1:].parameters())
    assert model.exits["2"].weight.grad is None


@pytest.mark.parametrize("kind", ["silence", "silent far end", "lost packets", "tiny"])
def test_silence_of_any_kind_is_finite_with_finite_gradients(kind):
    model = network()
    x = torch.zeros(1, 1600) if kind != "silent far end" else torch.randn(1, 1600)
    if kind == "lost packets":
        x[:, ::320] = 0.3
        x = x.unflatten(1, (10, 160)) * (torch.arange(10) % 5 == 0)[:, None]
        x = x.flatten(1)
    if kind == "tiny":
        x += 1e-38
    x.requires_grad_()
    far_end = torch.zeros(1, 1600, requires_grad=True)
    voice = torch.zeros(1, 800, requires_grad=True)
    outputs = model(x, 8000, far_end=far_end, enrollment=voice, all_exits=True)
    sum(output.square().sum() for output in outputs).backward()
    assert all(output.isfinite().all() for output in outputs)
    for gradient in (x.grad, far_end.grad, voice.grad):
        assert gradient.isfinite().all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_autocast_agrees_with_float32():
    model, x = network(), torch.randn(1, 1600)
    arguments = priors("both", x)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = model(x, 8000, **arguments)
    assert reduced.dtype == torch.float32
    expected = model(x, 8000, **arguments)
    assert (reduced - expected).norm() < 0.05 * expected.norm()


def test_inference_mode_first_does_not_spoil_training():
    model, x = network(), torch.randn(1, 800)
    with torch.inference_mode():
        model(x, 8000)
    model(x, 8000).square().sum().backward()
    assert model.role.grad is None and model.encoder.embedding.grad.any()


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_rate": 22050}, r"sample_rate \(22050\) must be a multiple of 100"),
        ({"sample_rate": 96000}, r"sample_rate \(96000\) must be a multiple of 100"),
        ({"width": 0.3}, r"width \(0.3\) must be a multiple of 1/4 in \(0, 1\]"),
        ({"width": 0}, r"width \(0\) must be a multiple of 1/4"),
        ({"width": 1.25}, r"width \(1.25\) must be a multiple of 1/4"),
        ({"depth": 0}, r"depth \(0\) must be in \[1, 3\]"),
        ({"depth": 4}, r"depth \(4\) must be in \[1, 3\]"),
        ({"mixture": torch.zeros(800)}, r"expected mixture \(B, L\)"),
        ({"mixture": torch.zeros(1, 0)}, r"expected mixture \(B, L\)"),
        ({"mixture": torch.zeros(1, 80).long()}, "expected a floating-point mixture"),
        ({"far_end": torch.zeros(1, 799)}, r"far_end \(1, 799\) must have the shape"),
        ({"far_end": torch.zeros(1, 800).int()}, "expected a floating-point far_end"),
        ({"enrollment": torch.zeros(1, 0)}, r"expected enrollment \(B, L\)"),
        ({"enrollment": torch.zeros(2, 800)}, r"voices \(2\) must be 1 or B \(1\)"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_refused(arguments, message):
    arguments = {"mixture": torch.zeros(1, 800), "sample_rate": 8000} | arguments
    with pytest.raises(ValueError, match=message):
        network()(**arguments)


@pytest.mark.parametrize("sample_rate", [0, 7900, 22050, 48100])
def test_a_rate_at_which_it_does_not_run_has_no_cost(sample_rate):
    with pytest.raises(ValueError, match=rf"sample_rate \({sample_rate}\) must be"):
        network().macs_per_second(sample_rate)


def test_chosen_exits_come_in_one_pass_in_their_order():
    model, x = network(), torch.randn(2, 900)
    outputs = model(x, 8000, width=0.5, all_exits=[3, 1])
    for depth, output in zip((1, 3), outputs, strict=True):
        assert torch.equal(output, model(x, 8000, 0.5, depth))
    (first,) = model(x, 8000, all_exits=(1,))
    assert torch.equal(first, model(x, 8000, depth=1))
    for exits in ([2, 0], [], [1.5], [4]):
        with pytest.raises(ValueError, match=r"all_exits \(.*\) must be in \[1, 3\]"):
            model(x, 8000, all_exits=exits)


def test_a_network_without_early_exits_is_left_at_its_end():
    model = network(early_exits=False)
    with pytest.raises(ValueError, match=r"depth \(2\) must be in \[3, 3\]"):
        model.subnet(1, 2)
    with pytest.raises(ValueError, match=r"all_exits \(True\) must be False"):
        model(torch.zeros(1, 800), 8000, all_exits=True)


def test_an_enrollment_of_another_size_is_refused():
    model = network()
    voice = model.enroll(torch.randn(1, 800), 8000, width=0.5)
    with pytest.raises(ValueError, match="must fit 8000 Hz, 16 channels"):
        model(torch.zeros(1, 800), 8000, enrollment=voice)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 18}, r"width \(18\) must be a multiple of head_channels \(4\)"),
        ({"depth": 0}, r"depth \(0\) must be at least 1"),
        ({"head_channels": 0}, r"head_channels \(0\) must be at least 1"),
        ({"num_tokens": 0}, r"num_tokens \(0\) must be at least 1"),
        ({"context": 0}, r"context \(0\) must be at least 1"),
        ({"kernel_size": 2}, r"kernel_size \(2\) must be odd"),
        ({"exponent": 0.0}, r"exponent \(0.0\) must be in \(0, 1\]"),
    ],
)
def test_bad_sizes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SEFlow(**(SMALL | arguments))
