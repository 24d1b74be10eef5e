"""SEMamba: size, independence of batch-mates, gradients, any length."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesame.models import SEMamba

SIZES = {"num_bins": 17, "channels": 8, "num_blocks": 2, "dense_depth": 2}
SYSTEMS = {
    SEMamba: {"expand": 2, "state_size": 4},
}


def small(system, **changes):
    return system(**(SIZES | SYSTEMS[system] | changes)).double()


def test_sizes_are_the_published_ones():
    def size(network):
        return sum(p.numel() for p in network.parameters())

    assert size(SEMamba()) == 2_258_769


@pytest.mark.parametrize("system", SYSTEMS)
def test_output_does_not_depend_on_batch_mates(laws, system):
    laws.batch_mates(small(system))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_parameter_receives_a_gradient(laws, system):
    laws.gradients(small(system), laws.cancelled_2023)


@pytest.mark.parametrize("system", SYSTEMS)
def test_state_dict_survives_a_file(laws, system):
    laws.round_trip(small(system), small(system))


@pytest.mark.parametrize("system", SYSTEMS)
def test_training_and_evaluation_give_the_same(laws, system):
    network, inputs = small(system), laws.spectra()
    training = network.train()(*inputs)
    with torch.no_grad():
        evaluation = network.eval()(*inputs)
    torch.testing.assert_close(training[0], evaluation[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(training[1], evaluation[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=5, deadline=None)
@given(frames=st.integers(1, 50))
def test_any_number_of_frames_gives_as_many(system, frames):
    magnitude = torch.rand(1, 17, frames, dtype=torch.float64)
    with torch.no_grad():
        enhanced, phase = small(system)(magnitude, torch.zeros_like(magnitude))
    assert enhanced.shape == phase.shape == (1, 17, frames)
    assert ((enhanced >= 0) & (enhanced <= 2 * magnitude)).all()
    assert phase.abs().max() <= math.pi


@pytest.mark.parametrize("num_bins", [1, 16])
def test_even_numbers_of_bins_are_refused(num_bins):
    with pytest.raises(ValueError, match=rf"num_bins \({num_bins}\) must be odd"):
        SEMamba(num_bins=num_bins)
