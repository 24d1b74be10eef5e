"""A Brain for tests that writes down what it does, and dies where it is told to."""

import os
import signal
from pathlib import Path

import torch

from sesame.brain import EnhancementBrain
from sesame.brain.workers import rank_and_world


class RecordingBrain(EnhancementBrain):
    """Writes the loss of every step, and its state when training has ended.

    The environment variable ``KILL_AFTER_STEP``, "epoch step", ends the process as
    ``kill -9`` does, before a checkpoint of that step can be saved.
    """

    def fit_batch(self, batch):
        loss = super().fit_batch(batch)
        place = f"{self.epoch} {self.step}"
        with self.own_file("losses", "txt").open("a", encoding="utf-8") as file:
            file.write(f"{place} {float(loss).hex()}\n")
        if os.environ.get("KILL_AFTER_STEP") == place:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss

    def on_evaluate_start(self, max_key=None, min_key=None):
        if not self.test_only:
            torch.save(state_of(self), self.own_file("final", "pt"))
        super().on_evaluate_start(max_key, min_key)

    def own_file(self, name, suffix):
        rank, _ = rank_and_world()
        return Path(self.hparams.output_folder) / f"{name}_{rank}.{suffix}"


def state_of(brain):
    """Everything that a later step depends on."""
    parts = {
        "generator": brain.hparams.generator,
        "discriminator": brain.hparams.discriminator,
        "ema": brain.ema,
        **{f"{k} optimizer": v for k, v in brain.optimizers_dict.items()},
        **{f"{k} schedule": v for k, v in brain.schedules.items()},
    }
    state = {name: part.state_dict() for name, part in parts.items()}
    # A schedule keeps the object that computes its factors.
    for name in brain.schedules:
        state[f"{name} schedule"].pop("lr_lambdas")
    state["waiting for PESQ"] = [(e, c) for e, c, _ in brain.pesq_line._line]
    return state
