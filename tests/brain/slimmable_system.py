"""A tiny network of several sizes, and batches for it."""

from pathlib import Path

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml

from sesame.data import degraded_batch

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000
TINY = {
    "data_folder": str(ROOT / "data" / "minibank"),
    "pesq_workers": 0,
    "generator": {"width": 16, "depth": 3, "head_channels": 4, "context": 10},
    "valid_sizes": [[1.0, 3], [0.25, 1]],
    "test_sizes": [[1.0, 3], [1.0, 1], [0.25, 2]],
    "test_metrics": ["si_sdr", "si_sdri", "erle"],
}


class SlimmableSystem:
    """Makes Brains of ``hparams/seflow_mini.yaml``, smaller, and batches of noise."""

    file = ROOT / "hparams" / "seflow_mini.yaml"
    rate = RATE
    overrides = TINY

    def __init__(self, folder: Path):
        self.folder = folder

    def brain(self, run_opts=None, replaced=None, **overrides):
        """A Brain that has done everything but its first step."""
        torch.manual_seed(0)
        overrides = TINY | {"output_folder": str(self.folder)} | overrides
        with self.file.open(encoding="utf-8") as file:
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

    @staticmethod
    def item(seed, enrolled=False, far_end=False, silent=False, rate=RATE, length=1600):
        """An utterance in noise, which is also the far end if there is one."""
        generator = torch.Generator().manual_seed(seed)
        target, noise, voice = 0.1 * torch.randn(3, length, generator=generator)
        target = 0 * target if silent else target.cumsum(0) / 8
        return {
            "id": f"{seed}",
            "task": "echo" if far_end else "noise",
            "degraded_sig": target + noise,
            "target_sig": target,
            "far_end_sig": noise if far_end else 0 * noise,
            "enrollment_sig": voice if enrolled else voice[:0],
            "has_far_end": far_end,
            "has_enrollment": enrolled,
            "sample_rate": rate,
        }

    def batch(self, *kinds, **options):
        """Items of the kinds, or without priors, with a voice and with a far end."""
        kinds = kinds or ({}, {"enrolled": True}, {"far_end": True, "silent": True})
        return degraded_batch(
            [self.item(i, **kind, **options) for i, kind in enumerate(kinds)]
        )

    @staticmethod
    def steps(brain, *batches) -> list[float]:
        """Trains on the batches; returns the losses."""
        losses = []
        for batch in batches:
            brain.step += 1
            losses.append(float(brain.fit_batch(batch)))
        return losses

    @staticmethod
    def vector(module):
        """All parameters, as they are now."""
        return torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()
