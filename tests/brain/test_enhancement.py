"""One training step, and enhancement of whole utterances."""

import math
from functools import partial

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from sesame.brain import EnhancementBrain
from sesame.features import enhance_waveform
from sesame.nnet.moe import moe_layers


def _gradients(module):
    return [p.grad for p in module.parameters()]


def _bad(batch, kind="noisy", value=math.nan):
    getattr(batch, f"{kind}_sig").data[0, 100] = value
    return batch


# ----------------------------------------------------------------- construction


def test_a_value_missing_from_the_yaml_file_is_named(tiny):
    hparams = tiny.hparams()
    del hparams["pesq_lag"], hparams["generator_optimizer"]
    with pytest.raises(ValueError, match=r"\['generator_optimizer', 'pesq_lag'\]"):
        EnhancementBrain(hparams["modules"], hparams)


@pytest.mark.parametrize("option", ["precision", "eval_precision"])
def test_half_precision_is_refused(tiny, option):
    with pytest.raises(ValueError, match="fp16"):
        tiny.brain({option: "fp16"})


def test_half_precision_is_refused_where_speechbrain_would_accept_it(tiny, monkeypatch):
    original = sb.Brain.__init__

    def as_on_a_gpu(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.precision = "fp16"

    monkeypatch.setattr(sb.Brain, "__init__", as_on_a_gpu)
    with pytest.raises(ValueError, match="use fp32 or bf16"):
        tiny.brain()


# ----------------------------------------------------------------- who learns what


def test_neither_network_gets_gradients_from_the_step_of_the_other(tiny, monkeypatch):
    brain = tiny.brain()
    generator, discriminator = (
        getattr(brain.hparams, name) for name in ("generator", "discriminator")
    )
    seen, take_step = {}, brain.take_step

    def spy(name):
        seen[name] = _gradients(generator), _gradients(discriminator)
        return take_step(name)

    monkeypatch.setattr(brain, "take_step", spy)
    tiny.steps(brain, tiny.batch(), tiny.batch())
    generator_gradients, discriminator_gradients = seen["discriminator"]
    assert all(g is None for g in generator_gradients)
    assert all(g is not None for g in discriminator_gradients)
    generator_gradients, discriminator_gradients = seen["generator"]
    assert all(g is not None for g in generator_gradients)
    assert all(g is None for g in discriminator_gradients)
    assert all(p.requires_grad for p in discriminator.parameters())


def test_the_generator_learns_from_the_frozen_discriminator(tiny, monkeypatch):
    names = tiny.hparams()["loss_weights"]
    weights = dict.fromkeys(names, 0.0) | {"metric": 1.0}
    brain = tiny.brain(loss_weights=weights)
    largest, take_step = {}, brain.take_step

    def spy(name):
        gradients = _gradients(brain.modules[name])
        largest[name] = max(float(gradient.abs().max()) for gradient in gradients)
        return take_step(name)

    monkeypatch.setattr(brain, "take_step", spy)
    tiny.steps(brain, tiny.batch())
    assert largest["generator"] > 0


def test_the_loss_is_the_weighted_sum_of_the_terms_in_the_log(tiny):
    brain = tiny.brain()
    (loss,) = tiny.steps(brain, tiny.batch())
    means, weights = brain.statistics.means(), brain.hparams.loss_weights
    assert set(means) - {"discriminator"} == set(weights)
    total = math.fsum(weight * means[name] for name, weight in weights.items())
    assert loss == pytest.approx(total, rel=1e-5)


def test_a_misspelt_weight_is_refused_at_the_first_step(tiny):
    brain = tiny.brain(loss_weights={"magnitud": 1.0})
    with pytest.raises(ValueError, match="magnitud"):
        tiny.steps(brain, tiny.batch())


def test_a_network_without_experts_trains_with_the_same_file(tiny):
    brain = tiny.brain(generator={"channels": 4, "moe_blocks": []})
    (loss,) = tiny.steps(brain, tiny.batch())
    assert math.isfinite(loss)
    assert not {"load_balance", "router_z"} & set(brain.statistics.means())


def test_the_loss_does_not_depend_on_the_recording_level(tiny):
    losses = [tiny.steps(tiny.brain(), tiny.batch(scale=s))[0] for s in (1.0, 0.1)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_training_lowers_the_loss(tiny):
    weights = {"metric": 0.0}
    brain = tiny.brain(loss_weights=weights, learning_rate=0.01)
    losses = tiny.steps(brain, *[tiny.batch()] * 12)
    assert losses[-1] < 0.97 * losses[0]


# ----------------------------------------------------------------- accumulation


def test_two_batches_of_one_accumulate_to_a_batch_of_two(tiny):
    # Off: the metric, whose dropout differs; the balance, which is not linear in the
    # batch; the phases, of whose gradient most comes from the few bins with an
    # output near 0, where rounding decides on the sign.
    names = ("p301_001", "p302_002")
    off = ("metric", "load_balance")
    off += ("instantaneous_phase", "group_delay", "angular_frequency")
    results = []
    for factor, batches in (
        (1, [tiny.batch(*names)]),
        (2, [tiny.batch(name) for name in names]),
    ):
        brain = tiny.brain(
            {"grad_accumulation_factor": factor, "max_grad_norm": 0.0},
            # Adam's first step is a sign: it would blow rounding errors up.
            replaced={"generator_optimizer": partial(torch.optim.SGD, lr=1.0)},
            folder=f"factor{factor}",
            loss_weights=dict.fromkeys(off, 0.0),
        )
        before = _flat(brain)
        tiny.steps(brain, *batches)
        assert brain.optimizer_step == 1
        bias = [m.router.expert_bias for m in brain.routing.layers.values()]
        results.append((_flat(brain) - before, torch.stack(bias)))
    (update, bias), (accumulated, accumulated_bias) = results
    # The norm, not each number: a bias before a normalisation has a gradient of 0,
    # which rounding fills.
    assert update.norm() > 1e-2
    assert (accumulated - update).norm() < 1e-3 * update.norm()
    assert bias.any() and torch.equal(bias, accumulated_bias)


def _flat(brain):
    parameters = brain.hparams.generator.parameters()
    return torch.cat([p.detach().flatten() for p in parameters])


def test_nothing_moves_within_a_window_of_accumulation(tiny, same):
    brain = tiny.brain({"grad_accumulation_factor": 2})
    before = _copy(tiny.state_of(brain)["generator"])
    tiny.steps(brain, tiny.batch())
    assert same(before, _copy(tiny.state_of(brain)["generator"]))
    assert brain.optimizer_step == 0
    tiny.steps(brain, tiny.batch())
    assert not same(before, _copy(tiny.state_of(brain)["generator"]))


def _copy(state):
    return {name: tensor.clone() for name, tensor in state.items()}


# ----------------------------------------------------------------- steps not taken


@pytest.mark.parametrize(
    ("kind", "value"), [("noisy", math.nan), ("clean", math.nan), ("clean", math.inf)]
)
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(
    tiny, same, kind, value
):
    brain = tiny.brain()
    tiny.steps(brain, tiny.batch())
    networks = torch.nn.ModuleList([brain.hparams.generator, brain.ema])
    before = _copy(networks.state_dict())
    moments = str(tiny.state_of(brain)["generator optimizer"])
    (loss,) = tiny.steps(brain, _bad(tiny.batch(), kind, value))
    assert not math.isfinite(loss)
    assert any("expert_bias" in name and before[name].any() for name in before)
    assert same(before, dict(networks.state_dict()))
    assert moments == str(tiny.state_of(brain)["generator optimizer"])
    assert brain.statistics.skipped_steps == 1
    assert brain.statistics.consecutive_skips == 1
    # The discriminator meets the bad batch one step later.
    losses = tiny.steps(brain, tiny.batch(), tiny.batch())
    assert all(map(math.isfinite, losses))
    assert brain.statistics.skipped_steps == 2
    assert brain.statistics.consecutive_skips == 0
    assert all(p.isfinite().all() for p in brain.modules.parameters())
    assert all(map(math.isfinite, brain.statistics.means().values()))


def test_too_many_bad_steps_in_a_row_end_the_run(tiny):
    brain = tiny.brain({"nonfinite_patience": 2})
    tiny.steps(brain, _bad(tiny.batch()), _bad(tiny.batch()), tiny.batch())
    tiny.steps(brain, _bad(tiny.batch()), _bad(tiny.batch()))
    with pytest.raises(ValueError, match=r"3 steps in a row .*nonfinite_patience 2"):
        tiny.steps(brain, _bad(tiny.batch()))


# ----------------------------------------------------------------- precision


def test_bfloat16_is_for_the_networks_only(tiny, monkeypatch, forwards):
    from sesame.brain import enhancement

    brain = tiny.brain({"precision": "bf16"})
    inside, terms = set(), {}

    def note_dtype(layer, _, output):
        inside.add((type(layer).__name__, output.dtype))

    for network in (brain.hparams.generator, brain.hparams.discriminator):
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.PReLU):
                layer.register_forward_hook(note_dtype)
    # A network may also end in a layer that autocast runs in half precision.
    brain.hparams.generator.register_forward_hook(
        lambda _, __, pair: tuple(tensor.bfloat16() for tensor in pair)
    )
    original = enhancement.weighted_sum

    def spy(named, weights):
        terms.update(named)
        return original(named, weights)

    monkeypatch.setattr(enhancement, "weighted_sum", spy)
    losses = tiny.steps(brain, tiny.batch(), tiny.batch())
    assert all(map(math.isfinite, losses)) and brain.statistics.skipped_steps == 0
    # Conv2d of the generator, ParametrizedConv2d of the discriminator.
    layers = ("Conv2d", "ParametrizedConv2d", "PReLU")
    assert inside == {(name, torch.bfloat16) for name in layers}
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert {t.dtype for made in forwards for t in made.values()} == {torch.float32}
    assert all(
        layer.routing.logits.dtype == torch.float32
        for layer in moe_layers(brain.hparams.generator).values()
    )


def test_bfloat16_trains_like_float32(tiny):
    losses = [
        tiny.steps(tiny.brain({"precision": precision}), tiny.batch())[0]
        for precision in ("fp32", "bf16")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


# ----------------------------------------------------------------- evaluation


def _uneven():
    items = [
        {"id": f"{length}", "noisy_sig": torch.randn(length), "clean_sig": None}
        for length in (5000, 3001)
    ]
    for item in items:
        item["clean_sig"] = 0.5 * item["noisy_sig"]
    return PaddedBatch(items)


def test_an_utterance_is_enhanced_as_if_it_were_alone(tiny):
    brain = tiny.brain()
    brain.on_stage_start(sb.Stage.VALID, 1)
    batch = _uneven()
    with torch.no_grad():
        enhanced = brain.compute_forward(batch, sb.Stage.VALID)
        for estimate, noisy, length in zip(
            enhanced, batch.noisy_sig.data, (5000, 3001), strict=True
        ):
            alone = enhance_waveform(
                brain.ema.module, brain.hparams.transform, noisy[None, :length]
            )
            assert torch.equal(estimate, alone) and estimate.shape == (1, length)


def test_evaluation_uses_the_averaged_weights(tiny):
    brain = tiny.brain()
    brain.on_stage_start(sb.Stage.VALID, 1)

    def enhance():
        with torch.no_grad():
            return torch.cat(brain.compute_forward(_uneven(), sb.Stage.VALID), dim=1)

    torch.manual_seed(1)
    before = enhance()
    with torch.no_grad():
        for parameter in brain.hparams.generator.parameters():
            parameter.add_(1.0)
    torch.manual_seed(1)
    assert torch.equal(before, enhance())
    with torch.no_grad():
        for parameter in brain.ema.module.parameters():
            parameter.add_(1.0)
    torch.manual_seed(1)
    assert not torch.equal(before, enhance())


def test_a_compiled_generator_is_saved_under_the_names_of_the_plain_one(tiny):
    brain = tiny.brain({"compile": True})
    assert hasattr(brain.modules.generator, "_orig_mod")
    saved = brain.checkpointer.save_checkpoint()
    state = torch.load(saved.paramfiles["generator"], weights_only=True)
    assert state.keys() == tiny.hparams()["generator"].state_dict().keys()
    averaged = torch.load(saved.paramfiles["ema"], weights_only=True)
    assert averaged.keys() == {"n_averaged", *(f"module.{name}" for name in state)}
