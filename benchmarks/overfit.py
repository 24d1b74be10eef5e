"""Whether a separator can learn one mixture by heart: a check of network and gradients.

::

    python benchmarks/overfit.py --speech A.flac B.flac --experts 0 3

Zero experts are the dense TF-Conformer. The talkers are heard from half a second into
their files on, one 2 dB louder than the other.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from report import conditions, emit, table

from sesame.brain import warmup_then_cosine
from sesame.data import read_audio
from sesame.data.mixing import mix_at_levels
from sesame.losses import separation_loss
from sesame.models import TFConformer, TFMoE

LEVELS_DBFS = (-27.0, -29.0)
WARMUP_STEPS = 20
FINAL_RATE = 0.01
QUICK = {"channels": 8, "num_blocks": 1, "num_bands": 16}


def main():
    """Trains on one mixture and reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", nargs=2, type=Path, required=True)
    parser.add_argument("--experts", nargs="+", type=int, default=[0, 3])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="tiny networks, 3 steps")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = 3 if options.quick else options.steps
    sizes = QUICK if options.quick else {}
    mixture, sources = two_talkers(options.speech, options.seconds)
    rows = []
    for num_experts in options.experts:
        torch.manual_seed(0)
        if num_experts == 0:
            network = TFConformer(**sizes)
        else:
            network = TFMoE(num_experts=num_experts, **sizes)
        start = time.process_time()
        gain = overfit(network, mixture, sources, steps, options.learning_rate)
        seconds = time.process_time() - start
        parameters = sum(parameter.numel() for parameter in network.parameters())
        rows.append(
            [
                type(network).__name__,
                str(num_experts or "-"),
                f"{parameters:,}",
                str(steps),
                f"{gain:.2f}",
                f"{seconds:.0f}",
            ]
        )
    header = ["network", "experts", "parameters", "steps", "SI-SDRi [dB]", "CPU [s]"]
    sections = [
        f"# One mixture by heart, {options.seconds:g} s",
        conditions(),
        f"Mixture: {options.speech[0].name} and {options.speech[1].name}.",
        table(header, rows),
    ]
    emit("\n\n".join(sections), options.output)


def two_talkers(
    paths: list[Path], seconds: float, sample_rate: int = 16_000
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixture of parts of two files.

    Arguments
    ---------
    paths : list[Path]
        Two audio files.
    seconds : float
        Length; files must be longer by half a second.
    sample_rate : int
        Hz.

    Returns
    -------
    tuple[torch.Tensor, torch.Tensor]
        Mixture (1, L) and sources (1, 2, L).
    """
    length = round(seconds * sample_rate)
    start = sample_rate // 2
    parts = [read_audio(path, sample_rate, start, length) for path in paths]
    mixture, sources = mix_at_levels(np.stack(parts), LEVELS_DBFS, sample_rate)
    return torch.from_numpy(mixture)[None], torch.from_numpy(sources)[None]


def overfit(
    network: torch.nn.Module,
    mixture: torch.Tensor,
    sources: torch.Tensor,
    steps: int,
    learning_rate: float,
) -> float:
    """Trains on one mixture; gain of SI-SDR over it in evaluation mode, dB.

    Arguments
    ---------
    network : torch.nn.Module
        Separator.
    mixture : torch.Tensor
        (1, L).
    sources : torch.Tensor
        (1, J, L).
    steps : int
        Steps of Adam.
    learning_rate : float
        Its highest rate.

    Returns
    -------
    float
        Mean over the sources, on the best permutation.
    """
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: warmup_then_cosine(
            step, min(WARMUP_STEPS, steps - 1), steps, FINAL_RATE
        ),
    )
    network.train()
    for _ in range(steps):
        loss = separation_loss(network(mixture), sources, max_si_snr=None)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        after = separation_loss(network(mixture), sources, max_si_snr=None)
        unprocessed = mixture[:, None].expand_as(sources)
        before = separation_loss(unprocessed, sources, max_si_snr=None)
    return (before - after).item()


if __name__ == "__main__":
    main()
