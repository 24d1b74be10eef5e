"""Which PESQ the discriminator learns, and what happens when there is none."""

import math

import pytest
import torch

from sesame.losses import pesq_to_unit
from sesame.metrics import pesq_wb


@pytest.fixture
def targets(monkeypatch):
    """What the discriminator was asked to learn, step by step."""
    from sesame.brain import enhancement

    seen, original = [], enhancement.discriminator_loss

    def spy(real, fake, target):
        seen.append(target)
        return original(real, fake, target)

    monkeypatch.setattr(enhancement, "discriminator_loss", spy)
    return seen


def test_without_lag_the_target_is_the_pesq_of_this_batch(tiny, targets, forwards):
    brain = tiny.brain(pesq_lag=0)
    tiny.steps(brain, tiny.batch("p301_001", "p302_002"), tiny.batch("p303_003"))
    assert _known(forwards) == [target.tolist() for target in targets]
    means = torch.stack([(3.5 * target + 1).mean() for target in targets])
    assert brain.statistics.means()["pesq"] == pytest.approx(float(means.mean()))


def test_with_lag_the_target_is_the_pesq_of_the_batch_before(tiny, targets, forwards):
    brain = tiny.brain(pesq_lag=1)
    names = ("p301_001", "p302_002", "p303_003")
    tiny.steps(brain, *(tiny.batch(name) for name in names))
    assert targets[0].isnan().all()
    assert _known(forwards[:2]) == [target.tolist() for target in targets[1:]]


def _known(forwards):
    """Targets that belong to the outputs of the generator."""
    return [
        pesq_to_unit(
            torch.tensor(
                [
                    pesq_wb(enhanced, clean, 16000).value
                    for enhanced, clean in zip(
                        made["waveform"].detach().numpy(),
                        made["clean_waveform"].numpy(),
                        strict=True,
                    )
                ]
            )
        ).tolist()
        for made in forwards
    ]


@pytest.mark.parametrize("silent", [("clean",), ("noisy", "clean")])
def test_a_batch_whose_pesq_all_failed_is_a_step_like_any_other(tiny, targets, silent):
    brain = tiny.brain(pesq_lag=0)
    batch = tiny.batch()
    for kind in silent:
        getattr(batch, f"{kind}_sig").data.zero_()
    before = [p.detach().clone() for p in brain.modules.parameters()]
    losses = tiny.steps(brain, batch)
    assert targets[0].isnan().all()
    assert all(map(math.isfinite, losses)) and brain.statistics.skipped_steps == 0
    after = list(brain.modules.parameters())
    assert all(p.isfinite().all() for p in after)
    assert any(not torch.equal(b, a) for b, a in zip(before, after, strict=True))
    assert "pesq" not in brain.statistics.means()


@pytest.mark.parametrize("lag", [0, 1])
def test_the_same_run_twice_is_the_same_bit_by_bit(tiny, same, lag):
    results = []
    for folder in ("one", "other"):
        brain = tiny.brain(folder=folder, pesq_lag=lag)
        torch.rand(len(results))  # numbers drawn elsewhere must not matter
        losses = tiny.steps(brain, tiny.batch(), tiny.batch("p303_003", "p304_004"))
        results.append((losses, tiny.state_of(brain)))
    assert same(*results)
