"""Training of several sizes by flow matching."""

import pytest
import speechbrain as sb
import torch
from torch.nn import functional as F

from sesame.data import degraded_batch


@pytest.fixture
def flow_matching(slimmable):
    """Overrides that give the network a flow to match."""
    return {"generator": slimmable.overrides["generator"] | {"flow_matching": True}}


def _asked(brain, monkeypatch):
    """What the network is asked for: targets and times of each pass."""
    asked, network = [], brain.hparams.generator
    forward = network.forward

    def spy(*args, point, **kwargs):
        asked.append(point)
        return forward(*args, point=point, **kwargs)

    monkeypatch.setattr(network, "forward", spy)
    return asked


def test_without_flow_matching_no_point_is_drawn(slimmable, monkeypatch):
    brain = slimmable.brain()
    asked = _asked(brain, monkeypatch)
    slimmable.steps(brain, slimmable.batch())
    assert asked and set(asked) == {None}


def test_times_depend_on_the_seed_and_the_step_alone(
    slimmable, flow_matching, monkeypatch
):
    drawn = []
    for seed in (1, 2):
        brain = slimmable.brain(**flow_matching)
        asked, batch = _asked(brain, monkeypatch), slimmable.batch({}, {}, {}, {})
        torch.manual_seed(seed)  # of no use
        slimmable.steps(brain, batch, batch)
        target = batch.target_sig.data
        assert all(torch.equal(point[0], target) for point in asked)
        passes = len(asked) // 2
        steps = [asked[:passes], asked[passes:]]
        for step in steps:  # all widths are asked at the same times
            assert all(torch.equal(point[1], step[0][1]) for point in step)
        drawn.append(torch.stack([step[0][1] for step in steps]))
    assert torch.equal(*drawn)
    first, second = drawn[0]
    assert not torch.equal(first, second)
    assert (drawn[0] >= 0).all() and (drawn[0] < 1).all()


def test_items_keep_their_targets_and_times_beside_their_priors(
    slimmable, flow_matching, monkeypatch
):
    brain, batch = slimmable.brain(**flow_matching), slimmable.batch()
    asked = _asked(brain, monkeypatch)
    brain.compute_forward(batch, sb.Stage.TRAIN)
    enrolled, others = asked
    everything = brain._point(batch)
    for whole, one, rest in zip(everything, enrolled, others, strict=True):
        assert torch.equal(whole[1:2], one)
        assert torch.equal(whole[[0, 2]], rest)


def test_training_with_flow_matching_teaches_its_parameters(slimmable, flow_matching):
    brain = slimmable.brain(
        learning_rate=0.005, lr_schedule={"warmup_steps": 1}, **flow_matching
    )
    flow = brain.hparams.generator.flow
    losses = slimmable.steps(brain, *[slimmable.batch()] * 15)
    assert max(losses[-3:]) < losses[0] and brain.statistics.skipped_steps == 0
    assert flow.maps[0].weight.any() and flow.time.embedding.any()
    decay = {
        id(parameter): group["weight_decay"]
        for group in brain.optimizers_dict["generator"].param_groups
        for parameter in group["params"]
    }
    assert decay[id(flow.time.embedding)] == 0 < decay[id(flow.maps[0].weight)]


def test_evaluation_takes_the_steps_of_the_network(slimmable):
    options = slimmable.overrides["generator"] | {"flow_matching": True, "num_steps": 3}
    brain = slimmable.brain(generator=options)
    with torch.no_grad():
        for module in (brain.hparams.generator, brain.ema.module):
            for parameter in module.flow.parameters():
                parameter.fill_(0.1)
    brain.on_stage_start(sb.Stage.TEST)
    item = slimmable.item(0)
    x = F.pad(item["degraded_sig"][None], (0, 160))
    with torch.no_grad():
        (found,) = brain.compute_forward(degraded_batch([item]), sb.Stage.TEST)
        for name, size in brain.sizes.items():
            part = brain.ema.module.subnet(*size)
            assert part.num_steps == 3
            torch.testing.assert_close(found[name], part(x, slimmable.rate)[0, 160:])
            part.num_steps = 1
            assert not torch.allclose(found[name], part(x, slimmable.rate)[0, 160:])
