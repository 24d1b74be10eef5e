import numpy as np
import pytest

from sesame.data.degradations import Reverberation, reverberate

RATE = 16_000


def lag(late, early, most=2000):
    """Samples by which one signal is behind another, and how alike they are then."""
    size = 2 * len(early)
    product = np.fft.rfft(late, size) * np.conj(np.fft.rfft(early, size))
    # Weighted by phase only, so that the correlation of speech does not smear it.
    peaks = np.fft.irfft(product / (np.abs(product) + 1e-12))
    peaks = np.concatenate([peaks[-most:], peaks[:most]])
    return int(np.argmax(peaks)) - most


def test_reverberant_and_early_are_convolutions(speech, rooms):
    piece = speech[:6000].astype(np.float64)
    response = rooms[0].talkers[0].astype(np.float64)
    reverberant, early = reverberate(piece, response, RATE)
    expected = np.convolve(piece, response)[: len(piece)]
    np.testing.assert_allclose(reverberant, expected, atol=1e-9)
    expected = np.convolve(piece, response[: 1 + RATE // 20])[: len(piece)]
    np.testing.assert_allclose(early, expected, atol=1e-9)


def test_target_and_direct_path_are_in_step_with_the_speech(speech, rooms):
    for room in rooms:
        for response in room.talkers:
            reverberant, early = reverberate(speech, response, RATE)
            assert lag(reverberant, speech) == 0
            assert lag(early, speech) == 0
            assert lag(reverberant, early) == 0


def test_input_and_target_are_equal_for_the_first_fifty_milliseconds(speech, rooms):
    onset = int(np.argmax(np.abs(speech) > 0.01))
    piece = speech[onset:]
    reverberant, early = reverberate(piece, rooms[1].talkers[0], RATE)
    same = 1 + RATE // 20
    np.testing.assert_array_equal(reverberant[:same], early[:same])
    assert np.abs(reverberant - early)[same : 4 * same].max() > 1e-4


def test_longer_reverberation_leaves_more_that_is_not_target(speech, rooms):
    rooms = sorted(rooms, key=lambda room: room.t60)
    ratios = []
    for room in (rooms[0], rooms[-1]):
        reverberant, early = reverberate(speech, room.talkers[0], RATE)
        ratios.append(np.sum((reverberant - early) ** 2) / np.sum(early**2))
    assert ratios[0] < 0.1 < ratios[1]


@pytest.mark.parametrize("length", [1, 10, 801, 802])
def test_waveforms_shorter_than_the_early_part_are_their_own_target(length, rooms, rng):
    waveform = rng.normal(size=length).astype(np.float32)
    reverberant, early = reverberate(waveform, rooms[0].talkers[0], RATE)
    assert reverberant.shape == early.shape == (length,)
    assert reverberant.dtype == early.dtype == np.float32
    np.testing.assert_array_equal(reverberant[:801], early[:801])


def test_a_drawn_room_tells_its_time_and_gives_its_target(speech, rooms):
    reverberation = Reverberation(rooms)
    seen = set()
    for seed in range(20):
        waveform, done = reverberation(speech, RATE, np.random.default_rng(seed))
        seen.add(done["t60"])
        assert lag(waveform, done["early"]) == 0
        assert not np.array_equal(waveform, done["early"])
    assert seen <= {room.t60 for room in rooms} and len(seen) > 4


def test_no_rooms_and_negative_times_are_refused(rooms):
    with pytest.raises(ValueError, match="rooms"):
        Reverberation([])
    with pytest.raises(ValueError, match="early_seconds"):
        reverberate(np.zeros(9), rooms[0].talkers[0], RATE, -0.1)
