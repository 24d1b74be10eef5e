"""MP-SENet: size, independence of batch-mates, gradients, any length."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.models import MPSENet

SIZES = {
    "num_bins": 17,
    "channels": 8,
    "num_blocks": 2,
    "num_heads": 2,
    "dense_depth": 2,
}


def small(**changes):
    sizes = {
        "num_bins": 17,
        "channels": 8,
        "num_blocks": 2,
        "num_heads": 2,
        "dense_depth": 2,
    }
    return MPSENet(**(sizes | changes)).double()


def test_defaults_have_the_published_number_of_parameters():
    assert sum(p.numel() for p in MPSENet().parameters()) == 2_263_372


def test_output_does_not_depend_on_batch_mates(laws):
    laws.batch_mates(small())


def test_every_parameter_receives_a_gradient(laws):
    laws.gradients(small())


def test_state_dict_survives_a_file(laws):
    laws.round_trip(small(), small())


def test_training_and_evaluation_give_the_same(laws):
    network, inputs = small(), laws.spectra()
    training, evaluation = network.train()(*inputs), network.eval()(*inputs)
    assert torch.equal(training[0], evaluation[0])
    assert torch.equal(training[1], evaluation[1])


@settings(max_examples=10, deadline=None)
@given(frames=st.integers(1, 50))
def test_any_number_of_frames_gives_as_many(frames):
    network = small()
    magnitude = torch.rand(1, 17, frames, dtype=torch.float64)
    enhanced, phase = network(magnitude, torch.zeros_like(magnitude))
    assert enhanced.shape == phase.shape == (1, 17, frames)


def test_mask_is_positive_and_at_most_two(laws):
    magnitude, noisy_phase = laws.spectra()
    enhanced, phase = small()(magnitude, noisy_phase)
    assert ((enhanced > 0) & (enhanced < 2 * magnitude)).all()
    assert phase.abs().max() <= math.pi


def test_silence_stays_silent_and_finite():
    zeros = torch.zeros(1, 17, 12, dtype=torch.float64)
    enhanced, phase = small()(zeros, zeros)
    assert torch.equal(enhanced, zeros)
    assert phase.isfinite().all()


def test_axis_order_changes_the_function_but_not_the_parameters(laws):
    first, second = small(), small(axis_order="frequency_time")
    second.load_state_dict(first.state_dict())
    inputs = laws.spectra()
    assert not torch.allclose(first(*inputs)[0], second(*inputs)[0])


@pytest.mark.parametrize("num_bins", [1, 16, 200])
def test_even_numbers_of_bins_are_refused(num_bins):
    with pytest.raises(ValueError, match=rf"num_bins \({num_bins}\) must be odd"):
        small(num_bins=num_bins)
