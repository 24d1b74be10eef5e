from collections import Counter

import numpy as np
import pytest

from sesame.data.degradations import Chain, Clipping, Codec, Degraded, DrawnChain
from sesame.data.degradations import PacketLoss as Loss

RATE = 16_000


def test_a_chain_does_what_its_links_do_one_after_the_other(speech):
    links = [Clipping(), Loss()]
    waveform, done = Chain(links)(speech, RATE, np.random.default_rng(4))
    rng = np.random.default_rng(4)
    clipped = links[0](speech, RATE, rng)
    expected = links[1](clipped.waveform, RATE, rng)
    np.testing.assert_array_equal(waveform, expected.waveform)
    assert done["Clipping"] == clipped.done
    assert done["PacketLoss"]["loss_rate"] == expected.done["loss_rate"]


class A:
    mark = 1

    def __call__(self, waveform, sample_rate, rng):
        return Degraded(np.append(waveform, self.mark), {})


class B(A):
    mark = 2


class C(A):
    mark = 3


def test_numbers_are_drawn_by_their_weights_without_repetition_and_in_order(rng):
    chain = DrawnChain([A(), B(), C()])
    marks = [tuple(chain(np.zeros(0), RATE, rng).waveform) for _ in range(2000)]
    assert all(list(each) == sorted(set(each)) for each in marks)
    numbers = Counter(map(len, marks))
    for number, part in enumerate((0.25, 0.40, 0.20, 0.15)):
        assert numbers[number] / 2000 == pytest.approx(part, abs=0.04)
    # Each is as likely as the others: 1.25 of 3 in the mean.
    for mark in (1, 2, 3):
        part = np.mean([mark in each for each in marks])
        assert part == pytest.approx(1.25 / 3, abs=0.04)


def test_more_than_there_are_means_all(rng):
    chain = DrawnChain([A(), B()], [0, 0, 0, 1])
    assert chain(np.zeros(0), RATE, rng).waveform.tolist() == [1, 2]


def test_nothing_to_draw_from_changes_nothing(speech, rng):
    waveform, done = DrawnChain([])(speech, RATE, rng)
    assert waveform is speech and done == {}


def test_what_was_drawn_stands_in_what_was_done(speech):
    chain = DrawnChain([Clipping(), Codec(["ogg"]), Loss()], [0, 0, 1])
    for seed in range(5):
        done = chain(speech, RATE, np.random.default_rng(seed)).done
        assert len(done) == 2 and set(done) <= {"Clipping", "Codec", "PacketLoss"}


def test_bad_weights_and_twins_are_refused():
    for weights in ([], [0.0], [-1.0, 2.0], [[1.0]], [np.nan, 1.0], [np.inf]):
        with pytest.raises(ValueError, match="weights"):
            DrawnChain([Clipping()], weights)
    with pytest.raises(ValueError, match="Clipping, Clipping"):
        Chain([Clipping(), Clipping()])
