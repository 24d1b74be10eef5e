"""SEFlow block by block: equal to the whole signal, however the blocks are cut."""

import itertools

import pytest
import torch

from sesame.models.seflow import SEFlow
from sesame.nnet.streaming import StreamState

SMALL = {"width": 16, "depth": 2, "head_channels": 4, "context": 7, "num_tokens": 4}
RATES = [8000, 16000, 24000, 48000]
PRIORS = ["none", "enrollment", "far_end"]


def drawn(model):
    """Parameters that start at zero are drawn, so that each one counts."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def full():
    torch.manual_seed(1)
    return drawn(SEFlow())


@pytest.fixture(scope="module")
def forgetful():
    """Full width and depth, and a context that a few frames fill."""
    torch.manual_seed(1)
    return drawn(SEFlow(context=8))


def network(**changes):
    return drawn(SEFlow(**(SMALL | changes)))


def signals(prior, rate, frames, batch=1, voice_frames=40):
    hop = rate // 100
    x = torch.randn(batch, frames, hop) * 0.1
    x[torch.rand(batch, frames) < 0.2] = 0  # lost packets
    x = x.flatten(1)
    far_end = torch.randn_like(x) * 0.1 if prior in ("far_end", "both") else None
    voice = None
    if prior in ("enrollment", "both"):
        voice = torch.randn(batch, voice_frames * hop) * 0.1
    return x, far_end, voice


def random_blocks(total, hop, most=5):
    generator, sizes = torch.Generator().manual_seed(total), []
    while sum(sizes) < total:
        size = int(torch.randint(1, most + 1, (1,), generator=generator))
        sizes.append(min(size, total - sum(sizes)))
    return [size * hop for size in sizes]


def run(step, x, far_end, blocks):
    parts = [None] * len(blocks) if far_end is None else far_end.split(blocks, 1)
    return torch.cat(
        [step(a, b) for a, b in zip(x.split(blocks, 1), parts, strict=True)], dim=1
    )


def stepper(model, state):
    """The plain step, with its state."""
    states = [state]

    def step(x, far_end):
        y, states[0] = model.step(x, states[0], far_end)
        return y

    return step


def relative(y, expected):
    return ((y - expected).abs().max() / expected.abs().max()).item()


# --------------------------------------------------------- streaming equals offline


def check_streams(model, rate, size, prior, frames):
    """Slices, and the stand-alone network with its fast hops, with random blocks."""
    x, far_end, voice = signals(prior, rate, frames)
    with torch.no_grad():
        if voice is not None:  # 40 frames for 32 tokens; from signals in other tests
            voice = model.enroll(voice, rate, *size)
        expected = model(x, rate, *size, far_end=far_end, enrollment=voice)
    arguments = {"enrollment": voice, "far_end": far_end is not None}
    blocks = random_blocks(frames, rate // 100)
    state = model.initial_state(1, rate, *size, **arguments)
    assert relative(run(stepper(model, state), x, far_end, blocks), expected) < 1e-5
    with model.streaming(1, rate, *size, **arguments) as stream:
        assert relative(run(stream, x, far_end, blocks), expected) < 1e-5


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("prior", PRIORS)
def test_the_full_network_streams_beyond_its_context(forgetful, rate, prior):
    check_streams(forgetful, rate, (1, 8), prior, frames=13)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("size", [(0.5, 3), (0.125, 4)], ids=str)
def test_sub_networks_stream_beyond_their_context(full, rate, size, prior):
    check_streams(full, rate, size, prior, frames=112)


def test_the_full_network_streams_beyond_one_second(full):
    check_streams(full, 8000, (1, 8), "far_end", frames=104)


@pytest.mark.parametrize("rate", [8100, 32000, 44100])
def test_rates_between_stream_too(rate):
    check_streams(network(), rate, (0.5, 2), "both", frames=20)


@pytest.mark.parametrize("prior", ["none", "both"])
@pytest.mark.parametrize("blocks", [[1] * 30, [30], [8, 22], [7, 1, 15, 7], [29, 1]])
@pytest.mark.parametrize("voice_frames", [3, 40])
def test_any_cut_gives_the_whole(prior, blocks, voice_frames):
    model = network().double()
    x, far_end, voice = (
        None if signal is None else signal.double()
        for signal in signals(prior, 8000, 30, 2, voice_frames)
    )
    expected = model(x, 8000, far_end=far_end, enrollment=voice)
    blocks = [80 * block for block in blocks]
    with model.streaming(2, 8000, None, None, voice, far_end is not None) as stream:
        y = run(stream, x, far_end, blocks)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)


# --------------------------------------------------------------- batches of streams


def two_ages(model, size=(0.5, 2)):
    """Two streams of which the second starts nine hops later, and each one alone."""
    x, far_end, voice = signals("both", 8000, 25, batch=2)
    alone = []
    for item, start in ((slice(0, 1), 0), (slice(1, 2), 9)):
        state = model.initial_state(1, 8000, *size, voice[item], far_end=True)
        step = stepper(model, state)
        late_x, late_far = x[item, start * 80 :], far_end[item, start * 80 :]
        alone.append(run(step, late_x, late_far, [80] * (25 - start)))
    return x, far_end, voice, alone


@pytest.mark.parametrize("blocks", [[1] * 16, [16], [3, 1, 12]])
def test_streams_join_part_and_start_anew(blocks):
    model, size = network(), (0.5, 2)
    x, far_end, voice, alone = two_ages(model, size)
    state = model.initial_state(1, 8000, *size, voice[:1], far_end=True)
    head, state = model.step(x[:1, :720], state, far_end[:1, :720])
    other = model.initial_state(1, 8000, *size, voice[1:], far_end=True)
    joined = StreamState.join([state, other])
    rest = [80 * block for block in blocks]
    y = run(stepper(model, joined), x[:, 720:], far_end[:, 720:], rest)
    assert relative(torch.cat((head, y[:1]), 1), alone[0]) < 1e-5
    assert relative(y[1:], alone[1]) < 1e-5


def test_a_stream_taken_out_goes_on_alone():
    model = network()
    x, far_end, voice = signals("both", 8000, 20, batch=3)
    expected = model(x, 8000, far_end=far_end, enrollment=voice)
    state = model.initial_state(3, 8000, enrollment=voice, far_end=True)
    _, state = model.step(x[:, :800], state, far_end[:, :800])
    y, _ = model.step(x[1:2, 800:], state.take([1]), far_end[1:2, 800:])
    assert relative(y, expected[1:2, 800:]) < 1e-5


def test_a_reset_stream_starts_anew_with_its_voice():
    model = network()
    x, far_end, voice = signals("both", 8000, 12, batch=2)
    with model.streaming(2, 8000, enrollment=voice, far_end=True) as stream:
        first = run(stream, x, far_end, [80] * 12)
        stream.reset([1])
        second = run(stream, x, far_end, [80] * 12)
        stream.reset()
        third = run(stream, x, far_end, [80] * 12)
    assert torch.equal(second[1], first[1])
    assert not torch.allclose(second[0], first[0])
    assert torch.equal(third, first)


def test_one_enrollment_serves_any_number_of_streams():
    model = network()
    x, _, voice = signals("enrollment", 8000, 12)
    kept = model.enroll(voice, 8000, 0.5)
    expected = model(x, 8000, 0.5, enrollment=voice)
    for batch in (1, 3):
        with model.streaming(batch, 8000, 0.5, enrollment=kept) as stream:
            y = run(stream, x.expand(batch, -1), None, [80] * 12)
        assert relative(y, expected.expand(batch, -1)) < 1e-5


# ------------------------------------------------------------------------- the state


@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("prepared", [False, True])
def test_empty_slots_are_masked_whatever_they_hold(block, prepared):
    model = network()
    x, _, voice = signals("enrollment", 8000, 12, voice_frames=2)
    expected = model(x, 8000, enrollment=voice)
    stream = model.open_stream(1, 8000, enrollment=voice)
    for number in range(2):
        stream.state.tensors[f"memory_{number}"][..., 2:, :] = 1e4
    step = stream if prepared else stepper(model, stream.state)
    y = run(step, x, None, [80 * block] * (12 // block))
    assert relative(y, expected) < 1e-5


def test_sizes_of_the_state_never_change():
    model = network()
    state = model.initial_state(2, 8000, far_end=True)
    shapes = {name: tensor.shape for name, tensor in state.tensors.items()}
    for hops in (1, 3, 20):
        x = torch.randn(2, hops * 80)
        _, state = model.step(x, state, x)
        assert {n: t.shape for n, t in state.tensors.items()} == shapes
    assert state.tensors["seen"].tolist() == [24, 24]


def test_a_clone_can_be_used_again():
    model, x = network(), torch.randn(1, 240)
    _, state = model.step(torch.randn(1, 800), model.initial_state(1, 8000))
    copy = state.clone()
    first, _ = model.step(x, state)
    second, _ = model.step(x, copy)
    assert torch.equal(first, second)


def test_a_stream_uses_no_memory_but_its_state(full):
    state = full.initial_state(1, 16000, 0.125, 4)
    keys = 4 * 2 * 100 * 32 * 27
    filters = 4 * 2 * 64 * 27
    continuation = 3 * 161 * 2
    assert state.num_bytes == 4 * (keys + filters + continuation + 2 * 160) + 3 * 8


@pytest.mark.parametrize("size", [1, 3])
def test_silence_and_lost_packets_stream_and_stay_finite(size):
    """Silence, then speech, then nothing for longer than the context, then speech."""
    model = network()
    x = torch.randn(1, 45 * 80) * 0.1
    x[:, : 9 * 80] = x[:, 15 * 80 : 36 * 80] = 0
    silent = torch.zeros_like(x)
    expected = model(x, 8000, far_end=silent, enrollment=silent)
    with model.streaming(1, 8000, enrollment=silent, far_end=True) as stream:
        y = run(stream, x, silent, [80 * size] * (45 // size))
    assert y.isfinite().all()
    assert relative(y, expected) < 1e-5


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [1, 3])
def test_streams_run_under_autocast(batch, size):
    model = network()
    x, far_end, voice = signals("both", 8000, 30, batch)
    expected = model(x, 8000, far_end=far_end, enrollment=voice)
    with torch.autocast("cpu", torch.bfloat16):
        stream = model.open_stream(batch, 8000, enrollment=voice, far_end=True)
        y = run(stream, x, far_end, [80 * size] * (30 // size))
    assert y.dtype == torch.float32
    assert (y - expected).norm() < 0.05 * expected.norm()


def test_the_output_keeps_the_dtype_and_has_no_gradient():
    model = network()
    state = model.initial_state(1, 8000)
    y, _ = model.step(torch.randn(1, 80).bfloat16(), state)
    assert y.dtype == torch.bfloat16
    y, _ = model.step(torch.randn(1, 80, requires_grad=True), state)
    assert not y.requires_grad


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("prior", ["none", "both"])
def test_a_trace_with_states_as_inputs_and_outputs_streams(prior):
    model = network()
    x, far_end, voice = signals(prior, 8000, 20)
    expected = model(x, 8000, far_end=far_end, enrollment=voice)
    state = model.initial_state(1, 8000, None, None, voice, far_end is not None)
    names = list(state.tensors)

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, far_end, *tensors):
            now = StreamState(dict(zip(names, tensors, strict=True)), state.settings)
            y, now = self.model.step(x, now, None if prior == "none" else far_end)
            return (y, *[now.tensors[name] for name in names])

    tensors = list(state.tensors.values())
    example = (torch.randn(1, 80), torch.randn(1, 80))
    traced = torch.jit.trace(Step(), (*example, *tensors), check_trace=False)
    outputs = []
    for start in range(0, 1600, 80):
        hop = x[:, start : start + 80]
        far = hop if far_end is None else far_end[:, start : start + 80]
        y, *tensors = traced(hop, far, *tensors)
        outputs.append(y)
    assert relative(torch.cat(outputs, 1), expected) < 1e-5


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("shape", [(1, 81), (1, 0), (2, 80), (80,)])
def test_blocks_that_do_not_fit_are_refused(shape):
    model = network()
    state = model.initial_state(1, 8000)
    with pytest.raises(ValueError, match=r"must be \(B, M \* hop\) with B = 1"):
        model.step(torch.zeros(shape), state)


def test_integer_samples_are_refused():
    model, x = network(), torch.zeros(1, 80)
    state = model.initial_state(1, 8000, far_end=True)
    with pytest.raises(ValueError, match="expected a floating-point block"):
        model.step(x.short(), state, x)
    with pytest.raises(ValueError, match="expected a floating-point far_end"):
        model.step(x, state, x.short())


def test_a_far_end_comes_when_it_was_announced_and_only_then():
    model, x = network(), torch.zeros(1, 80)
    with_far_end, without = (
        model.initial_state(1, 8000, far_end=flag) for flag in (True, False)
    )
    with pytest.raises(ValueError, match="far_end must be given"):
        model.step(x, with_far_end)
    with pytest.raises(ValueError, match="far_end must be None"):
        model.step(x, without, x)
    with pytest.raises(ValueError, match=r"far_end \(1, 160\) must have the shape"):
        model.step(x, with_far_end, torch.zeros(1, 160))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"batch_size \(0\) must be at least 1"),
        ({"sample_rate": 11025}, r"sample_rate \(11025\) must be"),
        ({"width": 0.1}, r"width \(0.1\) must be a multiple of 1/4"),
        ({"depth": 3}, r"depth \(3\) must be in \[1, 2\]"),
        ({"enrollment": torch.zeros(3, 800)}, r"voices \(3\) must be 1 or B \(2\)"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    arguments = {"batch_size": 2, "sample_rate": 8000} | arguments
    model = network()
    with pytest.raises(ValueError, match=message):
        model.initial_state(**arguments)
    with pytest.raises(ValueError, match=message), model.streaming(**arguments):
        pass


def test_streams_of_other_sizes_do_not_join():
    model = network()
    states = [model.initial_state(1, 8000, width) for width in (0.5, 1)]
    for pair in itertools.permutations(states):
        with pytest.raises(ValueError, match="must be those of the first"):
            StreamState.join(pair)
