"""Laws that every enhancement network obeys, as functions of the network."""

import io
from types import SimpleNamespace

import pytest
import torch


def spectra(batch=3, num_bins=17, frames=12):
    """Compressed magnitude and phase (B, F, T), float64."""
    magnitude = torch.rand(batch, num_bins, frames, dtype=torch.float64)
    phase = torch.rand(batch, num_bins, frames, dtype=torch.float64) * 6.2 - 3.1
    return magnitude, phase


def unwrapped_difference(phase, other):
    turns = (phase - other) / (2 * torch.pi)
    return (turns - turns.round()).abs().max() * 2 * torch.pi


def check_batch_mates(network):
    """Item 1 gives the same alone, in a batch, and beside a louder mate."""
    magnitude, phase = spectra()
    alone = network(magnitude[1:2], phase[1:2])
    for gain in (1.0, 10.0):
        mates = torch.tensor([gain, 1.0, gain], dtype=torch.float64)[:, None, None]
        together = network(magnitude * mates, phase)
        assert (together[0][1:2] - alone[0]).abs().max() < 1e-5
        assert unwrapped_difference(together[1][1:2], alone[1]) < 1e-5


# Biases that the codec of 2023 adds before it normalises.
CANCELLED_2023 = ("mask_decoder.upsample.bias", "phase_decoder.upsample.0.bias")


def check_gradients(network, cancelled=()):
    """Each parameter moves the output, but for what normalisation cancels."""
    outputs = network(*spectra(frames=40))
    sum(output.pow(3).sum() for output in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # Instance normalisation removes the constant that a bias before it adds.
        inside = name.endswith("conv.bias") and "upsample" not in name
        if not inside and name not in cancelled:
            assert parameter.grad.abs().max() > 1e-8, name


def check_round_trip(network, other):
    """A state dict saved to a file makes another network equal."""
    inputs = spectra()
    assert not torch.equal(network(*inputs)[0], other(*inputs)[0])
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for ours, theirs in zip(network(*inputs), other(*inputs), strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture
def laws():
    return SimpleNamespace(
        batch_mates=check_batch_mates,
        cancelled_2023=CANCELLED_2023,
        gradients=check_gradients,
        round_trip=check_round_trip,
        spectra=spectra,
    )
