"""Training, validation and test of networks that separate the sources of a mixture."""

from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from sesame.brain.optimization import weight_decay_groups
from sesame.brain.scoring import write_wav
from sesame.brain.training import SystemBrain
from sesame.features import match_levels
from sesame.losses import separation_loss, sequence_balance_loss, weighted_sum
from sesame.metrics import best_order

__all__ = ["SeparationBrain"]


class SeparationBrain(SystemBrain):
    """Permutation-invariant training of a network mixture (B, L) -> sources (B, J, L).

    One step: the network separates the batch; it follows the weighted sum of the
    negative SI-SNR on the best permutation (``si_snr``, thresholded per utterance) and
    of the sequence-level balance of its experts, summed over the layers (``balance``).
    Norms, biases and routers do not decay. A step whose gradients are not finite is
    skipped on all ranks together.

    Validation and test separate whole mixtures with the averaged weights (EMA), one at
    a time, shared out over the ranks.

    A value that is missing from ``hparams`` and the precision fp16 are ValueErrors.

    Source: the paper on TF-MoE (arXiv:2606.29575), section 2, for the losses.

    Arguments
    ---------
    modules : dict[str, torch.nn.Module]
        ``generator``: the separator.
    hparams : dict
        Values named in ``HPARAMS_NEEDED``; see ``hparams/tf_moe.yaml``.
    run_opts : dict | None
        SpeechBrain run options; ``precision`` is fp32 or bf16.
    checkpointer : Checkpointer | None
        What ``SystemBrain`` saves is added to it.
    """

    HPARAMS_NEEDED = (*SystemBrain.HPARAMS_NEEDED, "max_si_snr")

    def parameter_groups(self, module: torch.nn.Module) -> list[dict]:
        """Exempts norms, biases and routers from weight decay.

        Arguments
        ---------
        module : torch.nn.Module
            The separator.

        Returns
        -------
        list[dict]
            Groups of its parameters.
        """
        return weight_decay_groups(module)

    def compute_forward(
        self, batch: PaddedBatch, stage: sb.Stage
    ) -> torch.Tensor | list[torch.Tensor]:
        """Separates a batch.

        Arguments
        ---------
        batch : PaddedBatch
            With ``mixture_sig`` and ``source_sigs``.
        stage : sb.Stage
            Otherwise than in training, each mixture is separated on its own and
            without padding, into sources of the levels they have in it.

        Returns
        -------
        torch.Tensor | list[torch.Tensor]
            Training: sources (B, J, L). Otherwise: (1, J, L) per mixture.
        """
        mixture = batch.to(self.device).mixture_sig.data
        if stage == sb.Stage.TRAIN:
            return self.modules.generator(mixture)
        separated = []
        for i, length in enumerate(_num_samples(batch).tolist()):
            alone = mixture[i : i + 1, :length]
            # As files hold them: at their own levels many would be clipped.
            separated.append(match_levels(self.ema.module(alone), alone))
        return separated

    def compute_objectives(
        self,
        predictions: torch.Tensor | list[torch.Tensor],
        batch: PaddedBatch,
        stage: sb.Stage,
    ) -> torch.Tensor:
        """Weighs the losses, or hands separated mixtures to the metrics.

        Arguments
        ---------
        predictions : torch.Tensor | list[torch.Tensor]
            What ``compute_forward`` returned.
        batch : PaddedBatch
            The batch.
        stage : sb.Stage
            Validation and test: the returned value is the negative SI-SNR without
            threshold; the metrics follow at the end of the stage.

        Returns
        -------
        torch.Tensor
            Scalar.
        """
        if stage != sb.Stage.TRAIN:
            return self.score_mixtures(predictions, batch, stage)
        terms = {
            "si_snr": separation_loss(
                predictions,
                batch.source_sigs.data,
                _num_samples(batch),
                self.hparams.max_si_snr,
            )
        }
        weights = dict(self.hparams.loss_weights)
        routings = [layer.routing for layer in self.routing.layers.values()]
        if routings:
            balance = [
                sequence_balance_loss(r.logits, r.expert_ids, len(predictions))
                for r in routings
            ]
            terms["balance"] = torch.stack(balance).sum()
        else:
            # So that the layers alone turn a YAML file into its dense baseline.
            weights.pop("balance", None)
        self.statistics.add(terms)
        return weighted_sum(terms, weights)

    def fit_batch(self, batch: PaddedBatch) -> torch.Tensor:
        """Trains on one batch.

        Arguments
        ---------
        batch : PaddedBatch
            The batch.

        Returns
        -------
        torch.Tensor
            The loss, a detached scalar on the CPU.
        """
        should_step = self.step % self.grad_accumulation_factor == 0
        buffers = list(self.hparams.generator.buffers())
        if (self.step - 1) % self.grad_accumulation_factor == 0:
            self.buffers_before = [buffer.clone() for buffer in buffers]
        self.seed_step()
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                predictions = self.compute_forward(batch, sb.Stage.TRAIN)
            self.routing.add_micro_batch()
            loss = self.compute_objectives(predictions, batch, sb.Stage.TRAIN)
            (loss / self.grad_accumulation_factor).backward()
        if should_step and not self.step_generator():
            # Batch normalisation has already seen what was not finite.
            for buffer, before in zip(buffers, self.buffers_before, strict=True):
                buffer.copy_(before)
        self.on_fit_batch_end(batch, predictions, loss, should_step)
        return loss.detach().cpu()

    def score_mixtures(
        self, separated: list[torch.Tensor], batch: PaddedBatch, stage: sb.Stage
    ) -> torch.Tensor:
        """Hands separated mixtures to the metrics; the test also writes them.

        Files are ``s1/ID.wav`` and so on, in the order of the sources.

        Arguments
        ---------
        separated : list[torch.Tensor]
            Sources (1, J, L), each mixture of its own length.
        batch : PaddedBatch
            The batch they come from.
        stage : sb.Stage
            Validation or test.

        Returns
        -------
        torch.Tensor
            Mean negative SI-SNR on the best permutation, scalar.
        """
        losses = []
        for i, estimates in enumerate(separated):
            length = estimates.shape[-1]
            targets = batch.source_sigs.data[i : i + 1, :, :length]
            mixture = batch.mixture_sig.data[i, :length]
            losses.append(separation_loss(estimates, targets, max_si_snr=None))
            signals = [
                s.float().cpu().numpy() for s in (estimates[0], targets[0], mixture)
            ]
            self.scores.add_separated(batch.id[i], *signals)
            if stage == sb.Stage.TEST:
                self._write(batch.id[i], *signals[:2])
        return torch.stack(losses).mean()

    def _write(self, name, estimates, targets):
        for number, index in enumerate(best_order(estimates, targets), 1):
            folder = Path(self.hparams.enhanced_folder) / f"s{number}"
            path = folder / f"{name}.wav"
            write_wav(path, estimates[index], self.hparams.sample_rate)


def _num_samples(batch):
    mixture, lengths = batch.mixture_sig
    return (lengths * mixture.shape[-1]).round().long()
