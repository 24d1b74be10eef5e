"""Laws of the phase losses: period, range, symmetry, authors' values and gradients."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sesame.features import CompressedSTFT
from sesame.losses import anti_wrap, phase_losses

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("ip", "gd", "iaf")
both_forms = pytest.mark.parametrize("boundary", [False, True])


def phases(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    turns = torch.rand(*shape, dtype=torch.float64, generator=generator)
    return (2 * turns - 1) * math.pi


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("file", "boundary"),
    [("mpsenet_phase_losses", False), ("mambattention_phase_losses", True)],
)
def test_losses_and_gradients_are_those_of_the_authors(file, boundary, dtype):
    golden = load_file(GOLDEN / f"{file}.safetensors")
    target = golden["input/phase_r"].to(dtype)
    estimate = golden["input/phase_g"].to(dtype).requires_grad_()
    losses = phase_losses(estimate, target, boundary=boundary)
    for name, loss in zip(NAMES, losses, strict=True):
        expected = golden[f"output/{name}"].to(dtype)
        torch.testing.assert_close(
            loss.reshape_as(expected), expected, atol=1e-6, rtol=0
        )
        (grad,) = torch.autograd.grad(loss, estimate, retain_graph=True)
        expected = golden[f"output/grad_phase_g.{name}"].to(dtype)
        # A gradient is a whole number of times 1 / count (about 1e-4).
        torch.testing.assert_close(grad, expected, atol=1e-9, rtol=1e-5)


@settings(max_examples=200, deadline=None)
@given(angle=st.floats(-100, 100), turns=st.integers(-1000, 1000))
def test_anti_wrap_is_even_periodic_and_within_half_a_turn(angle, turns):
    angle = torch.tensor(angle, dtype=torch.float64)
    distance = anti_wrap(angle)
    assert 0 <= distance.item() <= math.pi + 1e-12
    torch.testing.assert_close(anti_wrap(-angle), distance)
    shifted = anti_wrap(angle + turns * 2 * math.pi)
    torch.testing.assert_close(shifted, distance, atol=1e-11, rtol=0)


def test_anti_wrap_is_the_distance_on_the_circle():
    angle = phases(1000) * 5
    on_circle = torch.exp(1j * angle).angle().abs()
    torch.testing.assert_close(anti_wrap(angle), on_circle)


def test_anti_wrap_has_slope_one_towards_the_nearest_turn():
    angle = torch.tensor([0.5, -0.5, 2 * math.pi - 0.5, 3.5, 0.0], requires_grad=True)
    anti_wrap(angle).sum().backward()
    assert angle.grad.tolist() == [1, -1, -1, -1, 0]


@both_forms
def test_losses_are_zero_at_equality(boundary):
    phase = phases(2, 7, 5)
    assert [loss.item() for loss in phase_losses(phase, phase, boundary)] == [0, 0, 0]


@both_forms
def test_losses_ignore_whole_turns_of_single_bins(boundary):
    estimate, target = phases(2, 7, 5), phases(2, 7, 5, seed=1)
    turns = torch.arange(70).reshape(2, 7, 5) % 3 - 1
    torch.testing.assert_close(
        phase_losses(estimate + 2 * math.pi * turns, target, boundary),
        phase_losses(estimate, target, boundary),
    )


@both_forms
def test_losses_are_symmetric(boundary):
    estimate, target = phases(2, 7, 5), phases(2, 7, 5, seed=1)
    torch.testing.assert_close(
        phase_losses(estimate, target, boundary),
        phase_losses(target, estimate, boundary),
    )


def test_losses_are_the_means_of_their_definition():
    estimate, target = phases(2, 7, 5), phases(2, 7, 5, seed=1)
    ip, gd, iaf = phase_losses(estimate, target)
    delay = estimate[:, 1:] - estimate[:, :-1] - (target[:, 1:] - target[:, :-1])
    rate = estimate[..., 1:] - estimate[..., :-1]
    rate = rate - (target[..., 1:] - target[..., :-1])
    torch.testing.assert_close(ip, anti_wrap(estimate - target).mean())
    torch.testing.assert_close(gd, anti_wrap(delay).mean())
    torch.testing.assert_close(iaf, anti_wrap(rate).mean())


def test_an_offset_per_frame_is_seen_by_all_but_the_group_delay():
    target = phases(1, 7, 5)
    ip, gd, iaf = phase_losses(target + torch.arange(5) * 0.3, target)
    torch.testing.assert_close(ip.item(), 0.6)
    torch.testing.assert_close(iaf.item(), 0.3)
    assert gd.item() < 1e-12


def test_an_offset_per_bin_is_seen_by_all_but_the_frequency():
    target = phases(1, 7, 5)
    ip, gd, iaf = phase_losses(target + torch.arange(7)[:, None] * 0.2, target)
    torch.testing.assert_close(ip.item(), 0.6)
    torch.testing.assert_close(gd.item(), 0.2)
    assert iaf.item() < 1e-12


def test_boundary_terms_count_the_offset_of_the_first_bin_and_frame():
    target = phases(1, 4, 5)
    _, gd, iaf = phase_losses(target + 1, target, boundary=True)
    torch.testing.assert_close(gd.item(), 1 / 4)
    torch.testing.assert_close(iaf.item(), 1 / 5)


def test_random_phases_cost_a_quarter_turn():
    losses = phase_losses(phases(2, 201, 50), phases(2, 201, 50, seed=1))
    for loss in losses:
        assert abs(loss.item() - math.pi / 2) < 0.03


@both_forms
def test_gradients_are_finite_on_digital_silence(boundary):
    transform = CompressedSTFT()
    waveform = torch.zeros(1, 1000, requires_grad=True)
    silence = transform(torch.zeros(1, 1000))[1]
    sum(phase_losses(transform(waveform)[1], silence, boundary)).backward()
    assert waveform.grad.isfinite().all()
    speech = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    sum(phase_losses(transform(waveform)[1], transform(speech)[1], boundary)).backward()
    assert waveform.grad.isfinite().all()


@both_forms
def test_half_precision_is_compared_in_float32(boundary):
    estimate, target = phases(1, 5, 4).bfloat16(), phases(1, 5, 4, seed=1).bfloat16()
    losses = phase_losses(estimate, target, boundary)
    assert all(loss.dtype == torch.float32 for loss in losses)
    assert losses == phase_losses(estimate.float(), target.float(), boundary)


@pytest.mark.parametrize("shape", [(1, 1, 5), (1, 5, 1)])
def test_phases_without_a_neighbour_are_refused(shape):
    phase = torch.zeros(shape)
    with pytest.raises(ValueError, match=r"F >= 2 and T >= 2, got \(1, "):
        phase_losses(phase, phase)
    assert all(loss.item() == 0 for loss in phase_losses(phase, phase, boundary=True))
