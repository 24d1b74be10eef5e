"""Training, validation and test of one network of many sizes and several tasks."""

from collections.abc import Mapping
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from sesame.brain.optimization import average_gradients, weight_decay_groups
from sesame.brain.sandwich import (
    check_sizes,
    check_stages,
    current_stage,
    draw_exits,
    draw_sizes,
    draw_times,
)
from sesame.brain.scoring import write_wav
from sesame.brain.task_scores import TaskScores, size_facts
from sesame.brain.training import SystemBrain
from sesame.data import keyed_rng
from sesame.losses import restoration_terms, weighted_sum

__all__ = ["SlimmableBrain"]


class SlimmableBrain(SystemBrain):
    """Training of a causal network whose prefixes are networks, too, such as SEFlow.

    One step: the full width, the smallest and some between (``num_random_widths``)
    each restore the batch and follow the weighted sum of the losses of their exits, of
    all or of the last and some others (``num_random_exits``); the gradients of the
    widths are averaged. What is full can grow with the epochs, and a part of the steps
    can have the full width alone: ``stages`` are [last epoch, width, depth, share of
    the steps that have more]; after the last one the whole network learns. Items with
    an enrollment pass apart from those without. Which sizes learn depends on seed and
    step alone, and is the same on every rank. A step whose gradients are not finite is
    skipped on all ranks.

    With flow matching the targets are predicted from places on the way to them, drawn
    for each item (``draw_times``) by the seed and the step, the same for all widths.

    Validation and test restore whole utterances with the averaged weights (EMA), one at
    a time, shared out over the ranks, at the sizes of ``valid_sizes`` and
    ``test_sizes``, [width, depth], the full one first.

    A value missing from ``hparams``, a size that is not there and fp16 are ValueErrors.

    Source: arXiv:1903.05134 for the sandwich rule, without distillation.

    Arguments
    ---------
    modules : dict[str, torch.nn.Module]
        ``generator``: the network.
    hparams : dict
        Values named in ``HPARAMS_NEEDED``; see ``hparams/seflow.yaml``.
    run_opts : dict | None
        SpeechBrain run options; ``precision`` is fp32 or bf16.
    checkpointer : Checkpointer | None
        What ``SystemBrain`` saves is added to it.
    """

    HPARAMS_NEEDED = (
        *SystemBrain.HPARAMS_NEEDED,
        "num_random_widths",
        "num_random_exits",
        "stages",
        "max_snr",
        "suppression_weight",
        "valid_sizes",
        "test_sizes",
    )

    def __init__(
        self,
        modules: dict[str, torch.nn.Module],
        hparams: dict,
        run_opts: dict | None = None,
        checkpointer: Checkpointer | None = None,
    ):
        super().__init__(modules, hparams, run_opts, checkpointer)
        # Here, not when an epoch, or all of the training, is over.
        size = self.hparams.generator.size
        check_sizes("valid_sizes", self.hparams.valid_sizes, size)
        check_sizes("test_sizes", self.hparams.test_sizes, size)
        check_stages(self.hparams.stages, size)

    def parameter_groups(self, module: torch.nn.Module) -> list[dict]:
        """Exempts norms, biases and embeddings from weight decay.

        Arguments
        ---------
        module : torch.nn.Module
            The network.

        Returns
        -------
        list[dict]
            Groups of its parameters.
        """
        return weight_decay_groups(module)

    def make_dataloader(
        self,
        dataset: Dataset,
        stage: sb.Stage,
        ckpt_prefix: str | None = "dataloader-",
        **options: object,
    ) -> DataLoader:
        """Takes the batches of a training set that draws them itself.

        Arguments
        ---------
        dataset : Dataset
            The whole set, for training with a batch sampler as ``batches``.
        stage : sb.Stage
            Validation and test utterances are shared out over the ranks.
        ckpt_prefix : str | None
            Name under which the position in the data is saved.
        **options : object
            Options of ``torch.utils.data.DataLoader``.

        Returns
        -------
        DataLoader
            The loader of this rank.
        """
        if stage == sb.Stage.TRAIN:
            options = options | {"batch_sampler": dataset.batches}
        return super().make_dataloader(dataset, stage, ckpt_prefix, **options)

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Prepares a stage.

        Arguments
        ---------
        stage : sb.Stage
            The stage that begins.
        epoch : int | None
            Its epoch, from 1.
        """
        super().on_stage_start(stage, epoch)
        if stage == sb.Stage.TRAIN:
            return
        test = stage == sb.Stage.TEST
        sizes = self.hparams.test_sizes if test else self.hparams.valid_sizes
        self.sizes = {self._size_name(*size): tuple(size) for size in sizes}
        self.scores = TaskScores(
            self.pool,
            self.hparams.sample_rate,
            self.hparams.test_metrics if test else self.hparams.valid_metrics,
            self.hparams.composite_variant,
            {
                name: size_facts(
                    self.hparams.generator, *size, self.hparams.sample_rate
                )
                for name, size in self.sizes.items()
            },
            with_input=test,
        )

    # ------------------------------------------------------------------ training

    def draw_sizes(self) -> list[tuple[float, dict[int, float]]]:
        """Sub-networks that learn in the current step.

        Returns
        -------
        list[tuple[float, dict[int, float]]]
            Fraction of the channels, and weights of the exits.
        """
        rng = keyed_rng(self.hparams.seed, self.epoch, f"sizes of step {self.step}")
        network = self.hparams.generator
        width, depth, share = current_stage(self.hparams.stages, self.epoch)
        channels, depth = network.size(width, depth)
        numbers = self.hparams.num_random_widths, self.hparams.num_random_exits
        widths = channels // network.head_channels
        drawn = draw_sizes(widths, depth, *numbers, rng, share)
        num_widths = network.width // network.head_channels
        return [(width / num_widths, exits) for width, exits in drawn]

    def compute_forward(
        self,
        batch: PaddedBatch,
        stage: sb.Stage,
        width: float | None = None,
        exits: Mapping[int, float] | None = None,
    ) -> torch.Tensor | list[dict[str, torch.Tensor]]:
        """Restores a batch.

        Arguments
        ---------
        batch : PaddedBatch
            What ``degraded_batch`` makes, for training with ``sample_rate``.
        stage : sb.Stage
            Otherwise than in training, each utterance is restored on its own and
            without padding, in step with its input.
        width : float | None
            Training: fraction of the channels; ``None``: all.
        exits : Mapping[int, float] | None
            Training: exits that are wanted; ``None``: all.

        Returns
        -------
        torch.Tensor | list[dict[str, torch.Tensor]]
            Training: outputs of the exits (K, B, L), late by the delay of the network.
            Otherwise: for each utterance the outputs (L,) of the sizes.
        """
        batch = batch.to(self.device)
        if stage != sb.Stage.TRAIN:
            lengths = batch.degraded_sig.lengths * batch.degraded_sig.data.shape[-1]
            return [
                self._restore(batch, i, length)
                for i, length in enumerate(lengths.round().long().tolist())
            ]
        # The raw module: what a step needs of data-parallel training it does itself.
        network, rate = self.hparams.generator, int(batch.sample_rate[0])
        point = self._point(batch) if network.flow_matching else None
        groups = [
            group.nonzero().flatten()
            for group in (batch.has_enrollment, ~batch.has_enrollment)
            if group.any()
        ]
        outputs = [
            torch.stack(
                network(
                    batch.degraded_sig.data[group],
                    rate,
                    width,
                    all_exits=True if exits is None else tuple(exits),
                    point=None if point is None else [part[group] for part in point],
                    **_priors(batch, group),
                )
            )
            for group in groups
        ]
        return torch.cat(outputs, dim=1)[:, torch.cat(groups).argsort()]

    def compute_objectives(
        self,
        predictions: torch.Tensor | list[dict[str, torch.Tensor]],
        batch: PaddedBatch,
        stage: sb.Stage,
        exits: Mapping[int, float] | None = None,
    ) -> torch.Tensor:
        """Weighs the losses, or hands restored utterances to the metrics.

        Arguments
        ---------
        predictions : torch.Tensor | list[dict[str, torch.Tensor]]
            What ``compute_forward`` returned.
        batch : PaddedBatch
            The batch.
        stage : sb.Stage
            Validation and test: the returned value is the mean absolute error of the
            full network; the metrics follow at the end of the stage.
        exits : Mapping[int, float] | None
            Training: weights of the exits; ``None``: those of all exits.

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        if stage != sb.Stage.TRAIN:
            return self.score_utterances(predictions, batch, stage)
        exits = draw_exits(len(predictions), None, None) if exits is None else exits
        rate = int(batch.sample_rate[0])
        delay = self._delay(rate)
        target, mixture = (
            F.pad(signal.data.to(self.device), (delay, -delay))
            for signal in (batch.target_sig, batch.degraded_sig)
        )
        weights = torch.tensor(list(exits.values()), device=self.device)
        limits = self.hparams.max_snr, self.hparams.suppression_weight
        terms = restoration_terms(predictions, target, mixture, rate, *limits)
        terms = {k: (weights * term.mean(-1)).sum() for k, term in terms.items()}
        self.statistics.add(terms)
        return weighted_sum(terms, self.hparams.loss_weights)

    def fit_batch(self, batch: PaddedBatch) -> torch.Tensor:
        """Trains sub-networks on one batch.

        Arguments
        ---------
        batch : PaddedBatch
            The batch.

        Returns
        -------
        torch.Tensor
            The mean loss of the widths, a detached scalar on the CPU.
        """
        should_step = self.step % self.grad_accumulation_factor == 0
        self.on_fit_batch_start(batch, should_step)
        batch = batch.to(self.device)
        sizes = self.draw_sizes()
        total = 0.0
        for width, exits in sizes:
            with self.training_ctx:
                predictions = self.compute_forward(batch, sb.Stage.TRAIN, width, exits)
            loss = self.compute_objectives(predictions, batch, sb.Stage.TRAIN, exits)
            loss = loss / len(sizes)
            # Now, not after all widths: the memory is that of one of them.
            (loss / self.grad_accumulation_factor).backward()
            total = total + loss.detach()
        if should_step:
            average_gradients(self.hparams.generator)
            self.step_generator()
        self.on_fit_batch_end(batch, predictions, total, should_step)
        return total.cpu()

    # ------------------------------------------------------------------ evaluation

    def score_utterances(
        self,
        outputs: list[dict[str, torch.Tensor]],
        batch: PaddedBatch,
        stage: sb.Stage,
    ) -> torch.Tensor:
        """Hands restored utterances to the metrics; the test also writes them.

        Files are those of the full network, ``TASK/ID.wav``.

        Arguments
        ---------
        outputs : list[dict[str, torch.Tensor]]
            Outputs (L,) of the sizes, each utterance of its own length.
        batch : PaddedBatch
            The batch they come from.
        stage : sb.Stage
            Validation or test.

        Returns
        -------
        torch.Tensor
            Mean absolute error of the full network, scalar.
        """
        errors = []
        for i, by_size in enumerate(outputs):
            full = next(iter(by_size.values()))
            target = batch.target_sig.data[i, : len(full)].to(full)
            errors.append((full - target).abs().mean())
            arrays = {k: v.float().cpu().numpy() for k, v in by_size.items()}
            mixture = batch.degraded_sig.data[i, : len(full)]
            task, name = batch.task[i], batch.id[i]
            references = (target.cpu().numpy(), mixture.cpu().numpy())
            self.scores.add(task, name, arrays, *references)
            if stage == sb.Stage.TEST:
                path = Path(self.hparams.enhanced_folder) / task / f"{name}.wav"
                write_wav(path, next(iter(arrays.values())), self.hparams.sample_rate)
        return torch.stack(errors).mean()

    def _restore(self, batch, i, length):
        """Outputs (L,) of all sizes for one utterance, without the delay."""
        rate = self.hparams.sample_rate
        delay = self._delay(rate)
        alone = F.pad(batch.degraded_sig.data[i : i + 1, :length], (0, delay))
        priors = _priors(batch, slice(i, i + 1))
        if "far_end" in priors:
            priors["far_end"] = F.pad(priors["far_end"][:, :length], (0, delay))
        found = {}
        for width in dict.fromkeys(width for width, _ in self.sizes.values()):
            # One pass for all depths of a width.
            depths = sorted({d for w, d in self.sizes.values() if w == width})
            outputs = self.ema.module(alone, rate, width, all_exits=depths, **priors)
            found |= {
                (width, depth): output[0, delay:]
                for depth, output in zip(depths, outputs, strict=True)
            }
        return {name: found[size] for name, size in self.sizes.items()}

    def _point(self, batch):
        """Targets (B, L), and how far on the way to them the items are (B)."""
        rng = keyed_rng(self.hparams.seed, self.epoch, f"times of step {self.step}")
        target = batch.target_sig.data
        return target, target.new_tensor(draw_times(len(target), rng))

    def _delay(self, rate):
        stft, _ = self.hparams.generator.front_ends(rate, self.device)
        return stft.delay

    def _size_name(self, width, depth):
        channels, depth = self.hparams.generator.size(width, depth)
        return f"{channels}x{depth}"


def _priors(batch, items):
    """Far end and enrollment of items of a batch, where they have them."""
    priors = {}
    if batch.has_far_end[items].any():
        priors["far_end"] = batch.far_end_sig.data[items]
    if batch.has_enrollment[items].any():
        priors["enrollment"] = batch.enrollment_sig[items]
    return priors
