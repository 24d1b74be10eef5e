"""One training step of several sizes, and restoration of whole utterances."""

import csv
import json
import math
from functools import partial

import pytest
import soundfile
import speechbrain as sb
import torch
from torch.nn import functional as F

from sesame.brain import SlimmableBrain
from sesame.data import degraded_batch
from sesame.losses import restoration_terms, weighted_sum
from sesame.metrics import score_restoration

SGD = {"generator_optimizer": partial(torch.optim.SGD, lr=1.0)}


# ----------------------------------------------------------------- construction


def test_a_value_missing_from_the_yaml_file_is_named(slimmable):
    hparams = vars(slimmable.brain().hparams).copy()
    del hparams["max_snr"], hparams["num_random_exits"]
    with pytest.raises(ValueError, match=r"\['max_snr', 'num_random_exits'\]"):
        SlimmableBrain({"generator": hparams["generator"]}, hparams)


@pytest.mark.parametrize("key", ["valid_sizes", "test_sizes"])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([[1.0, 3], [1.0, 4]], r"depth \(4\) must be in \[1, 3\]"),
        ([[0.1, 3]], r"width \(0.1\) must be a multiple of 1/4"),
        ([1.0, 3], r"must be \[width, depth\] of sizes"),
        ([], "there is none"),
    ],
)
def test_sizes_that_the_network_does_not_have_are_told_before_training(
    slimmable, key, sizes, message
):
    with pytest.raises(ValueError, match=rf"^{key} .*{message}"):
        slimmable.brain(**{key: sizes})


def test_norms_biases_and_embeddings_do_not_decay(slimmable):
    brain = slimmable.brain()
    decay = {
        parameter: group["weight_decay"]
        for group in brain.optimizers_dict["generator"].param_groups
        for parameter in group["params"]
    }
    network = brain.hparams.generator
    assert decay.keys() == set(network.parameters())
    free = ("bias", "norm", "exits", "role", "embedding")
    for name, parameter in network.named_parameters():
        assert decay[parameter] == (0 if any(w in name for w in free) else 0.01), name


# ----------------------------------------------------------------- what learns


def test_the_sizes_of_a_step_depend_on_the_seed_and_the_step_alone(slimmable):
    brain = slimmable.brain(num_random_widths=1)
    drawn = []
    for step in range(1, 30):
        brain.step = step
        torch.manual_seed(step)  # of no use
        drawn.append(brain.draw_sizes())
        widths = [width for width, _ in drawn[-1]]
        assert widths[:2] == [1, 0.25] and set(widths[2:]) < {0.5, 0.75}
        assert all(3 in exits and len(exits) <= 2 for _, exits in drawn[-1])
    other = slimmable.brain(num_random_widths=1)
    for step in reversed(range(1, 30)):
        other.step = step
        assert other.draw_sizes() == drawn[step - 1]
    brain.epoch = 2
    assert [brain.draw_sizes() for brain.step in range(1, 30)] != drawn


def test_what_is_full_grows_with_the_stages(slimmable):
    stages = [[2, 0.5, 1, 0.0], [3, 0.5, 2, 1.0]]
    brain = slimmable.brain(num_random_widths=1, stages=stages)
    for epoch, full, depth in (
        (1, 0.5, 1),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (4, 1, 3),
        (9, 1, 3),
    ):
        brain.epoch = epoch
        for brain.step in range(1, 10):
            drawn = brain.draw_sizes()
            assert drawn[0][0] == full
            assert all(max(exits) == depth for _, exits in drawn)
            assert len(drawn) == 1 if epoch <= 2 else 0.25 in dict(drawn)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([[2, 0.5, 4, 1.0]], r"depth \(4\) must be in \[1, 3\]"),
        ([[2, 0.3, 3, 1.0]], r"width \(0.3\) must be a multiple"),
        ([[2, 0.5, 3, 1.5]], r"share \(1.5\) must be in \[0, 1\]"),
        ([[2, 0.5, 3]], r"must be \[last epoch, width, depth, share\]"),
        (None, r"must be \[last epoch, width, depth, share\]"),
    ],
)
def test_stages_that_do_not_fit_the_network_are_refused(slimmable, stages, message):
    with pytest.raises(ValueError, match=message):
        slimmable.brain(stages=stages)


def test_the_gradient_is_the_mean_over_widths_of_the_weighted_sum_over_exits(slimmable):
    replaced = SGD | {"lr_schedule": lambda _: 1.0}
    options = {"num_random_exits": None, "num_random_widths": 2}
    brain = slimmable.brain({"max_grad_norm": 0.0}, replaced, **options)
    network, batch = brain.hparams.generator, slimmable.batch()
    before = slimmable.vector(network)
    expected = 0.0
    for width in (1.0, 0.25, 0.5, 0.75):
        exits = []
        for i in range(3):
            arguments = {}
            if batch.has_enrollment[i]:
                arguments["enrollment"] = batch.enrollment_sig[i : i + 1]
            if batch.has_far_end[i]:
                arguments["far_end"] = batch.far_end_sig.data[i : i + 1]
            mixture = batch.degraded_sig.data[i : i + 1]
            outputs = network(
                mixture, slimmable.rate, width, all_exits=True, **arguments
            )
            # As late as the outputs.
            late = [
                F.pad(signal.data[i : i + 1], (160, -160))
                for signal in (batch.target_sig, batch.degraded_sig)
            ]
            exits.append(
                [
                    weighted_sum(
                        {
                            name: term.mean()
                            for name, term in restoration_terms(
                                y, *late, slimmable.rate
                            ).items()
                        },
                        brain.hparams.loss_weights,
                    )
                    for y in outputs
                ]
            )
        for y1, y2, y3 in exits:
            expected = expected + (y1 + 2 * y2 + 3 * y3) / 6 / 3 / 4
    gradients = torch.autograd.grad(
        expected, list(network.parameters()), allow_unused=True
    )
    wanted = torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).flatten()
            for p, g in zip(network.parameters(), gradients, strict=True)
        ]
    )
    (loss,) = slimmable.steps(brain, batch)
    assert loss == pytest.approx(expected.item(), rel=1e-4)
    taken = before - slimmable.vector(network)
    assert wanted.norm() > 1e-3
    assert (taken - wanted).norm() < 1e-3 * wanted.norm()


def test_the_loss_is_the_weighted_sum_of_the_terms_in_the_log(slimmable):
    brain = slimmable.brain()
    (loss,) = slimmable.steps(brain, slimmable.batch())
    means = brain.statistics.means()
    weights = brain.hparams.loss_weights
    assert means.keys() == weights.keys()
    assert loss == pytest.approx(sum(weights[k] * means[k] for k in means), rel=1e-4)


def test_items_come_out_in_their_order_with_their_own_priors(slimmable):
    brain, batch = slimmable.brain(), slimmable.batch()
    with torch.no_grad():
        together = brain.compute_forward(batch, sb.Stage.TRAIN)
        for i, item in enumerate(({}, {"enrolled": True}, {"far_end": True})):
            silent = {"silent": True} if i == 2 else {}
            alone = degraded_batch([slimmable.item(i, **item, **silent)])
            expected = brain.compute_forward(alone, sb.Stage.TRAIN)
            torch.testing.assert_close(together[:, i : i + 1], expected)


@pytest.mark.parametrize("rate", [8000, 24000, 48000])
def test_batches_may_have_any_rate(slimmable, rate):
    brain = slimmable.brain()
    losses = slimmable.steps(brain, slimmable.batch(rate=rate, length=rate // 10))
    assert math.isfinite(losses[0]) and brain.statistics.skipped_steps == 0


def test_training_lowers_the_loss_of_every_size(slimmable):
    brain = slimmable.brain(learning_rate=0.005, lr_schedule={"warmup_steps": 1})
    batch = slimmable.batch({}, {"far_end": True, "silent": True})
    sizes = [(w, {d: 1.0}) for w in (1.0, 0.5, 0.25) for d in (1, 3)]

    def losses():
        with torch.no_grad():
            return [
                brain.compute_objectives(
                    brain.compute_forward(batch, sb.Stage.TRAIN, width, exits),
                    batch,
                    sb.Stage.TRAIN,
                    exits,
                ).item()
                for width, exits in sizes
            ]

    before = losses()
    slimmable.steps(brain, *[batch] * 15)
    assert all(b < a - 0.01 for a, b in zip(before, losses(), strict=True))


def test_all_silent_batches_teach_with_finite_gradients(slimmable):
    brain = slimmable.brain()
    batch = slimmable.batch({"silent": True})
    batch.degraded_sig.data.zero_()
    losses = slimmable.steps(brain, batch, slimmable.batch())
    assert all(map(math.isfinite, losses)) and brain.statistics.skipped_steps == 0
    assert slimmable.vector(brain.hparams.generator).isfinite().all()


# ----------------------------------------------------------------- steps


def test_two_batches_of_one_accumulate_to_a_batch_of_two(slimmable, monkeypatch):
    updates = []
    items = [{}, {"enrolled": True}]
    for factor in (1, 2):
        replaced = SGD | {"lr_schedule": lambda _: 1.0}
        options = {"grad_accumulation_factor": factor, "max_grad_norm": 0.0}
        brain = slimmable.brain(options, replaced)
        sizes = [(1.0, {3: 1.0}), (0.25, {1: 1.0})]
        monkeypatch.setattr(brain, "draw_sizes", lambda sizes=sizes: sizes)
        before = slimmable.vector(brain.hparams.generator)
        batch = slimmable.batch(*items)
        halves = [
            degraded_batch([slimmable.item(i, **kind)]) for i, kind in enumerate(items)
        ]
        slimmable.steps(brain, *([batch] if factor == 1 else halves))
        assert brain.optimizer_step == 1
        updates.append(slimmable.vector(brain.hparams.generator) - before)
    assert updates[0].norm() > 1e-3
    assert (updates[1] - updates[0]).norm() < 1e-3 * updates[0].norm()


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(slimmable):
    brain = slimmable.brain()
    slimmable.steps(brain, slimmable.batch())
    networks = torch.nn.ModuleList([brain.hparams.generator, brain.ema])
    before = slimmable.vector(networks)
    bad = slimmable.batch()
    bad.degraded_sig.data[0, 100] = math.nan
    slimmable.steps(brain, bad)
    assert torch.equal(before, slimmable.vector(networks))
    assert brain.statistics.skipped_steps == 1


def test_averaged_weights_follow_the_weights(slimmable):
    brain = slimmable.brain(ema_decay=0.0)
    slimmable.steps(brain, slimmable.batch())
    assert torch.equal(
        slimmable.vector(brain.hparams.generator), slimmable.vector(brain.ema.module)
    )


def test_bfloat16_trains_like_float32(slimmable):
    losses = []
    for precision in ("fp32", "bf16"):
        brain = slimmable.brain({"precision": precision})
        losses += slimmable.steps(brain, slimmable.batch())
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.02)


# ----------------------------------------------------------------- evaluation


def test_an_utterance_is_restored_as_if_alone_and_in_step_with_its_input(slimmable):
    brain = slimmable.brain()
    brain.on_stage_start(sb.Stage.TEST)
    items = [
        slimmable.item(0),
        slimmable.item(1, enrolled=True),
        slimmable.item(2, far_end=True, length=1450),
    ]
    with torch.no_grad():
        found = brain.compute_forward(degraded_batch(items), sb.Stage.TEST)
        for i, item in enumerate(items):
            x = F.pad(item["degraded_sig"][None], (0, 160))
            arguments = {}
            if item["has_enrollment"]:
                arguments["enrollment"] = item["enrollment_sig"][None]
            if item["has_far_end"]:
                arguments["far_end"] = F.pad(item["far_end_sig"][None], (0, 160))
            assert list(found[i]) == ["16x3", "16x1", "4x2"]
            for name, size in brain.sizes.items():
                late = brain.ema.module(x, slimmable.rate, *size, **arguments)
                expected = late[0, 160:]
                assert len(expected) == len(item["degraded_sig"])
                torch.testing.assert_close(found[i][name], expected)


def test_the_test_scores_every_task_and_size(slimmable, tmp_path):
    brain = slimmable.brain()
    items = [slimmable.item(i, length=8000) for i in range(2)]
    items.append(slimmable.item(2, far_end=True, silent=True, length=8000))
    options = {"batch_size": 1, "collate_fn": degraded_batch}
    (tmp_path / "train_log.txt").touch()
    brain.evaluate(items, None, test_loader_kwargs=options)
    with (tmp_path / "task_scores.csv").open(encoding="utf-8") as file:
        lines = {(row["task"], row["size"]): row for row in csv.DictReader(file)}
    sizes = ("unprocessed", "16x3", "16x1", "4x2")
    assert set(lines) == {(task, size) for task in ("noise", "echo") for size in sizes}
    line = lines["noise", "4x2"]
    small = brain.hparams.generator.subnet(0.25, 2)
    assert int(line["parameters"]) == sum(p.numel() for p in small.parameters())
    assert float(line["gmacs_per_second"]) == pytest.approx(
        small.macs_per_second(slimmable.rate) / 1e9
    )
    with (tmp_path / "test_scores.csv").open(encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    path = tmp_path / "enhanced_wavs" / "noise" / "0.wav"
    written, _ = soundfile.read(path, dtype="float32")
    target, mixture = (items[0][k].numpy() for k in ("target_sig", "degraded_sig"))
    expected = score_restoration(written, target, mixture, slimmable.rate, ["si_sdr"])
    assert float(rows["noise/0"]["si_sdr"]) == pytest.approx(expected["si_sdr"])
    assert rows["echo/2"]["si_sdr"] == "" != rows["echo/2"]["erle"]
    scores = json.loads((tmp_path / "test_scores.json").read_text())
    assert scores["si_sdri"]["n_scored"] == 2 and scores["erle"]["n_scored"] == 1


def test_validation_selects_by_the_full_network(slimmable, tmp_path):
    brain = slimmable.brain()
    brain.train_stats = {}
    brain.on_stage_start(sb.Stage.VALID, 1)
    with torch.no_grad():
        brain.evaluate_batch(degraded_batch([slimmable.item(0)]), sb.Stage.VALID)
    brain.on_stage_end(sb.Stage.VALID, 0.0, 1)
    (meta,) = [c.meta for c in brain.checkpointer.list_checkpoints()]
    log = (tmp_path / "train_log.txt").read_text()
    assert math.isfinite(meta["si_sdri"])
    assert "valid si_sdri: " in log and "valid si_sdri 4x1: " in log
    assert not list(tmp_path.glob("enhanced_wavs/*"))
