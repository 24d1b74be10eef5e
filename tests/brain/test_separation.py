"""One training step, and separation of whole mixtures."""

import csv
import json
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml

from sesame.brain import SeparationBrain
from sesame.data.separation import separation_batch
from sesame.features import match_levels
from sesame.losses import separation_loss, sequence_balance_loss
from sesame.metrics import score_separation

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "hparams" / "tf_moe_mini.yaml"
RATE = 16000
TINY = {
    "data_folder": str(ROOT / "data" / "minibank"),
    "segment_length": 4000,
    "pesq_workers": 0,
    "generator": {"channels": 4, "num_blocks": 1, "num_heads": 1, "num_bands": 8},
    "test_metrics": ["si_sdr", "si_sdri", "stoi"],
}
DENSE = {"time_layer": "conformer", "frequency_layer": "conformer"}
NO_BATCH_NORM = {"time_layer": "rnn", "frequency_layer": "rnn"}


@pytest.fixture
def make(tmp_path):
    """Makes a Brain that has done everything but its first step."""

    def make(run_opts=None, replaced=None, generator=None, **overrides):
        overrides = TINY | {"output_folder": str(tmp_path)} | overrides
        overrides["generator"] = TINY["generator"] | (generator or {})
        with FILE.open(encoding="utf-8") as file:
            hparams = load_hyperpyyaml(file, overrides) | (replaced or {})
        brain = hparams["brain"](
            modules=hparams["modules"],
            hparams=hparams,
            run_opts={"device": "cpu", "noprogressbar": True} | (run_opts or {}),
            checkpointer=hparams["checkpointer"],
        )
        brain.on_fit_start()
        brain.on_stage_start(sb.Stage.TRAIN, 1)
        brain.modules.train()
        return brain

    return make


def _batch(*seeds, lengths=(4000, 4000)):
    """Mixtures of two noises that come and go."""
    items = []
    for seed, length in zip(seeds or (0, 1), lengths, strict=False):
        generator = torch.Generator().manual_seed(seed)
        sources = 0.1 * torch.randn(2, length, generator=generator)
        sources = sources * torch.linspace(0, 6, length).sin()
        sources[0] = sources[0].cumsum(0) / 4
        items.append(
            {"id": f"{seed}", "mixture_sig": sources.sum(0), "source_sigs": sources}
        )
    return separation_batch(items)


def _bad(kind, value):
    batch = _batch()
    getattr(batch, kind).data[0, ..., 100] = value
    return batch


def _steps(brain, *batches):
    losses = []
    for batch in batches:
        brain.step += 1
        losses.append(float(brain.fit_batch(batch)))
    return losses


def _copy(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


# ----------------------------------------------------------------- construction


def test_a_value_missing_from_the_yaml_file_is_named(make):
    brain = make()
    hparams = vars(brain.hparams).copy()
    del hparams["max_si_snr"], hparams["generator_optimizer"]
    with pytest.raises(ValueError, match=r"\['generator_optimizer', 'max_si_snr'\]"):
        SeparationBrain({"generator": brain.hparams.generator}, hparams)


def test_norms_biases_and_routers_do_not_decay(make):
    brain = make()
    decay = {
        parameter: group["weight_decay"]
        for group in brain.optimizers_dict["generator"].param_groups
        for parameter in group["params"]
    }
    network = brain.hparams.generator
    assert decay.keys() == set(network.parameters())
    for name, parameter in network.named_parameters():
        exempt = "bias" in name or "norm" in name or "router" in name
        exempt |= parameter.ndim == 1
        assert decay[parameter] == (0.0 if exempt else 0.01), name
    assert {0.0, 0.01} == set(decay.values())


# ----------------------------------------------------------------- the loss


def test_the_loss_is_the_weighted_sum_of_the_terms_in_the_log(make):
    brain = make(loss_weights={"balance": 0.7})
    (loss,) = _steps(brain, _batch())
    means = brain.statistics.means()
    assert means.keys() == {"si_snr", "balance"}
    assert loss == pytest.approx(means["si_snr"] + 0.7 * means["balance"], rel=1e-5)


@pytest.mark.parametrize("route", ["seq", "batch", "token"])
def test_the_terms_are_the_losses_of_their_definitions(make, route):
    brain = make(generator={"route": route}, max_si_snr=None)
    batch, seen = _batch(), []
    brain.hparams.generator.register_forward_hook(lambda _, __, y: seen.append(y))
    _steps(brain, batch)
    means = brain.statistics.means()
    expected = separation_loss(seen[0], batch.source_sigs.data, max_si_snr=None)
    assert means["si_snr"] == pytest.approx(expected.item(), rel=1e-5)
    balance = [
        sequence_balance_loss(r.logits, r.expert_ids, 2).item()
        for r in (layer.routing for layer in brain.routing.layers.values())
    ]
    # Two feed-forwards in each of two conformers.
    assert len(balance) == 4 and min(balance) > 0
    assert means["balance"] == pytest.approx(math.fsum(balance), rel=1e-5)


def test_the_order_of_the_sources_does_not_matter(make):
    swapped = _batch()
    swapped.source_sigs.data.copy_(swapped.source_sigs.data.flip(1))
    losses = []
    for batch in (_batch(), swapped):
        torch.manual_seed(0)
        losses += _steps(make(), batch)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_network_without_experts_trains_with_the_same_file(make):
    brain = make(generator=DENSE)
    (loss,) = _steps(brain, _batch())
    assert math.isfinite(loss) and brain.statistics.means().keys() == {"si_snr"}


def test_a_misspelt_weight_is_refused_at_the_first_step(make):
    with pytest.raises(ValueError, match="si_snrr"):
        _steps(make(loss_weights={"si_snrr": 1.0}), _batch())


def test_utterances_beyond_the_threshold_teach_nothing(make):
    sgd = {"generator_optimizer": partial(torch.optim.SGD, lr=1.0)}
    for threshold, learns in ((-200.0, False), (None, True)):
        brain = make(replaced=sgd, max_si_snr=threshold, loss_weights={"balance": 0.0})
        before = [p.clone() for p in brain.hparams.generator.parameters()]
        (loss,) = _steps(brain, _batch())
        after = brain.hparams.generator.parameters()
        assert learns != all(map(torch.equal, before, after))
        assert learns or loss == 200


def test_training_lowers_the_loss(make):
    brain = make(learning_rate=0.01, lr_schedule={"warmup_steps": 1})
    losses = _steps(brain, *[_batch()] * 15)
    assert losses[-1] < losses[0] - 2


def test_every_router_and_expert_that_was_chosen_gets_a_gradient(make, monkeypatch):
    brain = make(loss_weights={"balance": 0.0})
    seen = {}

    def spy(name):
        for layer_name, layer in brain.routing.layers.items():
            chosen = set(layer.routing.expert_ids.flatten().tolist())
            learned = layer.experts.weight.grad.flatten(1).any(1).nonzero().flatten()
            router = layer.router.token_projection.weight.grad
            seen[layer_name] = chosen == set(learned.tolist()), bool(router.any())
        return True

    monkeypatch.setattr(brain, "take_step", spy)
    _steps(brain, _batch())
    assert len(seen) == 4 and set(seen.values()) == {(True, True)}


# ----------------------------------------------------------------- accumulation


def test_two_batches_of_one_accumulate_to_a_batch_of_two(make):
    updates = []
    for factor, batches in ((1, [_batch(0, 1)]), (2, [_batch(0), _batch(1)])):
        torch.manual_seed(0)
        brain = make(
            {"grad_accumulation_factor": factor, "max_grad_norm": 0.0},
            # Adam's first step is a sign: it would blow rounding errors up.
            replaced={"generator_optimizer": partial(torch.optim.SGD, lr=1.0)},
            generator=NO_BATCH_NORM,
            lr_schedule={"warmup_steps": 0},
        )
        before = torch.nn.utils.parameters_to_vector(brain.modules.parameters())
        _steps(brain, *batches)
        assert brain.optimizer_step == 1
        after = torch.nn.utils.parameters_to_vector(brain.modules.parameters())
        updates.append((after - before).detach())
    assert updates[0].norm() > 1e-2
    assert (updates[1] - updates[0]).norm() < 1e-3 * updates[0].norm()


def test_no_weight_moves_within_a_window_of_accumulation(make):
    brain = make({"grad_accumulation_factor": 2})
    weights = dict(brain.hparams.generator.named_parameters())
    before = {name: weight.clone() for name, weight in weights.items()}
    _steps(brain, _batch())
    assert _same(before, weights) and brain.optimizer_step == 0
    _steps(brain, _batch())
    assert not _same(before, weights)


def test_averaged_weights_follow_the_weights(make):
    brain = make(ema_decay=0.0)
    _steps(brain, _batch())
    assert _same(_copy(brain.hparams.generator), _copy(brain.ema.module))


# ----------------------------------------------------------------- steps not taken


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("mixture_sig", math.nan),
        ("mixture_sig", math.inf),
        ("source_sigs", math.nan),
        ("source_sigs", math.inf),
    ],
)
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(make, kind, value):
    """Not even the statistics of batch normalisation."""
    brain = make()
    _steps(brain, _batch())
    networks = torch.nn.ModuleList([brain.hparams.generator, brain.ema])
    before = _copy(networks)
    assert any(name.endswith("running_var") for name in before)
    (loss,) = _steps(brain, _bad(kind, value))
    assert not math.isfinite(loss)
    assert _same(before, _copy(networks))
    assert brain.statistics.skipped_steps == 1
    losses = _steps(brain, _batch(), _batch())
    assert all(map(math.isfinite, losses))
    assert brain.statistics.skipped_steps == 1
    assert all(tensor.isfinite().all() for tensor in _copy(networks).values())


def test_a_bad_micro_batch_undoes_its_whole_window(make):
    brain = make({"grad_accumulation_factor": 2})
    before = _copy(brain.hparams.generator)
    _steps(brain, _bad("mixture_sig", math.nan), _batch())
    assert _same(before, _copy(brain.hparams.generator))


def test_too_many_bad_steps_in_a_row_end_the_run(make):
    brain = make({"nonfinite_patience": 1})
    _steps(brain, _bad("mixture_sig", math.nan))
    with pytest.raises(ValueError, match=r"2 steps in a row .*nonfinite_patience 1"):
        _steps(brain, _bad("mixture_sig", math.nan))


# ----------------------------------------------------------------- precision


def test_bfloat16_trains_like_float32(make):
    losses = []
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        # oneDNN never returns from a bfloat16 convolution of 16 and fewer filters.
        brain = make({"precision": precision}, generator={"channels": 16})
        losses += _steps(brain, _batch())
        routings = [layer.routing for layer in brain.routing.layers.values()]
        assert {r.logits.dtype for r in routings} == {torch.float32}
    assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.3)


# ----------------------------------------------------------------- evaluation


def test_a_mixture_is_separated_as_if_it_were_alone_with_the_averaged_weights(make):
    brain = make()
    # The first step only copies the weights into the average.
    _steps(brain, _batch(), _batch(), _batch())
    brain.on_stage_start(sb.Stage.VALID, 1)
    batch = _batch(3, 4, lengths=(4000, 2501))
    with torch.no_grad():
        separated = brain.compute_forward(batch, sb.Stage.VALID)
        for i, length in enumerate((4000, 2501)):
            mixture = batch.mixture_sig.data[i : i + 1, :length]
            expected = match_levels(brain.ema.module(mixture), mixture)
            assert torch.equal(separated[i], expected)
            assert separated[i].shape == (1, 2, length)
    own = brain.hparams.generator.eval()(batch.mixture_sig.data[:1])
    assert not torch.equal(separated[0], own)


def test_padding_does_not_count_in_training_either(make):
    brain = make()
    batch = _batch(0, 1, lengths=(4000, 3000))
    predictions = torch.randn(2, 2, 4000)
    brain.hparams.max_si_snr = None
    brain.routing.layers.clear()
    loss = brain.compute_objectives(predictions, batch, sb.Stage.TRAIN)
    changed = predictions.clone()
    changed[1, :, 3000:] = 7.0
    assert brain.compute_objectives(changed, batch, sb.Stage.TRAIN) == loss


def _evaluate(brain, tmp_path):
    options = dict(brain.hparams.test_loader_options)
    with (tmp_path / "train_log.txt").open("a"):
        brain.evaluate(brain.hparams.test_set(), None, test_loader_kwargs=options)
    with (tmp_path / "test_scores.csv").open(encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_the_test_scores_and_writes_sources_in_their_order(make, tmp_path):
    brain = make()

    class Swap(torch.nn.Module):
        """Knows the sources, and gives them in the wrong order."""

        def forward(self, mixture):
            return 0.8 * self.sources.flip(1) + 0.2 * mixture[:, None]

    # What the network makes of an item depends on the item, which it does not see.
    brain.ema.module = Swap()
    original = brain.compute_forward

    def spy(batch, stage):
        brain.ema.module.sources = batch.source_sigs.data
        return original(batch, stage)

    brain.compute_forward = spy
    rows = _evaluate(brain, tmp_path)
    items = list(brain.hparams.test_set())
    assert rows.keys() == {item["id"] for item in items} and len(rows) == 10
    item = items[0]
    sources = item["source_sigs"].numpy()
    written = []
    for number, source in enumerate(sources, 1):
        path = tmp_path / "separated_wavs" / f"s{number}" / f"{item['id']}.wav"
        written.append(soundfile.read(path, dtype="float32")[0])
        assert abs(np.corrcoef(written[-1], source)[0, 1]) > 0.9
    mixture = item["mixture_sig"].numpy()
    names = brain.hparams.test_metrics
    expected = score_separation(np.stack(written), sources, mixture, RATE, names)
    for name in names:
        assert float(rows[item["id"]][name]) == pytest.approx(expected[name], abs=1e-6)
    scores = json.loads((tmp_path / "test_scores.json").read_text())
    assert scores["si_sdri"]["n_scored"] == scores["si_sdri"]["n_total"] == 10
    mixed = json.loads((tmp_path / "noisy_scores.json").read_text())
    assert mixed["si_sdri"]["mean"] == 0
    gain = scores["si_sdr"]["mean"] - mixed["si_sdr"]["mean"]
    assert gain == pytest.approx(scores["si_sdri"]["mean"])


def test_validation_selects_by_the_gain_in_si_sdr(make, tmp_path):
    brain = make()
    brain.train_stats = {}
    brain.on_stage_start(sb.Stage.VALID, 1)
    with torch.no_grad():
        for item in list(brain.hparams.valid_set())[:2]:
            brain.evaluate_batch(separation_batch([item]), sb.Stage.VALID)
    brain.on_stage_end(sb.Stage.VALID, 0.0, 1)
    (meta,) = [c.meta for c in brain.checkpointer.list_checkpoints()]
    assert math.isfinite(meta["si_sdri"]) and meta["epoch"] == 1
    assert "valid si_sdri" in (tmp_path / "train_log.txt").read_text()
    assert not list(tmp_path.glob("separated_wavs/*"))
