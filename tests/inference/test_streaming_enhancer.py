"""Streams of any cut and rate: what the whole signal gives, as late as declared."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.inference.flow_sizes import native_rate
from sesame.inference.resampling import resample
from sesame.inference.streaming_enhancer import StreamingEnhancer
from sesame.models.seflow import SEFlow
from sesame.nnet.streaming import Stream

SMALL = {"width": 16, "depth": 2, "head_channels": 4, "context": 10, "num_tokens": 4}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = SEFlow(**SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def identity():
    """A mask of one and no residual."""
    model = SEFlow(width=8, depth=1, head_channels=4, context=4)
    for output in model.decoder.outputs:
        torch.nn.init.zeros_(output.weight)
    return model.eval()


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def cut(signal, sizes):
    """Blocks of these sizes over and over; all must not be 0."""
    start, blocks = 0, []
    while start < signal.shape[-1]:
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(signal[..., start : start + size])
        start += size
    return blocks


def run(enhancer, blocks, far_ends=None):
    far_ends = [None] * len(blocks) if far_ends is None else far_ends
    parts = [enhancer.push(*pair) for pair in zip(blocks, far_ends, strict=True)]
    return np.concatenate([*parts, enhancer.flush()], axis=-1)


def whole(model, signal, rate, *size, far_end=None, enrollment=None):
    """The network at its rate on whole signals (channels, L)."""
    inner, signals = native_rate(rate), []
    for item in (signal, far_end, enrollment):
        item = None if item is None else torch.from_numpy(resample(item, rate, inner))
        signals.append(item)
    with torch.no_grad():
        enhanced = model(
            signals[0], inner, *size, far_end=signals[1], enrollment=signals[2]
        )
    return resample(enhanced.numpy(), inner, rate)[:, : signal.shape[1]]


def assert_near(actual, expected):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < 1e-5 * max(1, np.abs(expected).max())


SIZES = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 900)), min_size=1, max_size=8
).filter(lambda sizes: sum(sizes) > 3)


@settings(max_examples=30, deadline=None)
@given(SIZES, st.integers(1, 2000), st.sampled_from([8000, 16000]))
def test_any_cut_gives_what_the_whole_signal_gives(network, sizes, length, rate):
    x = noise(length)
    enhancer = StreamingEnhancer(network, rate, 0.5)
    assert_near(run(enhancer, cut(x, sizes)), whole(network, x[None], rate, 0.5)[0])


@settings(max_examples=8, deadline=None)
@given(SIZES, st.integers(1, 3000), st.sampled_from([22050, 11025, 4000, 44101, 96000]))
def test_any_cut_at_rates_that_are_resampled(network, sizes, length, rate):
    x = noise(length)
    enhancer = StreamingEnhancer(network, rate)
    assert_near(run(enhancer, cut(x, sizes)), whole(network, x[None], rate)[0])


@pytest.mark.parametrize("rate", [8000, 11025])
@pytest.mark.parametrize("size", [7, 333, 9000])
def test_priors_come_along_resampled_in_step(network, rate, size):
    x, far_end, voice = noise(2, 3000), noise(2, 3000, seed=1), noise(1, 4000, seed=2)
    enhancer = StreamingEnhancer(
        network, rate, 0.5, 1, enrollment=voice[0], far_end=True, channels=2
    )
    expected = whole(network, x, rate, 0.5, 1, far_end=far_end, enrollment=voice)
    assert_near(run(enhancer, cut(x, [size]), cut(far_end, [size])), expected)


def test_an_enrollment_is_made_once_for_many_streams(network):
    x, voice = noise(800), noise(3000, seed=5)
    kept = network.enroll(torch.from_numpy(voice)[None], 8000, 0.5)
    outputs = [
        run(StreamingEnhancer(network, 8000, 0.5, enrollment=given), [x])
        for given in (voice, kept)
    ]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("rate", [8000, 22050])
def test_every_channel_is_a_stream_of_its_own(network, rate):
    x = noise(3, 2500)
    together = run(StreamingEnhancer(network, rate, channels=3), cut(x, [170]))
    for channel, enhanced in zip(x, together, strict=True):
        alone = run(StreamingEnhancer(network, rate), cut(channel, [170]))
        assert_near(enhanced, alone)


def test_blocks_go_where_the_network_is_and_come_back():
    class Elsewhere(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))
            self.seen = []

        def open_stream(self, batch_size, rate, width, depth, enrollment, far_end):
            self.seen.append(enrollment.device.type)
            return Stream(self.step, None)

        def step(self, x, state, far_end):
            self.seen += [x.device.type, far_end.device.type]
            return torch.ones(x.shape), state

    network, x = Elsewhere(), noise(90)
    enhancer = StreamingEnhancer(network, 8000, enrollment=x, far_end=True)
    np.testing.assert_array_equal(enhancer.push(x, x), np.ones(80))
    assert network.seen == ["meta"] * 3


# ---------------------------------------------------------------------------- latency


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("place", [0, 79, 301])
def test_an_impulse_comes_out_one_hop_later(identity, rate, place):
    x = np.zeros(rate // 20, np.float32)  # 400 samples or more
    x[place] = 0.5
    enhancer = StreamingEnhancer(identity, rate)
    late = round(enhancer.delay * rate)
    expected = np.zeros_like(x)
    expected[place + late] = 0.5
    np.testing.assert_allclose(run(enhancer, [x]), expected, atol=1e-6)
    aligned = StreamingEnhancer(identity, rate, aligned=True)
    assert aligned.delay == 0
    np.testing.assert_allclose(run(aligned, [x]), x, atol=1e-6)


@pytest.mark.parametrize("rate", [4000, 11025, 22050, 44101, 96000])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_resampled_tone_is_as_late_as_declared(identity, rate, aligned):
    enhancer = StreamingEnhancer(identity, rate, aligned=aligned)
    time = np.arange(rate // 2) / rate
    output = run(enhancer, cut(np.sin(2 * np.pi * 440 * time), [997]))
    expected = np.sin(2 * np.pi * 440 * (time - enhancer.delay))
    middle = slice(rate // 8, 3 * rate // 8)
    assert np.abs(output - expected)[middle].max() < 1e-4
    assert enhancer.delay == (0 if aligned else 0.01)


def way_of_samples(enhancer, length):
    """For each sample, pushed one by one: how many more until its output is out."""
    late = enhancer.delay * enhancer.sample_rate
    given, longest = 0, 0
    for pushed in range(1, length + 1):
        longest = max(longest, pushed - given + late)
        given += len(enhancer.push(np.zeros(1, np.float32)))
    return longest


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("aligned", [False, True])
def test_the_latency_is_exactly_two_hops(identity, rate, aligned):
    enhancer = StreamingEnhancer(identity, rate, aligned=aligned)
    assert way_of_samples(enhancer, rate // 20) == enhancer.latency_samples
    assert enhancer.latency == 0.02


@pytest.mark.parametrize("rate", [4000, 11025, 22050])
@pytest.mark.parametrize("aligned", [False, True])
def test_the_latency_of_resampled_streams_holds(identity, rate, aligned):
    enhancer = StreamingEnhancer(identity, rate, aligned=aligned)
    measured = way_of_samples(enhancer, rate)
    # The blocks of the filters and the hops may fall together more seldom than here.
    assert measured <= enhancer.latency_samples <= 1.4 * measured
    assert enhancer.latency > 0.02


# ------------------------------------------------------------------------- life cycle


@pytest.mark.parametrize("rate", [8000, 22050])
def test_a_reset_starts_anew_with_the_same_voice(network, rate):
    enhancer = StreamingEnhancer(network, rate, enrollment=noise(3000, seed=5))
    x = noise(2500)
    first = run(enhancer, cut(x, [171]))
    enhancer.reset()
    enhancer.push(noise(700, seed=8))
    enhancer.reset()
    np.testing.assert_array_equal(run(enhancer, cut(x, [171])), first)
    other = run(StreamingEnhancer(network, rate), cut(x, [171]))
    assert np.abs(first - other).max() > 1e-4


def test_a_reset_heals_what_a_network_has_done(network):
    enhancer = StreamingEnhancer(network, 8000)
    x = noise(1600)
    first = run(enhancer, [x])
    enhancer.reset()
    with pytest.raises(ValueError, match="network returned what is not finite"):
        enhancer.push(np.full(1600, 3e38, np.float32))
    enhancer.reset()
    np.testing.assert_array_equal(run(enhancer, [x]), first)


@pytest.mark.parametrize("rate", [8000, 11025])
@pytest.mark.parametrize("length", [0, 1, 2, 80, 81])
def test_short_signals_come_back_as_long_as_they_were(network, rate, length):
    for aligned in (False, True):
        enhancer = StreamingEnhancer(network, rate, aligned=aligned)
        output = run(enhancer, [noise(length)])
        assert output.shape == (length,) and output.dtype == np.float32
        assert len(enhancer.flush()) == 0


@pytest.mark.parametrize("rate", [8000, 22050])
def test_silence_and_a_silent_far_end_stay_finite(network, rate):
    enhancer = StreamingEnhancer(network, rate, far_end=True)
    silence = [np.zeros(500)] * 6
    assert np.isfinite(run(enhancer, silence, silence)).all()


def test_the_input_is_left_as_it_is(network):
    x = noise(800)
    x.flags.writeable = False
    copy = x.copy()
    run(StreamingEnhancer(network, 8000), [x])
    np.testing.assert_array_equal(x, copy)


# -------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ([0.0], r"block \(list\) must be a numpy array"),
        (torch.zeros(4), r"block \(Tensor\) must be a numpy array"),
        (np.zeros(4, np.int16), r"dtype of block \(int16\) must be float32, float64"),
        (np.zeros((1, 4)), r"block \(1, 4\) must be \(n,\)"),
        (np.zeros(()), r"block \(\) must be \(n,\)"),
        (np.array([0, np.nan, -np.inf]), "must be finite, 2 of 3 samples are not"),
        (np.array([1e300]), "must be finite, 1 of 1 samples are not"),
    ],
)
def test_blocks_that_do_not_fit_are_refused_and_leave_no_trace(network, block, message):
    enhancer, x = StreamingEnhancer(network, 8000), noise(400)
    with pytest.raises(ValueError, match=message):
        enhancer.push(block)
    assert_near(run(enhancer, [x]), whole(network, x[None], 8000)[0])


def test_a_push_after_the_end_is_refused(network):
    enhancer = StreamingEnhancer(network, 8000)
    enhancer.flush()
    with pytest.raises(ValueError, match="push after flush"):
        enhancer.push(np.zeros(1))


def test_a_far_end_comes_when_it_was_announced_and_only_then(network):
    x = np.zeros(10)
    with pytest.raises(ValueError, match="far_end must be None"):
        StreamingEnhancer(network, 8000).push(x, x)
    enhancer = StreamingEnhancer(network, 8000, far_end=True)
    with pytest.raises(ValueError, match="far_end must be given"):
        enhancer.push(x)
    with pytest.raises(ValueError, match=r"far_end \(9,\) must have the shape"):
        enhancer.push(x, x[1:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_rate": 3999}, r"sample_rate \(3999\) must be a whole number"),
        ({"sample_rate": 16000.5}, r"sample_rate \(16000.5\) must be a whole number"),
        ({"channels": 0}, r"channels \(0\) must be at least 1"),
        ({"width": 0.1}, r"width \(0.1\) must be a multiple of 1/4"),
        ({"depth": 3}, r"depth \(3\) must be in \[1, 2\]"),
        ({"enrollment": np.zeros(0)}, r"enrollment \(0 samples\) must have at least"),
        ({"enrollment": np.zeros((1, 9))}, r"enrollment \(1, 9\) must be \(n,\)"),
        ({"enrollment": np.full(9, np.nan)}, "enrollment must be finite, 9 of 9"),
    ],
)
def test_bad_settings_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        StreamingEnhancer(network, **({"sample_rate": 8000} | arguments))
