import tracemalloc

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sesame.inference import flow_blocks
from sesame.inference.flow_blocks import enhance_stream
from sesame.inference.prior_inputs import read_far_end, read_voice

CPU = torch.device("cpu")
RATE = 8000


def noise(*shape, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def run(network, signal, rate=RATE, size=1000, **options):
    def blocks():
        for start in range(0, signal.shape[-1], size):
            yield signal[:, start : start + size]

    pieces = enhance_stream(network, CPU, blocks, rate, **options)
    return np.concatenate(list(pieces), axis=-1)


@torch.no_grad()
def offline(network, signal, rate=RATE, size=(None, None), voice=None, far_end=None):
    """One pass over the whole signal, of which the delay is cut off."""
    delay = rate // 100
    x = F.pad(torch.from_numpy(signal).float(), (0, delay))
    priors = {}
    if voice is not None:
        priors["enrollment"] = torch.from_numpy(voice).float()[None]
    if far_end is not None:
        far = F.pad(torch.from_numpy(far_end).float(), (0, delay))
        priors["far_end"] = far.expand_as(x)
    return network(x, rate, *size, **priors)[:, delay:].numpy()


def close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("prior", ["none", "voice", "far end", "both"])
@pytest.mark.parametrize("size", [(None, None), (0.5, 2)], ids=str)
def test_streams_give_what_one_pass_gives(flow_network, rate, prior, size, monkeypatch):
    monkeypatch.setattr(flow_blocks, "FRAMES_AT_ONCE", 7)
    signal = noise(1, rate // 3 + 7)
    voice = noise(rate // 5, seed=1) if prior in ("voice", "both") else None
    far = noise(signal.shape[-1], seed=2) if prior in ("far end", "both") else None
    found = run(
        flow_network,
        signal,
        rate,
        width=size[0],
        depth=size[1],
        voice=None if voice is None else read_voice(voice, rate),
        far_end=None if far is None else read_far_end(far, rate),
    )
    close(found, offline(flow_network, signal, rate, size, voice, far))


@pytest.mark.parametrize("length", [1, 79, 80, 81, 559, 560, 561, 4001])
@pytest.mark.parametrize("frames", [1, 7])
def test_every_length_is_kept_and_in_step(flow_network, length, frames, monkeypatch):
    monkeypatch.setattr(flow_blocks, "FRAMES_AT_ONCE", frames)
    signal = noise(2, length)
    close(run(flow_network, signal, size=333), offline(flow_network, signal))


def test_a_network_that_passes_the_signal_delays_nothing(flow_network):
    flow_network.decoder.forward = lambda x, spectrum, lost, bands: spectrum
    signal = noise(2, 3001)
    np.testing.assert_allclose(run(flow_network, signal), signal, atol=1e-6)


@pytest.mark.parametrize("rate", [4000, 11025, 22050, 44101, 96000])
def test_other_rates_are_kept_in_step(flow_network, rate):
    """What a gain of one half makes of a tone, at rates the network does not take."""
    flow_network.decoder.forward = lambda x, spectrum, lost, bands: spectrum / 2
    times = np.arange(rate // 2) / rate
    tone = np.sin(2 * np.pi * 440 * times)[None]
    found = run(flow_network, tone, rate)
    assert found.shape == tone.shape
    middle = slice(rate // 10, -rate // 10)
    np.testing.assert_allclose(found[:, middle], tone[:, middle] / 2, atol=2e-3)


def test_channels_do_not_hear_each_other_and_silent_ones_stay_silent(flow_network):
    signal = noise(5, 1500)
    signal[3] = 0
    together = run(flow_network, signal)
    for channel in (0, 1, 2, 4):
        close(together[channel], run(flow_network, signal[channel : channel + 1])[0])
    assert not together[3].any() and together[4].any()


def test_levels_count_until_they_are_far_beyond_full_scale(flow_network):
    signal = noise(1, 1000)
    signal /= np.abs(signal).max()
    plain = run(flow_network, signal)
    assert np.abs(run(flow_network, signal / 8) - plain / 8).max() > 1e-3
    for gain in (2.0, 2.0**15, 2.0**900):
        close(run(flow_network, gain * signal) / gain, plain)


def test_a_far_end_and_a_voice_of_other_rates_are_resampled(flow_network):
    times = np.arange(4000) / RATE
    far, voice = (0.2 * np.sin(2 * np.pi * f * times) for f in (500, 700))
    twice = np.arange(8000) / (2 * RATE)
    far_2, voice_2 = (0.2 * np.sin(2 * np.pi * f * twice) for f in (500, 700))
    signal = noise(1, 4000)
    expected = run(
        flow_network,
        signal,
        voice=read_voice(voice, RATE),
        far_end=read_far_end(far, RATE),
    )
    found = run(
        flow_network,
        signal,
        voice=read_voice(voice_2, 2 * RATE),
        far_end=read_far_end(far_2, 2 * RATE),
    )
    alone = run(flow_network, signal)
    # Near its ends, what is resampled differs from a tone.
    difference = np.abs(found - expected).mean()
    assert difference < 0.02 * np.abs(found - alone).mean()


@pytest.mark.parametrize("length", [1, 700, 3000])
def test_silence_follows_a_short_far_end_and_the_end_of_a_long_one_is_cut(
    flow_network, length
):
    signal, far = noise(1, 1500), noise(length, seed=2)
    found = run(flow_network, signal, far_end=read_far_end(far, RATE))
    fitted = np.pad(far, (0, 1500))[:1500]
    close(found, offline(flow_network, signal, far_end=fitted))


def test_all_dry_is_the_signal_itself(flow_network):
    signal = noise(2, 1500)
    np.testing.assert_allclose(run(flow_network, signal, 22050, dry=1.0), signal)


def test_no_sample_gives_none_and_progress_rises_to_one(flow_network):
    assert list(enhance_stream(flow_network, CPU, lambda: iter([]), RATE)) == []
    told = []
    run(flow_network, noise(1, 3 * RATE), progress=told.append)
    assert told == sorted(told) and told[-1] == 1 and len(told) == 4


def test_a_result_that_is_not_finite_is_refused(flow_network):
    with torch.no_grad():
        flow_network.exits["3"].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="values that are not finite"):
        run(flow_network, noise(1, 500))


def test_memory_does_not_grow_with_the_length(flow_network):
    part = flow_network.subnet(0.25, 1).eval()
    peaks = []
    for seconds in (5, 25):

        def blocks(seconds=seconds):
            rng = np.random.default_rng(0)
            for _ in range(10 * seconds):
                yield 0.1 * rng.standard_normal((1, RATE // 10))

        tracemalloc.start()
        far_end = read_far_end(np.ones(RATE), RATE)
        for _ in enhance_stream(part, CPU, blocks, RATE, far_end=far_end):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 0.02 * 8 * 20 * RATE
