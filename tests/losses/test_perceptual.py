"""PESQ as a loss: PESQ itself, levels, rates, what is not heard, gradients."""

import math

import numpy as np
import pesq
import pytest
import soundfile
import torch
import torchaudio

from sesame.losses import pesq_mos

RATE = 16000


@pytest.fixture(scope="module")
def pairs(minibank):
    """Ten pairs of speech and the same with noise, (L,) each."""
    found = []
    for path in sorted((minibank / "clean_testset_wav").iterdir())[:10]:
        noisy = minibank / "noisy_testset_wav" / path.name
        signals = [soundfile.read(p, dtype="float32") for p in (path, noisy)]
        assert {rate for _, rate in signals} == {RATE}
        found.append([torch.from_numpy(signal) for signal, _ in signals])
    return found


def test_the_score_is_that_of_pesq(pairs):
    """Its alignment in time moves one or two of the thirty by more than 0.3."""
    scores = []
    for clean, noisy in pairs:
        for gain in (1.0, 0.3, 0.1):
            mixed = clean + gain * (noisy - clean)
            ours = float(pesq_mos(mixed, clean, RATE))
            scores.append((pesq.pesq(RATE, clean.numpy(), mixed.numpy(), "wb"), ours))
    theirs, ours = np.array(scores).T
    assert np.ptp(theirs) > 1.5
    assert np.corrcoef(theirs, ours)[0, 1] > 0.97
    assert np.median(np.abs(theirs - ours)) < 0.06


def test_it_rises_as_the_noise_falls(pairs):
    clean, noisy = pairs[0]
    gains = torch.tensor([1.0, 0.5, 0.25, 0.1, 0.03])[:, None]
    scores = pesq_mos(clean + gains * (noisy - clean), clean, RATE)
    assert (scores.diff() > 0).all()


def test_levels_do_not_count(pairs):
    clean, noisy = pairs[0]
    score = pesq_mos(noisy, clean, RATE)
    for ours, theirs in ((0.1, 1.0), (1.0, 0.1), (3.0, 3.0)):
        other = pesq_mos(ours * noisy, theirs * clean, RATE)
        torch.testing.assert_close(other, score, rtol=1e-3, atol=0)


def test_what_is_added_is_worse_than_what_is_missing():
    """A partial more, a partial less: the asymmetry of P.862."""
    t = torch.arange(RATE) / RATE
    beat = 1 + torch.sin(2 * math.pi * 3 * t)
    few, tone = (0.1 * beat * torch.sin(2 * math.pi * f * t) for f in (500, 2000))
    added = pesq_mos(few + tone, few, RATE)
    missing = pesq_mos(few, few + tone, RATE)
    assert added < missing - 0.5


@pytest.mark.parametrize("rate", [24000, 44100, 48000])
def test_rates_and_what_is_above_8_khz_do_not_count(pairs, rate):
    clean, noisy = pairs[1]
    score = float(pesq_mos(noisy, clean, RATE))
    clean, noisy = (
        torchaudio.functional.resample(signal, RATE, rate) for signal in (clean, noisy)
    )
    found = float(pesq_mos(noisy, clean, rate))
    assert found == pytest.approx(score, rel=0.02)
    t = torch.arange(len(clean)) / rate
    high = 0.1 * torch.sin(2 * math.pi * 10000 * t)
    found = float(pesq_mos(noisy + high, clean, rate))
    assert found == pytest.approx(score, rel=0.02)


def test_outputs_share_their_targets_and_items_are_on_their_own(pairs):
    clean = torch.stack([clean[:16000] for clean, _ in pairs[:2]])
    noisy = torch.stack([noisy[:16000] for _, noisy in pairs[:2]])
    found = pesq_mos(torch.stack([noisy, 0.5 * noisy + clean]), clean, RATE)
    assert found.shape == (2, 2)
    for i in range(2):
        alone = pesq_mos(noisy[i], clean[i], RATE)
        torch.testing.assert_close(found[0, i], alone)


@pytest.mark.parametrize("length", [1, 100, 600, 16000])
def test_silence_and_identity_have_finite_gradients(length):
    signal = 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(0))
    for target in (signal, 0 * signal, signal.flip(0)):
        for start in (signal, 0 * signal):
            estimate = start.clone().requires_grad_()
            score = pesq_mos(estimate, target, RATE)
            score.backward()
            assert score.isfinite() and estimate.grad.isfinite().all()
    assert pesq_mos(signal, signal, RATE) > 4.6


def test_a_step_along_the_gradient_raises_pesq(pairs):
    clean, noisy = (signal[:32000] for signal in pairs[2])
    before = pesq.pesq(RATE, clean.numpy(), noisy.numpy(), "wb")
    estimate = noisy.clone().requires_grad_()
    optimizer = torch.optim.Adam([estimate], lr=1e-3)
    for _ in range(10):
        optimizer.zero_grad()
        (-pesq_mos(estimate, clean, RATE)).backward()
        optimizer.step()
    after = pesq.pesq(RATE, clean.numpy(), estimate.detach().numpy(), "wb")
    assert after > before + 0.2


def test_bfloat16_is_widened(pairs):
    clean, noisy = pairs[0]
    score = pesq_mos(noisy.bfloat16(), clean.bfloat16(), RATE)
    assert score.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        inside = pesq_mos(noisy, clean, RATE)
    assert torch.equal(inside, pesq_mos(noisy, clean, RATE))
