import numpy as np
import pytest

from sesame.data.degradations import EchoPath, loudspeaker

RATE = 16_000
STILL = {"nonlinear": 0.0, "change": 0.0, "gain_step": 0.0}


def test_loudspeaker_distorts_a_sine(rng):
    seconds = np.arange(RATE) / RATE
    played = 0.1 * np.sin(2 * np.pi * 500 * seconds)
    harmonics = np.abs(np.fft.rfft(loudspeaker(played)))[500::500]
    assert harmonics[1] > 0.05 * harmonics[0] and harmonics[2] > 0.05 * harmonics[0]
    assert loudspeaker(played).mean() == pytest.approx(0, abs=1e-12)


def test_loudspeaker_is_driven_to_its_limits_at_every_level(speech):
    loud, quiet = (loudspeaker(speech * gain) for gain in (1.0, 2.0**-10))
    np.testing.assert_allclose(loud, quiet, atol=1e-6)
    silence = np.zeros(9, dtype=np.float32)
    np.testing.assert_array_equal(loudspeaker(silence), silence)


def test_loudspeaker_saturates_as_published():
    ramp = np.array([-1.0, -0.8, 0.0, 0.4, 0.8, 1.0])
    bent = 1.5 * ramp.clip(-0.8, 0.8) - 0.3 * ramp.clip(-0.8, 0.8) ** 2
    expected = np.tanh(np.where(bent > 0, 2.0, 0.25) * bent)
    sound = loudspeaker(ramp)
    np.testing.assert_allclose(sound - sound[2], expected, atol=1e-12)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.5])
def test_a_linear_path_is_a_delayed_convolution(delay, speech, rooms, rng):
    path = EchoPath(rooms[0].loudspeakers, delay_seconds=(delay, delay), **STILL)
    far_end = speech[:16_000].astype(np.float64)
    echo, done = path(far_end, RATE, rng)
    assert done == {
        "nonlinear": False,
        "delay": delay * RATE,
        "changed_at": None,
        "gain_step_db": 0.0,
    }
    expected = np.convolve(far_end, rooms[0].loudspeakers[0].astype(np.float64))
    expected = np.pad(expected, (done["delay"], 0))[: len(far_end)]
    np.testing.assert_allclose(echo, expected, atol=1e-6)


def test_delay_is_measured_where_it_was_drawn(speech, rooms, rng):
    path = EchoPath(rooms[0].loudspeakers, **STILL)
    delays = []
    for _ in range(8):
        echo, done = path(speech, RATE, rng)
        size = 2 * len(speech)
        cross = np.fft.rfft(echo, size) * np.conj(np.fft.rfft(speech, size))
        found = np.argmax(np.fft.irfft(cross / (np.abs(cross) + 1e-9))[: len(speech)])
        assert found == done["delay"]
        delays.append(found)
    assert 0 <= min(delays) < 2000 < 6000 < max(delays) <= 8000


def test_path_before_and_after_a_change_is_that_of_either_place(speech, rooms, rng):
    responses = rooms[2].loudspeakers
    path = EchoPath(responses, 0.0, (0.1, 0.1), 1.0, 0.0)
    echo, done = path(speech, RATE, rng)
    late = np.pad(speech, (1600, 0))
    before, after = (np.convolve(late, h)[: len(speech)] for h in responses)
    at = done["changed_at"]
    assert 0.25 <= at / len(speech) <= 0.75
    np.testing.assert_allclose(echo[:at], before[:at], atol=1e-5)
    np.testing.assert_allclose(echo[at + 160 :], after[at + 160 :], atol=1e-5)
    assert np.abs(after - before)[at:].max() > 0.01


def test_gain_step_is_as_large_as_it_says(speech, rng):
    one = np.ones((2, 1), dtype=np.float32)
    path = EchoPath(one, 0.0, (0.0, 0.0), 0.0, 1.0)
    for _ in range(5):
        echo, done = path(speech + 1, RATE, rng)
        gain = echo / (speech + 1)
        assert 20 * np.log10(gain[-1]) == pytest.approx(done["gain_step_db"], abs=1e-3)
        assert -6 <= done["gain_step_db"] <= 6 and gain[0] == 1
        changed = np.argmax(np.abs(gain - 1) > 1e-6)
        assert 0.25 <= changed / len(speech) <= 0.76


def test_events_are_as_frequent_as_they_should_be(rng):
    path = EchoPath(np.ones((2, 1), np.float32))
    far_end = rng.normal(size=400).astype(np.float32)
    done = [path(far_end, RATE, rng).done for _ in range(1500)]
    assert np.mean([d["nonlinear"] for d in done]) == pytest.approx(0.5, abs=0.05)
    changes = np.mean([d["changed_at"] is not None for d in done])
    assert changes == pytest.approx(0.1, abs=0.03)
    steps = np.mean([d["gain_step_db"] != 0 for d in done])
    assert steps == pytest.approx(0.1, abs=0.03)
    delays = np.array([d["delay"] for d in done]) / RATE
    assert delays.mean() == pytest.approx(0.25, abs=0.02) and delays.max() <= 0.5


def test_echo_hears_the_past_only(speech, rooms):
    later = speech.copy()
    later[30_000:] = 0
    echoes = [
        EchoPath(rooms[0].loudspeakers, 0.0)(x, RATE, np.random.default_rng(7)).waveform
        for x in (speech, later)
    ]
    np.testing.assert_allclose(echoes[0][:30_000], echoes[1][:30_000], atol=1e-5)
    assert np.abs(echoes[0] - echoes[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"responses": np.ones((3, 4))}, "responses"),
        ({"nonlinear": 1.5}, "nonlinear"),
        ({"change": -0.1}, "change"),
        ({"gain_step": 2}, "gain_step"),
        ({"delay_seconds": (-0.1, 0.2)}, "delay_seconds"),
    ],
)
def test_impossible_paths_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        EchoPath(**{"responses": np.ones((2, 4)), **arguments})
