"""Counts where tokens go, keeps the experts in balance and reports per epoch."""

import csv
import logging
from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import ddp_all_reduce

from sesame.nnet.moe import moe_layers, routing_summary, update_expert_bias

__all__ = ["RoutingMonitor"]

logger = logging.getLogger(__name__)


@register_checkpoint_hooks
class RoutingMonitor:
    """Loads of every mixture-of-experts layer of a network, over steps and ranks.

    The loads of the epoch are part of checkpoints, so that the table of an epoch is
    complete although the run was stopped in its middle.

    Arguments
    ---------
    network : torch.nn.Module
        The network itself, neither compiled nor wrapped for data-parallel training.
        One without experts is fine: then there is nothing to count.
    bias_speed : float
        Change of an expert's bias per optimiser step, in units of routing probability.

    Example
    -------
    >>> RoutingMonitor(torch.nn.Linear(1, 1), bias_speed=1e-3).layers
    {}
    """

    def __init__(self, network: torch.nn.Module, bias_speed: float):
        self.layers = moe_layers(network)
        self.bias_speed = bias_speed
        self._step_load = None
        self._epoch_load = None

    def add_micro_batch(self) -> None:
        """Adds the loads of the last forward pass to those of the current step."""
        if self.layers:
            load = torch.stack([m.routing.load for m in self.layers.values()])
            if self._step_load is not None:
                load = load + self._step_load
            self._step_load = load

    def finish_step(self, update_bias: bool) -> None:
        """Sums the loads over all ranks and moves the biases, alike on every rank.

        Arguments
        ---------
        update_bias : bool
            False where the optimiser step was skipped.
        """
        if not self.layers:
            return
        load = ddp_all_reduce(self._step_load, torch.distributed.ReduceOp.SUM)
        self._step_load = None
        if update_bias:
            for layer, layer_load in zip(self.layers.values(), load, strict=True):
                update_expert_bias(layer.router, layer_load, self.bias_speed)
        self._epoch_load = load if self._epoch_load is None else self._epoch_load + load

    def current_imbalance(self) -> float:
        """Largest ratio of load maximum and mean among the layers, this epoch so far.

        Returns
        -------
        float
            1 where all experts carry the same load; NaN without experts.
        """
        if self._epoch_load is None:
            return float("nan")
        ratios = self._epoch_load.amax(1) / self._epoch_load.mean(1)
        return float(ratios.max())

    def finish_epoch(self, epoch: int, csv_path: str | Path | None) -> None:
        """Logs the table of the epoch, appends it to a file and starts afresh.

        Arguments
        ---------
        epoch : int
            Number in the first column.
        csv_path : str | Path | None
            File to append to; ``None``: log only.
        """
        # Micro-batches of a window that the end of the epoch has cut short.
        self._step_load = None
        if self._epoch_load is None:
            return
        rows = [
            {"epoch": epoch, "layer": name}
            | routing_summary(load.cpu(), layer.router.expert_bias.cpu())
            for (name, layer), load in zip(
                self.layers.items(), self._epoch_load, strict=True
            )
        ]
        self._epoch_load = None
        for row in rows:
            logger.info(
                "routing " + ", ".join(f"{k}: {_short(v)}" for k, v in row.items())
            )
        if csv_path is not None:
            _append(rows, Path(csv_path))

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Saves the loads of the epoch so far.

        Arguments
        ---------
        path : Path
            File to write.
        """
        load = self._epoch_load
        torch.save({"epoch_load": None if load is None else load.cpu()}, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Goes on from saved loads.

        Arguments
        ---------
        path : Path
            File to read.
        end_of_epoch : bool
            Not used: nothing is saved at the end of an epoch.
        """
        del end_of_epoch
        load = torch.load(path, weights_only=True)["epoch_load"]
        if load is not None:
            (first, *_) = self.layers.values()
            load = load.to(first.router.expert_bias.device)
        self._epoch_load = load
        self._step_load = None


def _append(rows, path):
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else value
