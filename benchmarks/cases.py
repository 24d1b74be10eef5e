"""What several cases of ``speed.py`` share: functions to measure, and tables."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from measure import Samples, ratio
from report import table

from sesame.features import enhance_waveform
from sesame.losses import load_balance_loss, router_z_loss
from sesame.nnet import moe_layers

__all__ = ["enhance", "infer", "ratio_table", "time_table", "training_step", "verdict"]


def enhance(network, transform, noisy, reduced: bool = False) -> Callable[[], object]:
    """Waveform to waveform; ``reduced``: under bfloat16 autocast."""

    @torch.inference_mode()
    def call():
        with torch.autocast(noisy.device.type, torch.bfloat16, enabled=reduced):
            return enhance_waveform(network, transform, noisy)

    return call


def infer(layer, x) -> Callable[[], object]:
    """A layer without gradients."""

    @torch.inference_mode()
    def call():
        return layer(x)

    return call


def training_step(network, transform, noisy) -> Callable[[], None]:
    """Forward, squares of the outputs and the routing losses, backward, AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)
    layers = moe_layers(network).values()

    def call():
        magnitude, phase = network(*transform(noisy))
        loss = magnitude.square().sum() + phase.square().sum()
        for layer in layers:
            logits, expert_ids = layer.routing.logits, layer.routing.expert_ids
            loss = loss + load_balance_loss(logits, expert_ids) + router_z_loss(logits)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return call


def time_table(samples: Mapping[str, Samples], length: float) -> str:
    """Times of cases that worked on ``length`` seconds of audio."""
    rows = []
    for name, case in samples.items():
        median = statistics.median(case.seconds)
        rows.append(
            [
                name,
                str(len(case.seconds)),
                f"{median:.4g}",
                f"{min(case.seconds):.4g} to {max(case.seconds):.4g}",
                f"{statistics.median(case.processor_seconds):.4g}",
                f"{median / length:.3g}",
            ]
        )
    header = ["case", "runs", "median s", "range s", "processor s", "s per s of audio"]
    return table(header, rows)


def ratio_table(
    samples: Mapping[str, Samples],
    goals: Sequence[tuple[str, str, float | None, bool]],
) -> str:
    """Ratios of pairs of cases: (above, below, target, whether at least)."""
    rows = []
    for above, below, goal, least in goals:
        clock, processor = ratio(samples[above], samples[below])
        goal = math.nan if goal is None else goal
        rows.append(
            [
                f"{above} / {below}",
                f"{clock:.2f}",
                f"{processor:.2f}",
                *verdict(clock, goal, least),
            ]
        )
    return table(["ratio of medians", "clock", "processor", "target", "met"], rows)


def verdict(value: float, goal: float, least: bool) -> list[str]:
    """Two cells: the target, and whether it is met; empty for a goal of NaN."""
    if math.isnan(goal):
        return ["", ""]
    met = value >= goal if least else value <= goal
    return [f"{'at least' if least else 'at most'} {goal:g}", "yes" if met else "no"]
