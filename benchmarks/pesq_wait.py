"""How long a training step waits for the PESQ of the discriminator's batch."""

import tempfile
import time
from pathlib import Path

from hyperpyyaml import load_hyperpyyaml
from speechbrain import Stage

__all__ = ["pesq_wait_shares"]

ROOT = Path(__file__).resolve().parent.parent
WARMUP_STEPS = 4  # the PESQ process starts and imports meanwhile
STEPS = 12
# sesame_mini.yaml brings the bundled data; these are the sizes of sesame_small.yaml.
SMALL = """
segment_length: 32000
n_fft: 512
hop_length: 256
generator:
    channels: 32
    dense_depth: 3
    num_experts: 8
    noise_context_dim: 16
"""


def pesq_wait_shares(
    lag: int, device: str = "cpu", quick: bool = False
) -> tuple[list[float], list[float]]:
    """Trains for some steps and times them.

    Arguments
    ---------
    lag : int
        Steps between enhancing a batch and using its PESQ.
    device : str
        "cpu" or "cuda".
    quick : bool
        True keeps the tiny sizes of sesame_mini.yaml and takes two steps.

    Returns
    -------
    tuple[list[float], list[float]]
        Of each step: the share of its time that ``DelayedPESQ.pop`` took, and its
        time in seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        overrides = f"output_folder: {folder}\ndata_folder: {ROOT / 'data/minibank'}\n"
        overrides += f"pesq_lag: {lag}\nseed: 0\n" + ("" if quick else SMALL)
        with open(ROOT / "hparams/sesame_mini.yaml", encoding="utf-8") as file:
            hparams = load_hyperpyyaml(file, overrides)
        hparams["prepare_data"]()
        brain = hparams["brain"](
            modules=hparams["modules"],
            hparams=hparams,
            run_opts={"device": device, "noprogressbar": True},
        )
        try:
            return _time_steps(brain, hparams, 2 if quick else STEPS)
        finally:
            brain.pool.close()


def _time_steps(brain, hparams, steps):
    waits, times = [], []
    brain.pesq_line.pop = _timed(brain.pesq_line.pop, waits)
    loader = brain.make_dataloader(
        hparams["train_set"](), Stage.TRAIN, **hparams["train_loader_options"]
    )
    brain.on_fit_start()
    step = _timed(brain.fit_batch, times)
    total = WARMUP_STEPS + steps
    while len(times) < total:
        hparams["epoch_counter"].current += 1
        brain.on_stage_start(Stage.TRAIN, hparams["epoch_counter"].current)
        brain.modules.train()
        for brain.step, batch in enumerate(loader, start=1):
            step(batch)
            if len(times) == total:
                break
    waits, times = waits[WARMUP_STEPS:], times[WARMUP_STEPS:]
    return [w / t for w, t in zip(waits, times, strict=True)], times


def _timed(function, record):
    def timed(*arguments):
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            record.append(time.perf_counter() - start)

    return timed
