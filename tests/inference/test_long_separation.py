import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from sesame.features import match_levels
from sesame.inference import long_separation
from sesame.inference.long_separation import separate_blocks

RATE = 8000
CPU = torch.device("cpu")


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of a tenth of a second, so that short signals are long."""
    monkeypatch.setattr(long_separation, "WHOLE_SECONDS", 0.15)
    monkeypatch.setattr(long_separation, "WINDOW_SECONDS", 0.1)
    monkeypatch.setattr(long_separation, "CONTEXT_SECONDS", 0.02)
    monkeypatch.setattr(long_separation, "FADE_SECONDS", 0.01)


def run(network, signal, rate=RATE, size=1000, **options):
    def blocks():
        for start in range(0, signal.shape[-1], size):
            yield signal[:, start : start + size]

    pieces = separate_blocks(network, RATE, CPU, blocks, rate, **options)
    return np.concatenate(list(pieces), axis=-1)


class Oracle:
    """Knows the voices of a mixture; gives them in another order in each window.

    Each voice is periodic with a period of its own, of a power of two: a window is
    told from the mixture by its place alone, which the windows count themselves.
    """

    def __init__(self, voices, spans, seed=0):
        self.voices = torch.from_numpy(voices.astype(np.float32))
        self.spans = iter(spans)
        self.rng = np.random.default_rng(seed)
        self.orders = []

    def __call__(self, mixture):
        begin, end = next(self.spans)
        window = self.voices[:, begin:end]
        scale = window.sum(0).abs().max() / mixture.abs().max().clamp(min=1e-9)
        self.orders.append(self.rng.permutation(len(window)))
        return (window / scale)[self.orders[-1]][None]


def spans_of(length):
    seen = []

    def note(mixture):
        seen.append(mixture.shape[-1])
        return mixture[:, None]

    run(note, np.ones((1, length)))
    window, overlap = int(0.1 * RATE), int(0.05 * RATE)
    starts = [number * (window - overlap) for number in range(len(seen) - 1)]
    starts.append(length - window)
    return [(start, start + window) for start in starts]


@pytest.mark.parametrize("num_sources", [1, 2, 3])
@pytest.mark.parametrize("length", [1201, 4000, 8123])
def test_a_random_order_in_each_window_becomes_one_order(
    short_windows, num_sources, length
):
    rng = np.random.default_rng(length)
    voices = rng.standard_normal((num_sources, length))
    oracle = Oracle(voices, spans_of(length))
    separated = run(oracle, voices.sum(0, keepdims=True))
    assert len(oracle.orders) > 2
    np.testing.assert_allclose(separated, voices[oracle.orders[0]], atol=1e-5)


def test_speakers_who_pause_in_turn_keep_their_order(short_windows):
    """As long as somebody is heard in each overlap."""
    voices = np.random.default_rng(1).standard_normal((2, 9000))
    voices[0, 2000:4000] = voices[1, 5000:8000] = 0
    oracle = Oracle(voices, spans_of(9000), seed=3)
    separated = run(oracle, voices.sum(0, keepdims=True))
    np.testing.assert_allclose(separated, voices[oracle.orders[0]], atol=1e-5)
    changes = [not np.array_equal(a, b) for a, b in itertools.pairwise(oracle.orders)]
    assert sum(changes) > 3


def shares(mixture):
    return torch.stack((0.75 * mixture, 0.25 * mixture), dim=1)


@pytest.mark.parametrize("length", [1, 799, 1200, 1201, 5000])
@pytest.mark.parametrize("size", [100, 3333])
def test_windows_of_a_memoryless_network_equal_one_pass(short_windows, length, size):
    mixture = np.random.default_rng(0).standard_normal((1, length))
    separated = run(shares, mixture, size=size)
    expected = np.concatenate([0.75 * mixture, 0.25 * mixture])
    np.testing.assert_allclose(separated, expected, atol=1e-6)


def test_one_window_is_the_direct_call():
    mixture = np.random.default_rng(0).standard_normal((1, 5000)).astype(np.float32)
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(1, 2, 31, padding=15, bias=False)
    separated = run(lambda x: layer(x[:, None]), mixture.astype(np.float64))
    with torch.inference_mode():
        given = torch.from_numpy(mixture)
        expected = match_levels(layer(given[:, None]), given)[0]
    np.testing.assert_allclose(separated, expected, rtol=1e-6, atol=1e-7)


def test_speakers_have_the_levels_with_which_they_add_up_to_the_mixture():
    """A network that learned from a scale-invariant loss has no level."""
    voices = np.random.default_rng(1).standard_normal((2, 3000))
    gains = torch.tensor([[30.0], [-0.2]])

    def network(mixture):
        return gains * torch.from_numpy(voices.astype(np.float32))[None]

    separated = run(network, voices.sum(0, keepdims=True))
    np.testing.assert_allclose(separated, voices, atol=1e-5)


def test_channels_are_averaged_whatever_their_level(short_windows):
    channels = np.random.default_rng(0).standard_normal((3, 2000))
    mean = channels.mean(axis=0, keepdims=True)
    np.testing.assert_allclose(run(shares, channels), run(shares, mean), atol=1e-6)
    huge = np.full((2, 100), 1.7e308)
    np.testing.assert_allclose(run(shares, huge)[0], 0.75 * 1.7e308)


@pytest.mark.parametrize("rate", [4000, 11025, 48000])
@pytest.mark.parametrize("length", [1, 1601, 9999])
def test_length_and_signal_are_kept_at_other_rates(short_windows, rate, length):
    times = np.arange(length) / rate
    mixture = np.sin(2 * np.pi * 300 * times)[None]
    separated = run(shares, mixture, rate)
    assert separated.shape == (2, length)
    inner = slice(length // 8, -length // 8)
    np.testing.assert_allclose(separated[0, inner], 0.75 * mixture[0, inner], atol=1e-2)


def test_silence_gives_silence_and_no_sample_gives_none(short_windows):
    assert not run(shares, np.zeros((2, 5000)), 44100).any()
    assert list(separate_blocks(shares, RATE, CPU, lambda: iter([]), RATE)) == []


def test_progress_rises_to_one(short_windows):
    told = []
    run(shares, np.ones((1, 5000)), progress=told.append)
    assert told == sorted(told) and told[-1] == 1 and len(told) > 5


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (lambda x: shares(x) / 0, "values that are not finite"),
        (lambda x: x, r"the network gave \(1, 900\) .* \(1, J, 900\)"),
        (lambda x: shares(x)[..., :-1], r"gave \(1, 2, 899\)"),
    ],
)
def test_a_result_that_is_none_is_refused(network, reason):
    with pytest.raises(ValueError, match=reason):
        run(network, np.ones((1, 900)))


def test_memory_does_not_grow_with_the_length(short_windows):
    peaks = []
    for seconds in (10, 40):

        def blocks(seconds=seconds):
            rng = np.random.default_rng(0)
            for _ in range(10 * seconds):
                yield rng.standard_normal((1, RATE // 10))

        tracemalloc.start()
        for _ in separate_blocks(shares, RATE, CPU, blocks, RATE):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Of each sample that is more, the places of the windows alone are kept.
    assert peaks[1] - peaks[0] < 0.05 * 8 * 30 * RATE
