"""Enrollments: for whom they were made, and for nobody else."""

import pytest
import torch

from sesame.models.seflow_enrollment import Enrollment


def enrollment(voices=1):
    return Enrollment([torch.randn(voices, 20, 2, 1, 3, 4)] * 2, 8000, channels=4)


def test_one_voice_serves_every_signal_without_copies():
    voice = enrollment()
    first, second = voice.tokens_for(5, 8000, channels=4, depth=2)
    assert first.shape == (5, 20, 2, 1, 3, 4)
    assert first.data_ptr() == voice.tokens[0].data_ptr()
    assert torch.equal(second[4], voice.tokens[1][0])


def test_fewer_blocks_take_the_first():
    assert len(enrollment(2).tokens_for(2, 8000, channels=4, depth=1)) == 1


@pytest.mark.parametrize("wanted", [(16000, 4, 2), (8000, 8, 2), (8000, 4, 3)], ids=str)
def test_other_rates_and_sizes_are_refused(wanted):
    with pytest.raises(ValueError, match="made at 8000 Hz for 4 channels and 2 blocks"):
        enrollment().tokens_for(1, *wanted)


def test_another_number_of_voices_is_refused():
    with pytest.raises(ValueError, match=r"voices \(2\) must be 1 or B \(3\)"):
        enrollment(2).tokens_for(3, 8000, 4, 2)
