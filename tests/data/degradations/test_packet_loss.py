import numpy as np
import pytest

from sesame.data.degradations import PacketLoss
from sesame.data.degradations.packet_loss import draw_losses

RATE = 16_000
PACKET = 320


def bursts(lost):
    """Lengths of the runs of lost packets."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.25, 0.5])
@pytest.mark.parametrize("continuation", [0.0, 0.5, 0.8])
def test_rate_and_bursts_are_those_of_the_channel(rate, continuation, rng):
    lost = draw_losses(60_000, rate, continuation, 10, rng)
    lengths = bursts(lost)
    expected = np.sum(continuation ** np.arange(10))
    assert lost.mean() == pytest.approx(rate, rel=0.06)
    assert lengths.mean() == pytest.approx(expected, rel=0.06)
    assert lengths.max() <= 10


def test_bursts_end_where_they_must(rng):
    lengths = bursts(draw_losses(5_000, 0.4, 1.0, 10, rng))
    assert set(lengths[1:-1]) == {10}


def test_lost_packets_are_zeros_and_others_untouched(speech, rng):
    voiced = speech + np.float32(0.001)
    waveform, done = PacketLoss()(voiced, RATE, rng)
    packets, original = waveform.reshape(-1, PACKET), voiced.reshape(-1, PACKET)
    np.testing.assert_array_equal(~packets.any(axis=1), done["lost"])
    np.testing.assert_array_equal(packets[~done["lost"]], original[~done["lost"]])
    assert done["loss_rate"] == done["lost"].mean() > 0


def test_measured_rates_are_in_their_range_in_the_mean(rng):
    voiced = np.ones(4 * RATE, dtype=np.float32)
    measured, longest = [], 0
    for _ in range(300):
        waveform, _ = PacketLoss()(voiced, RATE, rng)
        measured.append(1 - waveform.mean())
        longest = max(longest, bursts(waveform[::PACKET] == 0).max(initial=0))
    assert np.mean(measured) == pytest.approx(0.15, abs=0.01)
    assert np.std(measured) > 0.05
    assert longest <= 10


def test_something_is_lost_where_it_should_be(rng):
    lose = PacketLoss(rate=(0.05, 0.05), continuation=(0.8, 0.8))
    for packets, always in ((20, True), (10, False)):
        voiced = np.ones(packets * PACKET, dtype=np.float32)
        losses = [lose(voiced, RATE, rng).done["loss_rate"] for _ in range(100)]
        assert (min(losses) > 0) == always
    assert not PacketLoss(rate=(0, 0))(voiced, RATE, rng).done["lost"].any()


@pytest.mark.parametrize("rate", [8_000, 24_000, 44_100, 48_000])
def test_packets_are_twenty_milliseconds_at_every_rate(rate, rng):
    waveform, done = PacketLoss()(np.ones(rate, np.float32), rate, rng)
    assert len(done["lost"]) == 50
    np.testing.assert_array_equal(waveform == 0, np.repeat(done["lost"], rate // 50))


def test_a_last_part_of_a_packet_is_a_packet(rng):
    lose = PacketLoss(rate=(0.5, 0.5), continuation=(0.0, 0.0))
    for _ in range(8):
        waveform, done = lose(np.ones(PACKET + 1, np.float32), RATE, rng)
        assert done["lost"].tolist() == [waveform[0] == 0, waveform[-1] == 0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"rate": (0.1, 0.6)}, "rate"),
        ({"continuation": (0.5, 1.1)}, "continuation"),
        ({"max_burst": 0}, "max_burst"),
        ({"packet_seconds": 0.0}, "packet_seconds"),
    ],
)
def test_impossible_channels_are_refused(arguments, word):
    with pytest.raises(ValueError, match=word):
        PacketLoss(**arguments)
