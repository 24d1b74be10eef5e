"""What the log of an epoch shows: means of losses and the steps that were skipped."""

from pathlib import Path

import torch
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

__all__ = ["EpochStatistics"]


@register_checkpoint_hooks
class EpochStatistics:
    """Running means and counts of one epoch, part of checkpoints.

    Values that are not finite are left out of the means: one bad batch must not hide
    the rest of an epoch. ``skipped_steps`` counts all steps that were not taken,
    ``consecutive_skips`` those of the generator since it last took one.

    Example
    -------
    >>> statistics = EpochStatistics()
    >>> for value in (1.0, float("nan"), 2.0):
    ...     statistics.add({"loss": torch.tensor(value)})
    >>> statistics.means()
    {'loss': 1.5}
    """

    def __init__(self):
        self.clear()

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        """Adds values to the means, without waiting for the device.

        Arguments
        ---------
        terms : dict[str, torch.Tensor]
            Name and scalar.
        """
        for name, value in terms.items():
            value = value.detach().float()
            finite = value.isfinite()
            entry = torch.stack([finite.float(), value.where(finite, 0.0)])
            if name in self._sums:
                entry = entry + self._sums[name].to(entry.device)
            self._sums[name] = entry

    def means(self) -> dict[str, float]:
        """Means so far.

        Returns
        -------
        dict[str, float]
            Name and mean; NaN where no value was finite.
        """
        return {k: float(total / count) for k, (count, total) in self._sums.items()}

    def clear(self) -> None:
        """Starts a new epoch."""
        self._sums = {}
        self.skipped_steps = 0
        self.consecutive_skips = 0

    @mark_as_saver
    def save(self, path: Path) -> None:
        """Saves the state, that of the main rank.

        Arguments
        ---------
        path : Path
            File to write.
        """
        state = {
            "sums": {name: entry.cpu() for name, entry in self._sums.items()},
            "skipped_steps": self.skipped_steps,
            "consecutive_skips": self.consecutive_skips,
        }
        torch.save(state, path)

    @mark_as_loader
    def load(self, path: Path, end_of_epoch: bool) -> None:
        """Goes on from a saved state.

        Arguments
        ---------
        path : Path
            File to read.
        end_of_epoch : bool
            Not used: the state saved at the end of an epoch is that of a new one.
        """
        del end_of_epoch
        state = torch.load(path, weights_only=True)
        self._sums = state["sums"]
        self.skipped_steps = state["skipped_steps"]
        self.consecutive_skips = state["consecutive_skips"]
