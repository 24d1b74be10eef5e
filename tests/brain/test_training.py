"""Whole runs: resumed, distributed, evaluated."""

import csv
import json
import math
import shutil
import signal

import pytest
import speechbrain as sb
import torch

STEPS = 5  # of an epoch: 40 utterances, batch size 8


def _losses(folder, rank=0):
    """(epoch, step) -> every loss that was written for it."""
    losses = {}
    for line in (folder / f"losses_{rank}.txt").read_text().splitlines():
        epoch, step, loss = line.split()
        losses.setdefault((int(epoch), int(step)), []).append(float.fromhex(loss))
    return losses


def _final(folder, rank=0):
    return torch.load(folder / f"final_{rank}.pt", weights_only=True)


def _rows(path):
    with path.open(encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def _finished(run):
    assert run.returncode == 0, run.stderr[-3000:]
    return run


# ----------------------------------------------------------------- resume


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_bit_by_bit(tiny, same):
    options = {"batch_size": 8, "number_of_epochs": 2}
    flags = ("--ckpt_interval_steps", "2")
    _finished(tiny.run(*flags, folder="whole", **options))
    killed = tiny.run(*flags, env={"KILL_AFTER_STEP": "2 3"}, **options)
    assert killed.returncode == -signal.SIGKILL
    whole, resumed = tiny.folder / "whole", tiny.folder / "run"
    assert not (resumed / "test_scores.csv").exists()
    _finished(tiny.run(*flags, **options))

    expected, losses = _losses(whole), _losses(resumed)
    assert expected.keys() == losses.keys() and len(losses) == 2 * STEPS
    # The third step, which no checkpoint had, was repeated; the others were not.
    assert {place: len(seen) for place, seen in losses.items() if len(seen) > 1} == {
        (2, 3): 2
    }
    for place, seen in losses.items():
        assert set(seen) == set(expected[place]), place

    state = _final(whole)
    assert state["waiting for PESQ"], "nothing waits: the test is too easy"
    assert any(
        "expert_bias" in name and tensor.any()
        for name, tensor in state["generator"].items()
    )
    other = _final(resumed)
    for name in state:
        assert same(state[name], other[name]), name
    for name in ("train_log.txt", "routing.csv", "test_scores.csv"):
        assert (whole / name).read_text() == (resumed / name).read_text(), name
    log = (whole / "train_log.txt").read_text()
    assert "train pesq" in log and "epoch: 2" in log


# ----------------------------------------------------------------- two ranks


@pytest.fixture(scope="module")
def two_ranks(tiny_for_module):
    """Folder of a run with two ranks."""
    _finished(
        tiny_for_module.run(ranks=2, folder="ranks", number_of_epochs=1, ema_decay=0.5)
    )
    return tiny_for_module.folder / "ranks"


@pytest.mark.slow
def test_two_ranks_end_with_the_same_networks(two_ranks, same):
    states = [_final(two_ranks, rank) for rank in (0, 1)]
    generator = states[0]["generator"]
    biases = [tensor for name, tensor in generator.items() if "expert_bias" in name]
    assert biases and all(bias.any() for bias in biases)
    shared = set(states[0]) - {"waiting for PESQ"}
    for name in shared:
        assert same(states[0][name], states[1][name]), name


@pytest.mark.slow
def test_two_ranks_train_on_different_data_and_keep_their_own_pesq_line(
    two_ranks, same
):
    losses = [_losses(two_ranks, rank) for rank in (0, 1)]
    assert losses[0].keys() == losses[1].keys() and len(losses[0]) == STEPS
    assert losses[0] != losses[1]
    waiting = [_final(two_ranks, rank)["waiting for PESQ"] for rank in (0, 1)]
    assert not same(*waiting)
    (checkpoint,) = (two_ranks / "save").glob("CKPT+*")
    assert (checkpoint / "pesq_line.ckpt.rank1").is_file()


@pytest.mark.slow
def test_two_ranks_score_every_utterance_once_and_as_one_process_does(
    two_ranks, tiny_for_module, minibank
):
    names = sorted(p.stem for p in (minibank / "clean_testset_wav").iterdir())
    with (two_ranks / "test_scores.csv").open(encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == names
    assert sorted(p.stem for p in (two_ranks / "enhanced_wavs").iterdir()) == names
    expected = _rows(two_ranks / "test_scores.csv")

    alone = two_ranks.with_name("alone")
    shutil.copytree(two_ranks / "save", alone / "save")
    brain = tiny_for_module.brain({"test_only": True}, folder="alone", ema_decay=0.5)
    _evaluate(brain)
    assert brain.loaded_epoch == 1
    rows = _rows(alone / "test_scores.csv")
    assert {k: row["pesq"] for k, row in rows.items()} == {
        k: row["pesq"] for k, row in expected.items()
    }
    for name, row in rows.items():
        si_sdr = float(expected[name]["si_sdr"])
        assert float(row["si_sdr"]) == pytest.approx(si_sdr, rel=1e-9)
    log = (alone / "train_log.txt").read_text()
    assert log in (two_ranks / "train_log.txt").read_text()


# ----------------------------------------------------------------- evaluation


def _evaluate(brain, max_key="pesq"):
    # Without the mapping ``evaluate`` writes to a default that all calls share.
    brain.hparams.prepare_data()
    options = dict(brain.hparams.test_loader_options)
    brain.evaluate(brain.hparams.test_set(), max_key, test_loader_kwargs=options)


def _finish_epochs(brain, *scores):
    """Ends epochs with these scores; all weights are the number of the epoch."""
    for epoch, score in enumerate(scores, start=1):
        for network in (brain.hparams.generator, brain.ema):
            for parameter in network.parameters():
                parameter.data.fill_(epoch)
        brain.on_stage_end(sb.Stage.TRAIN, 0.0, epoch)
        brain.on_stage_start(sb.Stage.VALID, epoch)
        brain.scores.gather = lambda score=score: {"pesq": {"mean": score}}
        brain.on_stage_end(sb.Stage.VALID, 0.0, epoch)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ((2.0, 3.0, 2.5), 2),
        ((3.0, 2.0, 1.0), 1),
        ((1.0, 2.0, math.nan), 2),
        ((math.nan, 1.5, math.nan, 1.0), 2),
        ((math.nan, math.nan), 2),  # no score at all: the newest
    ],
)
def test_the_epoch_with_the_best_score_is_evaluated_and_named(
    tiny, scores, best, caplog
):
    brain = tiny.brain()
    _finish_epochs(brain, *scores)
    with caplog.at_level("INFO"):
        brain.on_evaluate_start(max_key="pesq")
    assert brain.loaded_epoch == best
    assert f"Evaluating the checkpoint of epoch: {best}" in caplog.text
    for network in (brain.hparams.generator, brain.ema.module):
        assert all((p == best).all() for p in network.parameters())


def test_the_epoch_itself_can_be_the_score(tiny):
    brain = tiny.brain(selection_metric="epoch")
    _finish_epochs(brain, 3.0, 2.0, 1.0)
    kept = [c.meta["epoch"] for c in brain.checkpointer.list_checkpoints()]
    assert kept == [3]
    brain.on_evaluate_start(max_key="epoch")
    assert brain.loaded_epoch == 3


def test_the_best_epoch_survives_intra_epoch_checkpoints_and_worse_epochs(tiny):
    brain = tiny.brain()
    _finish_epochs(brain, 2.0, 3.0, 1.0)
    brain._save_intra_epoch_ckpt()
    kept = [c.meta.get("epoch") for c in brain.checkpointer.list_checkpoints()]
    assert sorted(map(str, kept)) == ["2", "3", "None"]


def test_testing_alone_needs_a_checkpoint(tiny):
    brain = tiny.brain({"test_only": True})
    with pytest.raises(ValueError, match="test_only needs a checkpoint"):
        _evaluate(brain)


def test_scores_are_those_of_the_averaged_weights(tiny):
    brain = tiny.brain({"debug": True}, replaced={"checkpointer": None})
    tables = []
    for network in (None, brain.hparams.generator, brain.ema.module):
        for parameter in network.parameters() if network is not None else ():
            parameter.data.mul_(1.5)
        _evaluate(brain)
        tables.append(_rows(tiny.folder / "run" / "test_scores.csv"))
    assert len(tables[0]) == 2
    assert tables[0] == tables[1] != tables[2]
    assert brain.loaded_epoch == "none, the weights as they are"


def test_a_whole_run_in_one_process_writes_its_files(tiny):
    brain = tiny.brain({"debug": True, "debug_persistently": True})
    hparams = brain.hparams
    hparams.prepare_data()
    brain.fit(
        hparams.epoch_counter,
        hparams.train_set(),
        hparams.valid_set(),
        train_loader_kwargs=hparams.train_loader_options,
        valid_loader_kwargs=hparams.test_loader_options,
    )
    _evaluate(brain)
    folder = tiny.folder / "run"
    scores = json.loads((folder / "test_scores.json").read_text())
    assert scores["pesq"]["n_total"] == 2
    assert (folder / "noisy_scores.json").is_file()
    assert len(list((folder / "enhanced_wavs").iterdir())) == 2
    log = (folder / "train_log.txt").read_text()
    for text in ("train loss", "train magnitude", "valid pesq", "epoch loaded"):
        assert text in log
    assert len((folder / "routing.csv").read_text().splitlines()) == 1 + 2 * 2


# ----------------------------------------------------------------- one step


def test_skipped_steps_are_in_the_log_of_their_epoch_only(tiny):
    brain = tiny.brain()
    batch = tiny.batch()
    batch.noisy_sig.data[0, 0] = math.nan
    tiny.steps(brain, batch)
    _finish_epochs(brain, 1.0)
    assert brain.train_stats["skipped_steps"] == 2, "one of each network"
    tiny.steps(brain, tiny.batch(), tiny.batch())
    _finish_epochs(brain, 1.0)
    assert brain.train_stats["skipped_steps"] == 1, "the discriminator, one step late"
    tiny.steps(brain, tiny.batch())
    _finish_epochs(brain, 1.0)
    assert "skipped_steps" not in brain.train_stats


def test_random_numbers_depend_on_the_position_in_the_run_and_the_rank(
    tiny, monkeypatch
):
    brain, numbers = tiny.brain(), {}
    for rank, epoch, step in [(0, 1, 1), (0, 1, 2), (0, 2, 1), (1, 1, 1)]:
        monkeypatch.setattr(
            "sesame.brain.training.rank_and_world", lambda rank=rank: (rank, 2)
        )
        brain.epoch, brain.step = epoch, step
        draws = []
        for _ in range(2):
            brain.seed_step()
            draws.append(float(torch.rand(())))
        assert draws[0] == draws[1]
        numbers[rank, epoch, step] = draws[0]
    assert len(set(numbers.values())) == len(numbers)


def test_no_checkpoint_is_made_within_a_window_of_accumulation(tiny):
    brain = tiny.brain({"grad_accumulation_factor": 3, "ckpt_interval_steps": 1})
    due = []
    for step in range(1, 7):
        brain.step = step
        due.append(brain._should_save_intra_epoch_ckpt(0.0, steps_since_ckpt=step))
    assert due == [False, False, True, False, False, True]


@pytest.mark.parametrize("bound", [0.0, -1.0])
def test_no_clipping_does_not_turn_the_sign_of_the_step(tiny, bound):
    """SpeechBrain multiplies gradients by a negative bound."""
    brain = tiny.brain({"max_grad_norm": bound})
    seen = {}
    for name, module in brain.modules.items():
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
            seen[parameter] = name, parameter.detach().clone()
    for name in ("discriminator", "generator"):
        assert brain.take_step(name)
    assert all((p < before).all() for p, (_, before) in seen.items())


def test_vectors_can_be_spared_from_weight_decay_and_are_clipped_all_the_same(tiny):
    brain = tiny.brain({"remove_vector_weight_decay": True, "max_grad_norm": 1.0})
    optimizer = brain.optimizers_dict["generator"]
    vectors, matrices = optimizer.param_groups
    assert {p.ndim for p in vectors["params"]} == {1} and vectors["weight_decay"] == 0
    assert 1 not in {p.ndim for p in matrices["params"]}
    assert matrices["weight_decay"] == 0.01
    parameters = [*vectors["params"], *matrices["params"]]
    assert len(parameters) == len(list(brain.hparams.generator.parameters()))
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 1e3)
    norms = []
    optimizer.register_step_pre_hook(
        lambda *_: norms.append(
            torch.nn.utils.get_total_norm([p.grad for p in parameters])
        )
    )
    assert brain.take_step("generator")
    assert float(norms[0]) == pytest.approx(1.0, rel=1e-3)


def test_every_object_with_a_state_of_its_own_is_in_the_checkpoint(tiny):
    brain = tiny.brain()
    saved = brain.checkpointer.save_checkpoint()
    expected = {"brain", "discriminator", "ema", "epoch_counter", "generator"}
    expected |= {"pesq_line", "routing", "statistics"}
    for name in ("generator", "discriminator"):
        expected |= {f"{name}_optimizer", f"{name}_schedule"}
    assert set(saved.paramfiles) == expected
    for name in ("generator", "discriminator"):
        recoverables = brain.checkpointer.recoverables
        assert recoverables[f"{name}_optimizer"] is brain.optimizers_dict[name]
        assert recoverables[f"{name}_schedule"] is brain.schedules[name]
        assert brain.schedules[name].optimizer is brain.optimizers_dict[name]
