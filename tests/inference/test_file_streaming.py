"""Files streamed block by block: what the whole file gives, and honest times."""

import numpy as np
import pytest
import soundfile

from sesame.inference.file_streaming import StreamReport, block_length, stream_file
from sesame.inference.flow_enhancer import FlowEnhancer
from sesame.inference.model_folder import load_seflow_folder
from sesame.inference.prior_inputs import read_far_end, read_voice


@pytest.fixture
def network(flow_folder):
    return load_seflow_folder(flow_folder)


@pytest.fixture
def write(tmp_path):
    """Writes noise; returns its path."""

    def make(name, length=3001, channels=1, rate=8000, seed=0):
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (length, channels))
        soundfile.write(tmp_path / name, noise, rate, subtype="FLOAT")
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("rate", "channels", "block_ms"), [(8000, 1, 7), (44100, 2, 20), (22050, 2, 10)]
)
def test_a_streamed_file_is_the_enhanced_file(
    network, write, tmp_path, rate, channels, block_ms
):
    source, target = write("a.wav", 3001, channels, rate), tmp_path / "out.wav"
    stream_file(network, source, target, block_ms)
    noisy, _ = soundfile.read(source, always_2d=True)
    expected = FlowEnhancer(network, "cpu")(noisy.T, rate).T
    streamed, found_rate = soundfile.read(target, always_2d=True)
    assert found_rate == rate and soundfile.info(target).subtype == "FLOAT"
    np.testing.assert_allclose(streamed, expected, atol=1e-5)


@pytest.mark.parametrize("far_length", [1000, 9000])
def test_priors_come_along(network, write, tmp_path, far_length):
    source, target = write("a.wav", 3001, 2), tmp_path / "out.wav"
    voice = read_voice(write("voice.wav", 16000, rate=16000, seed=1))
    far_end = read_far_end(write("far.wav", far_length, 1, 16000, seed=2))
    stream_file(network, source, target, 13, voice=voice, far_end=far_end)
    noisy, _ = soundfile.read(source)
    enhancer = FlowEnhancer(network, "cpu")
    with pytest.warns(UserWarning, match="far end"):
        expected = enhancer(noisy.T, 8000, enrollment=voice, far_end=far_end)
    plain = enhancer(noisy.T, 8000)
    streamed, _ = soundfile.read(target)
    np.testing.assert_allclose(streamed.T, expected, atol=1e-5)
    assert np.abs(streamed.T - plain).max() > 1e-3


def test_a_voice_is_heard_with_all_that_the_network_can_hear(network, write, tmp_path):
    """The voice of a wider band than the signal is not cut to that of the signal."""
    source, target = write("a.wav", 3001, 1, 4000), tmp_path / "out.wav"
    voice = read_voice(write("voice.wav", 16000, rate=16000, seed=1))
    stream_file(network, source, target, voice=voice)
    noisy, _ = soundfile.read(source)
    expected = FlowEnhancer(network, "cpu")(noisy, 4000, enrollment=voice)
    np.testing.assert_allclose(soundfile.read(target)[0], expected, atol=1e-5)


def test_every_block_is_timed(network, write, tmp_path):
    report = stream_file(network, write("a.wav"), tmp_path / "out.wav", 20)
    assert len(report.times) == -(-3001 // 160)
    assert min(report.times) > 0
    assert (report.latency, report.block_seconds) == (0.02, 0.02)
    assert report.file.seconds == pytest.approx(3001 / 8000)
    odd = stream_file(network, write("b.wav", rate=22050), tmp_path / "odd.wav", 20)
    assert odd.latency > 0.02


def test_the_figures_are_those_of_the_times():
    report = StreamReport(None, 0.02, 0.01, (0.004, 0.001, 0.002, 0.001))
    assert report.percentile(50) == pytest.approx(0.0015)
    assert report.percentile(100) == 0.004
    assert report.real_time_factor == pytest.approx(0.2)
    empty = StreamReport(None, 0.02, 0.01, ())
    assert np.isnan([empty.percentile(50), empty.real_time_factor]).all()


def test_an_empty_file_gives_an_empty_file(network, write, tmp_path):
    report = stream_file(network, write("a.wav", 0), tmp_path / "out.wav")
    assert report.times == () and report.file.warnings
    assert soundfile.info(tmp_path / "out.wav").frames == 0


def test_what_fails_leaves_no_file(network, write, tmp_path):
    source, target = write("a.wav"), tmp_path / "out.wav"
    samples, rate = soundfile.read(source)
    samples[2000] = np.nan
    soundfile.write(source, samples, rate, subtype="FLOAT")
    with pytest.raises(ValueError, match="1 samples that are NaN"):
        stream_file(network, source, target)
    assert not target.exists()
    report = stream_file(network, source, target, repair_nonfinite=True)
    assert report.file.num_repaired == 1
    with pytest.raises(ValueError, match="is not to be replaced"):
        stream_file(network, source, target)
    with pytest.raises(ValueError, match="is the noisy file itself"):
        stream_file(network, source, source, overwrite=True)


@pytest.mark.parametrize("milliseconds", [0, -1, 0.01, 20_000, float("nan")])
def test_blocks_of_no_length_are_refused(milliseconds):
    with pytest.raises(ValueError, match="length of a block"):
        block_length(milliseconds, 8000)
