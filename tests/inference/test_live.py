"""Live: with a made-up microphone, and where there is none."""

from types import SimpleNamespace

import numpy as np
import pytest

from sesame.inference import live
from sesame.inference.model_folder import load_seflow_folder
from sesame.inference.streaming_enhancer import StreamingEnhancer

RATE = 8000


class PortAudioError(Exception):
    pass


class Device:
    """A microphone that hears a signal, and a loudspeaker that keeps what it plays."""

    def __init__(self, heard, stops=None):
        self.heard, self.played, self.stops = heard, [], stops
        self.PortAudioError = PortAudioError

    def Stream(self, samplerate, blocksize, channels, dtype):
        assert (samplerate, channels, dtype) == (RATE, 1, "float32")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def read(self, size):
        if self.stops and len(self.heard) < size:
            raise self.stops
        block, self.heard = self.heard[:size], self.heard[size:]
        return block[:, None], False

    def write(self, samples):
        self.played.append(samples)


@pytest.fixture
def make(flow_folder):
    network = load_seflow_folder(flow_folder)
    return lambda **options: StreamingEnhancer(network, RATE, **options)


@pytest.fixture
def plug(monkeypatch):
    def replace(device):
        monkeypatch.setattr(live, "import_sounddevice", lambda: device)
        return device

    return replace


def noise(length):
    return np.random.default_rng(0).uniform(-0.3, 0.3, length).astype(np.float32)


def test_what_is_played_is_what_was_heard_enhanced(make, plug):
    x = noise(1600)
    device = plug(Device(x, stops=KeyboardInterrupt()))
    times = live.run_live(make(), block_ms=12.5)
    assert len(times) == 16
    played = np.concatenate(device.played)[:, 0]
    np.testing.assert_allclose(played, make().push(x).clip(-1, 1), atol=1e-6)


def test_it_ends_in_time(make, plug):
    plug(Device(noise(4000)))
    assert len(live.run_live(make(), 20, seconds=0.2)) == 10


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_it_lasts_some_time(make, plug, seconds):
    plug(Device(noise(4000)))
    with pytest.raises(ValueError, match=r"seconds \(.*\) must be positive"):
        live.run_live(make(), 20, seconds)


def test_a_gap_of_the_driver_does_not_end_it(make, plug):
    x = noise(800)
    x[300:400] = np.nan
    device = plug(Device(x, stops=KeyboardInterrupt()))
    live.run_live(make(), 20)
    assert np.isfinite(np.concatenate(device.played)).all()


def test_a_missing_device_is_one_clear_message(make, plug):
    plug(Device(noise(0), stops=PortAudioError("no device")))
    with pytest.raises(ValueError, match=r"can be used at 8000 Hz: no device"):
        live.run_live(make())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("x"), r"^sounddevice is missing: pip install '\.\[live\]'$"),
        (
            OSError("PortAudio library not found"),
            "PortAudio library not found.*install",
        ),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch, error, message):
    def import_module(name):
        raise error

    monkeypatch.setattr(live, "import_module", import_module)
    with pytest.raises(ImportError, match=message):
        live.import_sounddevice()


def test_the_package_is_found_where_it_is(monkeypatch):
    fake = SimpleNamespace()
    monkeypatch.setattr(live, "import_module", {"sounddevice": fake}.get)
    assert live.import_sounddevice() is fake


def test_other_enhancers_are_refused(make):
    with pytest.raises(ValueError, match=r"channels \(2\) must be None"):
        live.run_live(make(channels=2))
