"""What training runs of all systems share: set-up, stages, logs, checkpoints."""

import logging
from collections.abc import Iterable

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer
from speechbrain.utils.distributed import if_main_process
from speechbrain.utils.optimizers import rm_vector_weight_decay
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sesame.brain.epoch_statistics import EpochStatistics
from sesame.brain.optimization import exponential_moving_average, gradient_step
from sesame.brain.routing_monitor import RoutingMonitor
from sesame.brain.scoring import EvaluationScores, shard_loader_options
from sesame.brain.workers import WorkerPool, rank_and_world

__all__ = ["SystemBrain"]

logger = logging.getLogger(__name__)


class SystemBrain(sb.Brain):
    """Brain with averaged weights, sharded evaluation and steps that can be skipped.

    A subclass says what one batch does (``compute_forward``, ``compute_objectives``,
    ``fit_batch``) and lists in ``HPARAMS_NEEDED`` the values it reads. Every entry
    ``X`` of ``modules`` has its optimiser ``X_optimizer`` in the YAML file. The system
    under training is ``modules["generator"]``.

    Arguments
    ---------
    modules : dict[str, torch.nn.Module]
        ``generator`` and whatever else is trained.
    hparams : dict
        Values named in ``HPARAMS_NEEDED``; see ``hparams/sesame.yaml``.
    run_opts : dict | None
        SpeechBrain run options; ``precision`` is fp32 or bf16.
    checkpointer : Checkpointer | None
        Optimisers, schedules, averaged weights and statistics are added to it.

    Raises
    ------
    ValueError
        If a value is missing from ``hparams``, or the precision is fp16.
    """

    HPARAMS_NEEDED = (
        "generator",
        "lr_schedule",
        "loss_weights",
        "ema_decay",
        "expert_bias_speed",
        "pesq_workers",
        "sample_rate",
        "seed",
        "selection_metric",
        "valid_metrics",
        "test_metrics",
        "composite_variant",
        "output_folder",
        "enhanced_folder",
        "train_logger",
        "tensorboard",
        "tensorboard_logger",
    )

    def __init__(
        self,
        modules: dict[str, torch.nn.Module],
        hparams: dict,
        run_opts: dict | None = None,
        checkpointer: Checkpointer | None = None,
    ):
        needed = {*self.HPARAMS_NEEDED, *(f"{name}_optimizer" for name in modules)}
        missing = sorted(needed - set(hparams))
        if missing:
            raise ValueError(f"{type(self).__name__} needs {missing} in the YAML file")
        super().__init__(
            modules=modules,
            hparams=hparams,
            run_opts=run_opts,
            checkpointer=checkpointer,
        )
        if "fp16" in (self.precision, self.eval_precision):
            raise ValueError("precision fp16 is not supported, use fp32 or bf16")
        self.pool = WorkerPool(self.hparams.pesq_workers)
        self.routing = RoutingMonitor(
            self.hparams.generator, self.hparams.expert_bias_speed
        )
        self.ema = exponential_moving_average(
            self.hparams.generator, self.hparams.ema_decay
        ).to(self.device)
        self.statistics = EpochStatistics()
        self.add_recoverables(ema=self.ema)
        if self.checkpointer is not None:
            for name in ("statistics", "routing"):
                self.checkpointer.add_recoverable(
                    name, getattr(self, name), optional_load=True
                )
        self.loggers = [self.hparams.train_logger]
        if self.hparams.tensorboard:
            self.loggers.append(self.hparams.tensorboard_logger())
        self.status_line = None

    # ------------------------------------------------------------------ set-up

    def add_recoverables(self, **recoverables: object) -> None:
        """Makes objects part of the checkpoints, where there are any.

        Arguments
        ---------
        **recoverables : object
            Name in the checkpoint and object.
        """
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(recoverables)

    def init_optimizers(self) -> None:
        """Makes the optimisers and schedules; all are part of checkpoints."""
        self.optimizers_dict = {}
        for name, module in self.modules.items():
            make_optimizer = getattr(self.hparams, f"{name}_optimizer")
            self.optimizers_dict[name] = make_optimizer(self.parameter_groups(module))
        self.schedules = {
            name: torch.optim.lr_scheduler.LambdaLR(optimizer, self.hparams.lr_schedule)
            for name, optimizer in self.optimizers_dict.items()
        }
        for name, optimizer in self.optimizers_dict.items():
            self.add_recoverables(
                **{
                    f"{name}_optimizer": optimizer,
                    f"{name}_schedule": self.schedules[name],
                }
            )

    def parameter_groups(
        self, module: torch.nn.Module
    ) -> Iterable[torch.nn.Parameter] | list[dict]:
        """What the optimiser of a module is made with.

        Arguments
        ---------
        module : torch.nn.Module
            One of ``modules``.

        Returns
        -------
        Iterable[torch.nn.Parameter] | list[dict]
            Its parameters, or groups of them with options of their own.
        """
        if self.remove_vector_weight_decay:
            return rm_vector_weight_decay(module)
        return module.parameters()

    def make_dataloader(
        self,
        dataset: Dataset,
        stage: sb.Stage,
        ckpt_prefix: str | None = "dataloader-",
        **options: object,
    ) -> DataLoader:
        """Shares validation and test utterances out over the ranks.

        Arguments
        ---------
        dataset : Dataset
            The whole set.
        stage : sb.Stage
            The training set keeps SpeechBrain's own sampling.
        ckpt_prefix : str | None
            Name under which the position in the data is saved.
        **options : object
            Options of ``torch.utils.data.DataLoader``.

        Returns
        -------
        DataLoader
            The loader of this rank.
        """
        if stage != sb.Stage.TRAIN:
            options = shard_loader_options(dataset, options)
        return super().make_dataloader(dataset, stage, ckpt_prefix, **options)

    # ------------------------------------------------------------------ one batch

    def seed_step(self) -> None:
        """Seeds torch for one batch.

        Random numbers then depend on the position in the run only: a resumed run
        repeats an uninterrupted one, and ranks differ from each other.
        """
        rank, _ = rank_and_world()
        torch.manual_seed(hash((self.hparams.seed, self.epoch, self.step, rank)))

    def take_step(self, name: str) -> bool:
        """Applies the gradients of one module unless they are not finite.

        Arguments
        ---------
        name : str
            Key in ``modules``.

        Returns
        -------
        bool
            Whether the step was taken.

        Raises
        ------
        ValueError
            If too many steps of the generator in a row had to be skipped.
        """
        stepped = gradient_step(self.optimizers_dict[name], self.max_grad_norm)
        statistics = self.statistics
        if stepped:
            self.schedules[name].step()
        else:
            statistics.skipped_steps += 1
            logger.warning("Step of the %s skipped: gradients not finite", name)
        if name == "generator":
            skips = 0 if stepped else statistics.consecutive_skips + 1
            statistics.consecutive_skips = skips
            if skips > self.nonfinite_patience:
                raise ValueError(
                    f"{skips} steps in a row had gradients that are not finite "
                    f"(nonfinite_patience {self.nonfinite_patience})"
                )
        return stepped

    def step_generator(self) -> bool:
        """Ends a window of micro-batches: weights, biases of experts, average.

        Returns
        -------
        bool
            Whether the step was taken.
        """
        stepped = self.take_step("generator")
        self.routing.finish_step(update_bias=stepped)
        if stepped:
            self.ema.update_parameters(self.hparams.generator)
        self.optimizer_step += 1
        return stepped

    def on_fit_batch_end(
        self,
        batch: PaddedBatch,
        outputs: dict[str, torch.Tensor] | torch.Tensor,
        loss: torch.Tensor,
        should_step: bool,
    ) -> None:
        """Shows the state of training below the progress bar, which has the loss."""
        if self.status_line is not None and should_step:
            means = self.statistics.means()
            shown = ("discriminator", "metric", "pesq", "si_snr", "snr")
            text = ", ".join(f"{k} {means[k]:.3f}" for k in shown if k in means)
            imbalance = self.routing.current_imbalance()
            if imbalance == imbalance:
                text += f", load max/mean {imbalance:.2f}"
            self.status_line.set_description_str(text)

    # ------------------------------------------------------------------ stages

    def on_stage_start(self, stage: sb.Stage, epoch: int | None = None) -> None:
        """Prepares a stage.

        Arguments
        ---------
        stage : sb.Stage
            The stage that begins.
        epoch : int | None
            Its epoch, from 1.
        """
        if stage == sb.Stage.TRAIN:
            self.epoch = epoch
            if if_main_process() and not self.noprogressbar:
                self.status_line = tqdm(bar_format="{desc}", position=1, leave=False)
        else:
            self.ema.eval()
            self.scores = EvaluationScores(
                self.pool,
                self.hparams.sample_rate,
                self.hparams.valid_metrics
                if stage == sb.Stage.VALID
                else self.hparams.test_metrics,
                self.hparams.composite_variant,
                with_noisy=stage == sb.Stage.TEST,
            )

    def on_stage_end(
        self, stage: sb.Stage, stage_loss: float, epoch: int | None = None
    ) -> None:
        """Logs a stage; after validation saves, after the test writes the scores.

        Arguments
        ---------
        stage : sb.Stage
            The stage that ends.
        stage_loss : float
            Mean of its losses on this rank.
        epoch : int | None
            Its epoch, from 1.
        """
        if stage == sb.Stage.TRAIN:
            self._finish_training_epoch(stage_loss, epoch)
        elif stage == sb.Stage.VALID:
            means = self._mean_scores()
            rate = self.schedules["generator"].get_last_lr()[0]
            self._log(
                {"epoch": epoch, "learning_rate": rate},
                train_stats=self.train_stats,
                valid_stats=means,
            )
            self._save_epoch(epoch, means)
        else:
            self._log(
                {"epoch loaded": self.loaded_epoch}, test_stats=self._mean_scores()
            )
            if if_main_process():
                self.scores.write(self.hparams.output_folder)
            self.pool.close()

    def on_evaluate_start(
        self, max_key: str | None = None, min_key: str | None = None
    ) -> None:
        """Loads the best checkpoint and remembers which it was.

        Without any score among the checkpoints the newest is loaded.

        Arguments
        ---------
        max_key : str | None
            Meta entry whose highest value is best.
        min_key : str | None
            Meta entry whose lowest value is best.

        Raises
        ------
        ValueError
            If there is no checkpoint although nothing was trained (``--test_only``).
        """
        self.loaded_epoch = "none, the weights as they are"
        best = None
        if self.checkpointer is not None:
            recover = self.checkpointer.recover_if_possible
            best = recover(max_key=max_key, min_key=min_key) or recover()
        if best is not None:
            self.loaded_epoch = best.meta.get("epoch", best.path.name)
        elif self.test_only:
            raise ValueError("test_only needs a checkpoint in the output_folder")
        logger.info("Evaluating the checkpoint of epoch: %s", self.loaded_epoch)

    # ------------------------------------------------------------------ parts

    def _finish_training_epoch(self, loss, epoch):
        if self.status_line is not None:
            self.status_line.close()
            self.status_line = None
        statistics = self.statistics
        self.train_stats = {"loss": float(loss)} | statistics.means()
        if statistics.skipped_steps:
            self.train_stats["skipped_steps"] = statistics.skipped_steps
        # Not at the start of an epoch: one that is resumed has counted already.
        statistics.clear()
        folder = self.hparams.output_folder
        self.routing.finish_epoch(
            epoch, f"{folder}/routing.csv" if if_main_process() else None
        )

    def _mean_scores(self):
        summary = self.scores.gather()
        return {name: float(entry["mean"]) for name, entry in summary.items()}

    def _log(self, meta, **stats):
        for stats_logger in self.loggers:
            stats_logger.log_stats(meta, **stats)

    def _save_epoch(self, epoch, means):
        if self.checkpointer is not None:
            key = self.hparams.selection_metric
            # With the epoch itself for a score the last one is the best.
            meta = {"epoch": epoch}
            score = (means | meta)[key]
            # NaN has no rank among scores: such an epoch cannot become the best.
            meta |= {key: score} if score == score else {}
            self.checkpointer.save_and_keep_only(meta=meta, max_keys=[key])

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        # Gradients that wait for the rest of their window are not in a checkpoint.
        return (
            self.step % self.grad_accumulation_factor == 0
            and super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        )
