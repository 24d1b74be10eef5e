"""SEFlow with flow matching: off it is not there, one step is none, more stream."""

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sesame.models.seflow import SEFlow

SMALL = {"width": 16, "depth": 2, "head_channels": 4, "context": 7, "num_tokens": 4}
SIZES = [(1, 2), (0.75, 1), (0.25, 2)]
PRIORS = ["none", "enrollment", "far_end", "both"]
every_size = pytest.mark.parametrize("size", SIZES, ids=str)
every_prior = pytest.mark.parametrize("prior", PRIORS)


def network(num_steps=1, **changes):
    """Parameters that start at zero are drawn, so that each one counts."""
    model = SEFlow(**(SMALL | changes), flow_matching=True, num_steps=num_steps)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return model.eval()


def signals(prior, frames, batch=1, rate=8000):
    hop = rate // 100
    x, arguments = torch.randn(batch, frames * hop) * 0.1, {}
    if prior in ("enrollment", "both"):
        arguments["enrollment"] = torch.randn(batch, 12 * hop) * 0.1
    if prior in ("far_end", "both"):
        arguments["far_end"] = torch.randn_like(x) * 0.1
    return x, arguments


def relative(y, expected):
    return ((y - expected).abs().max() / expected.abs().max()).item()


# ---------------------------------------------------------------------- off and start


def plain_and_flow(**options):
    models = []
    for flow_matching in (False, True):
        torch.manual_seed(5)
        models.append(SEFlow(**SMALL, flow_matching=flow_matching, **options))
    return models


def test_it_adds_parameters_of_its_own_and_off_there_are_none():
    off, on = (set(model.state_dict()) for model in plain_and_flow())
    assert {name for name in on - off if not name.startswith("flow.")} == set()
    assert on > off and not any(name.startswith("flow") for name in off)
    torch.manual_seed(5)
    default = SEFlow(**SMALL).state_dict()
    assert list(default) == list(plain_and_flow()[0].state_dict())
    other = plain_and_flow()[0].state_dict()
    assert all(torch.equal(default[name], other[name]) for name in default)


@every_prior
def test_it_starts_as_the_network_without_it(prior):
    (off, on), (x, arguments) = plain_and_flow(), signals(prior, 25, batch=2)
    expected = off(x, 8000, **arguments)
    for on.num_steps in (1, 3):
        assert torch.equal(on(x, 8000, **arguments), expected)


@every_size
@every_prior
def test_one_step_is_a_predictive_network_with_summed_maps(size, prior):
    """At the start the place is the mixture and the time adds nothing."""
    on, plain = network().double(), SEFlow(**SMALL).double()
    state = {k: v.clone() for k, v in on.state_dict().items() if "flow" not in k}
    for group, linear in enumerate(on.flow.maps):
        weight = state[f"encoder.maps.{group}.weight"].unflatten(1, (-1, 4))
        weight[..., :2] += linear.weight.unflatten(1, (-1, 2))
    plain.load_state_dict(state)
    x, arguments = signals(prior, 25, batch=2)
    arguments = {name: value.double() for name, value in arguments.items()}
    y = on(x.double(), 8000, *size, **arguments)
    expected = plain(x.double(), 8000, *size, **arguments)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)


# --------------------------------------------------------------------- several steps


def spied(model, monkeypatch, replace=None):
    """Places and times that the network hears of, and what it decodes."""
    heard, decoded = [], []
    encode, decode = model.flow.forward, model.decoder.forward

    def flow(x, times, bands, channels):
        heard.append((x, times))
        return encode(x, times, bands, channels)

    def decoder(*inputs):
        decoded.append(decode(*inputs))
        return decoded[-1] if replace is None else replace

    monkeypatch.setattr(model.flow, "forward", flow)
    monkeypatch.setattr(model.decoder, "forward", decoder)
    return heard, decoded


@pytest.mark.parametrize("num_steps", [1, 2, 3, 5])
def test_an_oracle_in_the_place_of_the_decoder_gives_the_target(num_steps, monkeypatch):
    model, rate = network(num_steps), 8000
    x, target = torch.randn(2, 1, 25 * 80)
    stft, _ = model.front_ends(rate, "cpu")
    heard, _ = spied(model, monkeypatch, replace=stft(target))
    y = model(x, rate)
    assert relative(y[:, 80:], target[:, :-80]) < 1e-6
    start, end = (model.encoder.compress(stft(s)) for s in (x, target))
    assert len(heard) == num_steps
    for step, (place, time) in enumerate(heard):
        assert time == step / num_steps
        line = (1 - time) * start + time * end
        torch.testing.assert_close(place, line, rtol=1e-4, atol=1e-5)


def test_each_step_takes_up_where_the_one_before_has_led_to(monkeypatch):
    model, rate, (x, arguments) = network(3), 8000, signals("both", 25)
    stft, _ = model.front_ends(rate, "cpu")
    arguments["enrollment"] = model.enroll(arguments["enrollment"], rate)
    heard, decoded = spied(model, monkeypatch)
    y = model(x, rate, **arguments)
    (places, times), compress = zip(*heard, strict=True), model.encoder.compress
    assert times == (0, 1 / 3, 2 / 3)
    torch.testing.assert_close(places[0], compress(stft(x)))
    for (this, following), end, time in zip(
        pairwise(places), decoded[:2], times[:2], strict=True
    ):
        expected = this + (1 / 3) / (1 - time) * (compress(end) - this)
        torch.testing.assert_close(following, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(y, stft.inverse(decoded[2], x.shape[1]))


def test_steps_count():
    model, (x, _) = network(), signals("none", 25)
    outputs = []
    for model.num_steps in (1, 2, 4):
        outputs.append(model(x, 8000))
    for a, b in pairwise(outputs):
        assert relative(a, b) > 1e-3


@every_prior
def test_each_exit_is_led_by_its_own_predictions(prior):
    model, (x, arguments) = network(3), signals(prior, 25, batch=2)
    outputs = model(x, 8000, 0.5, all_exits=True, **arguments)
    assert len(outputs) == 2
    for depth, output in enumerate(outputs, start=1):
        assert torch.equal(output, model(x, 8000, 0.5, depth, **arguments))


@every_size
@every_prior
@pytest.mark.parametrize("num_steps", [1, 2])
def test_a_sub_network_gives_what_the_slice_gives(size, prior, num_steps):
    model, (x, arguments) = network(num_steps), signals(prior, 25, batch=2)
    part = model.subnet(*size)
    assert part.num_steps == num_steps
    expected = model(x, 8000, *size, **arguments)
    assert torch.equal(part(x, 8000, **arguments), expected)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_no_sample_is_heard_before_it_comes(rate):
    model, x, start = network(3), torch.randn(1, rate // 5), rate // 10
    later = x.clone()
    later[:, start:] += torch.randn(1, rate // 5 - start)
    different = (model(later, rate) - model(x, rate))[0] != 0
    assert not different[:start].any()
    assert different[start + 1 : start + rate // 50].any()


def test_autocast_agrees_with_float32():
    model, (x, _) = network(2), signals("none", 25)
    point = torch.randn_like(x), torch.tensor([0.4])
    for arguments in ({}, {"point": point}):
        expected = model(x, 8000, **arguments)
        with torch.autocast("cpu", torch.bfloat16):
            reduced = model(x, 8000, **arguments)
        assert reduced.dtype == torch.float32
        assert (reduced - expected).norm() < 0.05 * expected.norm()


def test_silence_is_finite_with_finite_gradients():
    model, x = network(3), torch.zeros(1, 1600, requires_grad=True)
    y = model(x, 8000, far_end=torch.zeros(1, 1600))
    y.square().sum().backward()
    assert y.isfinite().all() and x.grad.isfinite().all()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_steps_multiply_the_cost():
    plain, model = SEFlow(**SMALL), network()
    for rate in (8000, 16000, 48000):
        model.num_steps = 1
        one = model.macs_per_second(rate, 0.5, 2, num_tokens=4)
        edge = model.front_ends(rate, "cpu").bands.bins.numel() * 2 * 8 * 100
        assert one == plain.macs_per_second(rate, 0.5, 2, num_tokens=4) + edge
        for model.num_steps in (1, 2, 4):
            macs = model.macs_per_second(rate, 0.5, 2, num_tokens=4)
            assert macs == one * model.num_steps


@pytest.mark.parametrize("num_steps", [1, 3])
def test_the_cost_is_what_a_hop_multiplies(num_steps, monkeypatch):
    monkeypatch.setattr("sesame.nnet.slimmable.feed_forward._SMALL", 0)
    model = network(num_steps)
    state = model.initial_state(10, 16000)
    counter = FlopCounterMode(display=False)
    backend = torch.nn.attention.SDPBackend.MATH
    with torch.nn.attention.sdpa_kernel(backend), counter:
        model.step(torch.randn(10, 160), state)
    macs = counter.get_total_flops() / 2 / 10 * 100
    assert macs == model.macs_per_second(16000)


# -------------------------------------------------------------------------- streaming


def blocks_of(frames, hop):
    sizes, generator = [], torch.Generator().manual_seed(frames)
    while sum(sizes) < frames:
        size = int(torch.randint(1, 6, (1,), generator=generator))
        sizes.append(min(size, frames - sum(sizes)))
    return [size * hop for size in sizes]


def check_streams(model, rate, size, prior, frames, batch=1):
    x, arguments = signals(prior, frames, batch, rate)
    with torch.no_grad():
        expected = model(x, rate, *size, **arguments)
    opened = {"far_end": "far_end" in arguments}
    opened["enrollment"] = arguments.get("enrollment")
    state = [model.initial_state(batch, rate, *size, **opened)]

    def step(*block):
        y, state[0] = model.step(block[0], state[0], *block[1:])
        return y

    parts = [x, arguments["far_end"]] if opened["far_end"] else [x]
    with model.streaming(batch, rate, *size, **opened) as stream:
        for run in (step, stream):
            cuts = [part.split(blocks_of(frames, rate // 100), 1) for part in parts]
            y = torch.cat([run(*block) for block in zip(*cuts, strict=True)], 1)
            assert relative(y, expected) < 1e-5


@every_size
@every_prior
@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_streams_equal_the_whole(size, prior, num_steps):
    check_streams(network(num_steps), 8000, size, prior, frames=30)


@pytest.mark.parametrize("rate", [16000, 24000, 44100, 48000])
def test_streams_of_every_rate_equal_the_whole(rate):
    check_streams(network(2), rate, (0.5, 2), "both", frames=30, batch=2)


def test_each_step_has_memories_of_its_own():
    one, three = (network(n).initial_state(1, 8000) for n in (1, 3))
    per_block = [n for n in one.tensors if n.startswith(("memory_", "past_"))]
    assert len(three.tensors) == len(one.tensors) + 2 * len(per_block)
    blocks = sum(one.tensors[name].nbytes for name in per_block)
    assert three.num_bytes == one.num_bytes + 2 * blocks


def test_a_stream_keeps_the_steps_it_was_opened_with_and_starts_anew():
    model, (x, arguments) = network(2), signals("enrollment", 12)
    expected = model(x, 8000, **arguments)
    state = model.initial_state(1, 8000, **arguments)
    with model.streaming(1, 8000, **arguments) as stream:
        model.num_steps = 1
        assert relative(stream(x), expected) < 1e-5
        stream.reset()
        assert relative(stream(x), expected) < 1e-5
    assert relative(model.step(x, state)[0], expected) < 1e-5
    assert relative(model(x, 8000, **arguments), expected) > 1e-3


# --------------------------------------------------------------------------- training


def test_time_zero_asks_for_what_one_step_gives():
    model, (x, arguments) = network(), signals("both", 25, batch=2)
    point = torch.randn_like(x), torch.zeros(2)
    y = model(x, 8000, point=point, **arguments)
    torch.testing.assert_close(y, model(x, 8000, **arguments))


def test_items_are_predicted_from_their_own_places(monkeypatch):
    model, (x, _) = network(num_steps=4), signals("none", 25, batch=3)
    stft, _ = model.front_ends(8000, "cpu")
    target, times = torch.randn_like(x), torch.tensor([0.0, 0.3, 0.9])
    heard, _ = spied(model, monkeypatch)
    outputs = model(x, 8000, all_exits=True, point=(target, times))
    ((places, told),) = heard
    start, end = (model.encoder.compress(stft(s)) for s in (x, target))
    line = times[:, None, None, None]
    torch.testing.assert_close(places, (1 - line) * start + line * end)
    assert torch.equal(told, times)
    for i in range(3):
        alone = target[i : i + 1], times[i : i + 1]
        expected = model(x[i : i + 1], 8000, all_exits=True, point=alone)
        for y, z in zip(outputs, expected, strict=True):
            torch.testing.assert_close(y[i : i + 1], z, rtol=1e-4, atol=1e-6)


def test_idle_weights_get_a_gradient_of_exactly_zero_and_active_ones_do_not():
    model, (x, _) = network(), signals("none", 25, batch=2)
    point = torch.randn_like(x), torch.tensor([0.2, 0.6])
    model(x, 8000, 0.5, point=point).square().sum().backward()
    for parameter in (model.flow.maps[0].weight, model.flow.time.embedding):
        assert parameter.grad[:8].any(1).all() and not parameter.grad[8:].any()


def test_the_target_is_heard_beyond_time_zero_and_never_before_it_comes():
    model, (x, _) = network(), signals("none", 25, batch=2)
    target, times, outputs = torch.randn_like(x), torch.tensor([0.0, 0.3]), []
    for later in (0, 1):
        target[:, 960:] += later
        outputs.append(model(x, 8000, point=(target, times)))
    different = outputs[0] != outputs[1]
    assert not different[0].any() and not different[1, :960].any()
    assert different[1, 961:1120].any()


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_steps": 2}, r"num_steps \(2\) must be 1 unless flow_matching is True"),
        ({"num_steps": 0}, r"num_steps \(0\) must be at least 1"),
        ({"num_steps": 0, "flow_matching": True}, r"num_steps \(0\) must be at least"),
    ],
)
def test_bad_numbers_of_steps_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SEFlow(**SMALL, **arguments)
    with pytest.raises(ValueError, match=message):
        model = SEFlow(**SMALL, flow_matching=arguments.get("flow_matching", False))
        model.num_steps = arguments["num_steps"]


def test_a_step_is_whole():
    with pytest.raises(TypeError):
        SEFlow(**SMALL, flow_matching=True, num_steps=1.5)


@pytest.mark.parametrize(
    ("target", "times", "message"),
    [
        ((2, 799), (2,), r"target \(2, 799\) must have the shape of the mixture"),
        ((2, 800), (1,), r"times \(1,\) must be \(B\) with B = 2"),
    ],
)
def test_points_that_do_not_fit_are_refused(target, times, message):
    point = torch.zeros(target), torch.zeros(times)
    with pytest.raises(ValueError, match=message):
        network()(torch.zeros(2, 800), 8000, point=point)


def test_a_network_without_it_refuses_points():
    x = torch.zeros(1, 800)
    with pytest.raises(ValueError, match="must be None unless flow_matching is True"):
        SEFlow(**SMALL)(x, 8000, point=(x, torch.zeros(1)))
