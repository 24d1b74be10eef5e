"""Training, validation and test of magnitude-and-phase enhancement networks."""

from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.checkpoints import Checkpointer

from sesame.brain.delayed_pesq import DelayedPESQ
from sesame.brain.scoring import write_wav
from sesame.brain.training import SystemBrain
from sesame.features import enhance_waveform, normalize, rms
from sesame.losses import (
    complex_loss,
    discriminator_loss,
    generator_metric_loss,
    load_balance_loss,
    magnitude_loss,
    pesq_to_unit,
    phase_losses,
    router_z_loss,
    waveform_loss,
    weighted_sum,
)

__all__ = ["EnhancementBrain"]

ROUTING_TERMS = ("load_balance", "router_z")


class EnhancementBrain(SystemBrain):
    """Metric-GAN training of a generator (magnitude, phase) -> (magnitude, phase).

    One step: the generator enhances the batch once; the discriminator learns to predict
    the PESQ of an earlier batch (``pesq_lag``); the generator follows the weighted sum
    of its losses, among them the score that the frozen discriminator gives; the bias of
    every expert moves against its load. A step whose gradients are not finite is
    skipped on all ranks together.

    Validation and test enhance whole utterances with the averaged weights (EMA), one at
    a time, shared out over the ranks.

    A value that is missing from ``hparams`` and the precision fp16 are ValueErrors.

    Source: yxlu-0102/MP-SENet@89932cf, train.py, for the losses and their order.
    Differs: docs/deviations.md.

    Arguments
    ---------
    modules : dict[str, torch.nn.Module]
        ``generator`` and ``discriminator``.
    hparams : dict
        Values named in ``HPARAMS_NEEDED``; see ``hparams/sesame.yaml``.
    run_opts : dict | None
        SpeechBrain run options; ``precision`` is fp32 or bf16.
    checkpointer : Checkpointer | None
        Waiting PESQ jobs are added to what ``SystemBrain`` saves.
    """

    HPARAMS_NEEDED = (
        *SystemBrain.HPARAMS_NEEDED,
        "discriminator",
        "transform",
        "pesq_lag",
    )

    def __init__(
        self,
        modules: dict[str, torch.nn.Module],
        hparams: dict,
        run_opts: dict | None = None,
        checkpointer: Checkpointer | None = None,
    ):
        super().__init__(modules, hparams, run_opts, checkpointer)
        self.hparams.transform.to(self.device)
        self.pesq_line = DelayedPESQ(
            self.pool, self.hparams.sample_rate, self.hparams.pesq_lag
        )
        self.add_recoverables(pesq_line=self.pesq_line)

    def compute_forward(
        self, batch: PaddedBatch, stage: sb.Stage
    ) -> dict[str, torch.Tensor] | list[torch.Tensor]:
        """Enhances a batch.

        Arguments
        ---------
        batch : PaddedBatch
            With ``noisy_sig`` and ``clean_sig``.
        stage : sb.Stage
            Training keeps the spectra for the losses; otherwise only waveforms are
            made, each utterance on its own and without padding.

        Returns
        -------
        dict[str, torch.Tensor] | list[torch.Tensor]
            Training: the tensors of the losses, at the level that the network sees.
            Otherwise: one enhanced waveform (1, L) per utterance.
        """
        batch = batch.to(self.device)
        noisy, lengths = batch.noisy_sig
        if stage != sb.Stage.TRAIN:
            samples = (lengths * noisy.shape[-1]).round().long().tolist()
            return [
                enhance_waveform(
                    self.ema.module, self.hparams.transform, noisy[i : i + 1, :length]
                )
                for i, length in enumerate(samples)
            ]
        transform = self.hparams.transform
        level = rms(noisy)
        noisy = normalize(noisy, level)
        clean = normalize(batch.clean_sig.data, level)
        magnitude, phase = self.modules.generator(*transform(noisy))
        magnitude, phase = magnitude.float(), phase.float()
        enhanced = transform.inverse(magnitude, phase, noisy.shape[-1])
        heard_magnitude, heard_phase = transform(enhanced)
        clean_magnitude, clean_phase = transform(clean)
        return {
            "magnitude": magnitude,
            "phase": phase,
            "waveform": enhanced,
            "heard_magnitude": heard_magnitude,
            "heard_phase": heard_phase,
            "clean_waveform": clean,
            "clean_magnitude": clean_magnitude,
            "clean_phase": clean_phase,
        }

    def compute_objectives(
        self,
        predictions: dict[str, torch.Tensor] | list[torch.Tensor],
        batch: PaddedBatch,
        stage: sb.Stage,
    ) -> torch.Tensor:
        """Weighs the losses of the generator, or hands an utterance to the metrics.

        Arguments
        ---------
        predictions : dict[str, torch.Tensor] | list[torch.Tensor]
            What ``compute_forward`` returned.
        batch : PaddedBatch
            The batch.
        stage : sb.Stage
            Validation and test: the returned value is the mean absolute error of the
            waveform; the metrics follow at the end of the stage.

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        if stage != sb.Stage.TRAIN:
            return self.score_utterances(predictions, batch, stage)
        p = predictions
        instantaneous, group_delay, angular_frequency = phase_losses(
            p["phase"], p["clean_phase"]
        )
        terms = {
            "magnitude": magnitude_loss(p["magnitude"], p["clean_magnitude"]),
            "instantaneous_phase": instantaneous,
            "group_delay": group_delay,
            "angular_frequency": angular_frequency,
            "complex": complex_loss(
                p["magnitude"], p["phase"], p["clean_magnitude"], p["clean_phase"]
            ),
            "consistency": complex_loss(
                p["magnitude"], p["phase"], p["heard_magnitude"], p["heard_phase"]
            ),
            "time": waveform_loss(p["waveform"], p["clean_waveform"]),
            "metric": generator_metric_loss(self._judge_frozen(p)),
        }
        routings = [layer.routing for layer in self.routing.layers.values()]
        weights = dict(self.hparams.loss_weights)
        if routings:
            balance = [load_balance_loss(r.logits, r.expert_ids) for r in routings]
            terms["load_balance"] = torch.stack(balance).mean()
            z_losses = [router_z_loss(r.logits) for r in routings]
            terms["router_z"] = torch.stack(z_losses).mean()
        else:
            # So that "moe_blocks: []" alone turns a YAML file into its dense baseline.
            weights = {k: w for k, w in weights.items() if k not in ROUTING_TERMS}
        self.statistics.add(terms)
        return weighted_sum(terms, weights)

    def fit_batch(self, batch: PaddedBatch) -> torch.Tensor:
        """Trains the discriminator, then the generator, on one batch.

        Arguments
        ---------
        batch : PaddedBatch
            The batch.

        Returns
        -------
        torch.Tensor
            Loss of the generator, a detached scalar on the CPU.
        """
        should_step = self.step % self.grad_accumulation_factor == 0
        self.seed_step()
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                predictions = self.compute_forward(batch, sb.Stage.TRAIN)
            self.routing.add_micro_batch()
            self.pesq_line.push(predictions["waveform"], predictions["clean_waveform"])
            self._backward(self._discriminator_objective(predictions))
            if should_step:
                self.take_step("discriminator")
            loss = self.compute_objectives(predictions, batch, sb.Stage.TRAIN)
            self._backward(loss)
        if should_step:
            self.step_generator()
        self.on_fit_batch_end(batch, predictions, loss, should_step)
        return loss.detach().cpu()

    def score_utterances(
        self, enhanced: list[torch.Tensor], batch: PaddedBatch, stage: sb.Stage
    ) -> torch.Tensor:
        """Hands enhanced utterances to the metrics; the test also writes them.

        Arguments
        ---------
        enhanced : list[torch.Tensor]
            Waveforms (1, L), each of its own length.
        batch : PaddedBatch
            The batch they come from.
        stage : sb.Stage
            Validation or test.

        Returns
        -------
        torch.Tensor
            Mean absolute error of the waveforms, scalar.
        """
        errors = []
        for i, estimate in enumerate(enhanced):
            length = estimate.shape[-1]
            clean = batch.clean_sig.data[i, :length]
            noisy = batch.noisy_sig.data[i, :length]
            errors.append((estimate[0] - clean).abs().mean())
            signals = [s.float().cpu().numpy() for s in (estimate[0], clean, noisy)]
            self.scores.add(batch.id[i], *signals)
            if stage == sb.Stage.TEST:
                path = Path(self.hparams.enhanced_folder) / f"{batch.id[i]}.wav"
                write_wav(path, signals[0], self.hparams.sample_rate)
        return torch.stack(errors).mean()

    def _backward(self, loss):
        (loss / self.grad_accumulation_factor).backward()

    def _discriminator_objective(self, predictions):
        """Loss of the discriminator on the batch whose PESQ is due."""
        scored = self.pesq_line.pop()
        if scored is None:
            reference = predictions["clean_magnitude"]
            candidate = predictions["heard_magnitude"].detach()
            target = reference.new_full((len(reference),), float("nan"))
        else:
            enhanced, clean, pesq = (tensor.to(self.device) for tensor in scored)
            reference, _ = self.hparams.transform(clean)
            candidate, _ = self.hparams.transform(enhanced)
            target = pesq_to_unit(pesq)
            known = pesq[pesq.isfinite()]
            if len(known):
                self.statistics.add({"pesq": known.mean()})
        with self.training_ctx:
            # One pass for both halves: instances are normalised on their own.
            scores = self.modules.discriminator(
                torch.cat([reference, reference]), torch.cat([reference, candidate])
            )
        real, fake = scores.float().chunk(2)
        loss = discriminator_loss(real, fake, target)
        self.statistics.add({"discriminator": loss})
        return loss

    def _judge_frozen(self, predictions):
        """Score of the enhanced batch; the discriminator gets no gradient."""
        # The raw module: its data-parallel wrapper would wait for gradients.
        judge = self.hparams.discriminator.requires_grad_(False)
        with self.training_ctx:
            score = judge(
                predictions["clean_magnitude"], predictions["heard_magnitude"]
            )
        judge.requires_grad_(True)
        return score.float()
