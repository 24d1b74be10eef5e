import sys

import numpy as np
import pytest

from sesame.data.degradations.rooms import Room, simulate_room, simulate_rooms

pyroomacoustics = pytest.importorskip("pyroomacoustics")
RATE = 16_000


def schroeder_t60(response, rate, high=-5.0, low=-25.0):
    """Reverberation time from the slope of the backward integrated energy."""
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    decay = 10 * np.log10(energy / energy[0] + 1e-20)
    inside = (decay <= high) & (decay >= low)
    seconds = np.arange(len(response))[inside] / rate
    return -60 / np.polyfit(seconds, decay[inside], 1)[0]


@pytest.mark.parametrize("t60", [0.15, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("size", [(3.5, 4.0, 2.6), (8.0, 6.0, 3.5)])
def test_measured_reverberation_time_is_the_wanted_one(t60, size, rng):
    room = simulate_room(t60, size, RATE, rng)
    for low in (-25.0, -35.0):
        measured = [schroeder_t60(h, RATE, low=low) for h in room.talkers]
        assert np.mean(measured) == pytest.approx(t60, rel=0.25 if t60 < 0.3 else 0.15)


def test_reverberation_times_of_drawn_rooms_are_in_their_range_and_met(rooms):
    wanted = np.array([room.t60 for room in rooms])
    measured = [np.mean([schroeder_t60(h, RATE) for h in r.talkers]) for r in rooms]
    assert 0.1 <= wanted.min() < 0.4 and 0.7 < wanted.max() <= 1.0
    assert np.median(measured / wanted) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(wanted, measured)[0, 1] > 0.98


@pytest.mark.parametrize("rate", [8_000, 24_000, 48_000])
def test_reverberation_time_does_not_depend_on_the_rate(rate, rng):
    room = simulate_room(0.4, (5.0, 4.0, 3.0), rate, rng)
    measured = np.mean([schroeder_t60(h, rate) for h in room.talkers])
    assert measured == pytest.approx(0.4, rel=0.15)


def test_direct_path_is_the_first_sample_alone_with_gain_one(rooms):
    for room in rooms:
        for response in (*room.talkers, *room.loudspeakers):
            assert response[0] == 1.0
            # Reflections come by way of a wall, 0.3 m away or more; what is before the
            # first of them are the side lobes of its fractional delay.
            assert np.abs(response[1:5]).max() < 0.35
            assert np.abs(response).max() < 1.2


def test_early_part_is_that_of_the_image_method_alone(rng, monkeypatch):
    sources = []
    add = pyroomacoustics.ShoeBox.add_source
    monkeypatch.setattr(
        pyroomacoustics.ShoeBox,
        "add_source",
        lambda self, place: sources.append(place) or add(self, place),
    )
    microphones = []
    listen = pyroomacoustics.ShoeBox.add_microphone
    monkeypatch.setattr(
        pyroomacoustics.ShoeBox,
        "add_microphone",
        lambda self, place: microphones.append(place) or listen(self, place),
    )
    size, t60 = (5.0, 4.0, 3.0), 0.45
    room = simulate_room(t60, size, RATE, rng)
    volume, surface = 60.0, 94.0
    absorption = 1 - np.exp(-24 * np.log(10) * volume / (343 * surface * t60))
    exact = pyroomacoustics.ShoeBox(
        size, RATE, max_order=30, materials=pyroomacoustics.Material(absorption)
    )
    add(exact, sources[0])
    listen(exact, microphones[0])
    exact.compute_rir()
    images = exact.rir[0][0]
    direct = int(np.argmax(images))
    # 20 dB of 0.45 s are 150 ms; 8 ms at most are the way of the direct path. What is
    # left is the edge that the high-pass of the package sees.
    until = int(0.13 * RATE)
    expected = images[direct:][:until] / images[direct]
    np.testing.assert_allclose(room.talkers[0][:until], expected, atol=4e-3)


def test_loudspeaker_is_closer_than_the_talkers(rooms):
    """Near sources have more direct sound: DRR falls with the distance."""
    drr = {
        name: [
            -10 * np.log10(np.square(h[1:]).sum())
            for room in rooms
            for h in getattr(room, name)
        ]
        for name in ("talkers", "loudspeakers")
    }
    assert np.mean(drr["loudspeakers"]) > np.mean(drr["talkers"]) + 3


def test_loudspeaker_was_moved(rooms):
    for room in rooms:
        assert not np.allclose(room.loudspeakers[0], room.loudspeakers[1], atol=0.01)


def test_a_room_depends_on_the_seed_and_its_place_only():
    few, more, others = (
        simulate_rooms(number, 8000, (0.1, 0.3), seed)
        for number, seed in ((2, 0), (3, 0), (2, 1))
    )
    for one, same, other in zip(few, more[:2], others, strict=True):
        assert one.t60 == same.t60 != other.t60
        np.testing.assert_array_equal(one.talkers, same.talkers)
        np.testing.assert_array_equal(one.loudspeakers, same.loudspeakers)
    assert isinstance(few[0], Room) and few[0].talkers.dtype == np.float32


def test_the_number_of_threads_changes_the_last_digits_only():
    constants = pyroomacoustics.constants
    usual = constants.get("num_threads")
    found = []
    try:
        for threads in (1, 3):
            constants.set("num_threads", threads)
            found.append(simulate_rooms(1, 8000, (0.2, 0.3))[0].talkers)
    finally:
        constants.set("num_threads", usual)
    np.testing.assert_allclose(*found, atol=1e-6)


@pytest.mark.parametrize("size", [(1.5, 1.5, 1.5), (10.0, 8.0, 4.0)])
def test_the_shortest_time_gives_finite_responses(size, rng):
    room = simulate_room(0.05, size, 8000, rng)
    assert np.isfinite(room.talkers).all() and np.isfinite(room.loudspeakers).all()


def test_response_lasts_for_the_reverberation_time(rooms):
    for room in rooms:
        assert room.talkers.shape[1] >= room.t60 * RATE
        assert np.isfinite(room.talkers).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.02, (4, 3, 2)), r"t60 \(0.02 s\) must be in \[0.05, 3.0\]"),
        ((np.nan, (4, 3, 2)), "t60"),
        ((np.inf, (4, 3, 2)), "t60"),
        ((0.3, (4, 3, 1)), "size"),
        ((0.3, (4, np.nan, 2)), "size"),
        ((0.3, (4, 3)), "size"),
    ],
)
def test_impossible_rooms_are_refused(arguments, words, rng):
    with pytest.raises(ValueError, match=words):
        simulate_room(*arguments, RATE, rng)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((0, RATE), "num_rooms"), ((2, RATE, (0.5, 0.1)), "t60_seconds")],
)
def test_impossible_pools_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        simulate_rooms(*arguments)


def test_a_missing_package_is_told_with_its_extra(monkeypatch, rng):
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[rooms\]'"):
        simulate_room(0.3, (4, 3, 2.5), RATE, rng)
