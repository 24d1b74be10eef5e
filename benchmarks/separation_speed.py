"""Real-time factor and training step of TF-MoE over the number of experts.

Table 3 of the paper, which measured mixtures of 2.4 s on one thread a hundred times::

    python benchmarks/separation_speed.py --output FILE

See ``benchmarks/README.md`` for what is compared.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Mapping

import torch
from cases import infer, verdict
from measure import Samples, interleave, ratio
from report import conditions, emit, table
from separation_networks import NETWORKS, TINY
from torch import Tensor, nn

from sesame.losses import separation_loss, sequence_balance_loss
from sesame.nnet import moe_layers, update_expert_bias
from sesame.nnet.moe import TopKRouter

DENSE, RECURRENT = "TF-Conformer", "BSRNN"
# Most time of an inference, dense = 1.
TARGETS = {"TF-MoE, E = 12": 1.10, "TF-MoE, E = 24": 1.15}
PUBLISHED_FACTORS = "0.45 dense and 0.47 with 12 experts"
BALANCE_WEIGHT = 1e-3  # of the paper
# Steps of the adaptive bias, from the largest difference of two scores to a small one.
BIAS_SPEEDS = torch.logspace(-1, -5, 400).tolist()


def main():
    """Measures and reports."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sections = ["# Speed of separators", conditions(), inference_section(options)]
    if options.steps:
        sections.append(training_section(options))
    emit("\n\n".join(sections), options.output)


def parse_options():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--runs", type=int, default=100, help="of an inference")
    parser.add_argument("--seconds", type=float, default=2.4, help="of its mixture")
    parser.add_argument("--steps", type=int, default=10, help="of training; 0: none")
    parser.add_argument("--batch", type=int, default=1, help="mixtures of a step")
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it runs, no more"
    )
    options = parser.parse_args()
    options.sizes, options.step_seconds = {}, 3.0
    if options.quick:
        options.sizes, options.runs, options.steps = TINY, 1, 1
        options.seconds, options.step_seconds = 0.24, 0.3
    return options


def inference_section(options) -> str:
    """Waveform to waveform, a mixture at a time."""
    networks = _networks(options)
    mixture = _noise(1, round(options.seconds * networks[DENSE].sample_rate))
    loads = {name: balance(n.eval(), mixture) for name, n in networks.items()}
    cases = {name: infer(n, mixture) for name, n in networks.items()}
    samples = interleave(cases, options.runs)
    published = {name: NETWORKS[name].time for name in networks}
    targets = {} if options.quick else TARGETS
    return "\n\n".join(
        [
            f"## Inference, mixtures of {options.seconds:g} s, float32",
            "Real-time factor: seconds per second of audio, waveform to waveform, all "
            "networks in turn. The weights are random and the mixture is noise; the "
            "bias of each router was set beforehand so that the experts get even "
            "shares, as training for balance gives them. Busiest: share of the most "
            "used expert over an even share, mean over the layers. Paper: ratio of "
            f"real-time factors, which are {PUBLISHED_FACTORS} on its machine, means "
            "of 100 runs.",
            _time_table(samples, options.seconds, loads),
            _ratio_table(samples, published, targets),
        ]
    )


def training_section(options) -> str:
    """Forward, the losses of the paper, backward and AdamW."""
    networks, seconds = _networks(options), options.step_seconds
    length = round(seconds * networks[DENSE].sample_rate)
    sources = _noise(options.batch, 2, length)
    mixture = sources.sum(1)
    loads = {name: balance(n.train(), mixture) for name, n in networks.items()}
    cases = {name: training_step(n, sources) for name, n in networks.items()}
    samples = interleave(cases, options.steps)
    return "\n\n".join(
        [
            f"## Training step, batch of {options.batch} x {seconds:g} s, float32",
            "Forward, SI-SNR on the best permutation and the balance loss, backward, "
            "AdamW; otherwise as above. The paper has no figures.",
            _time_table(samples, options.batch * seconds, loads),
            _ratio_table(samples, {}, {}),
        ]
    )


def training_step(network: nn.Module, sources: Tensor) -> Callable[[], None]:
    """A step that leaves the weights as they are.

    Arguments
    ---------
    network : nn.Module
        Separator in training.
    sources : Tensor
        Sources (B, J, L), whose sum is separated.

    Returns
    -------
    Callable[[], None]
        Takes one step.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)
    layers = moe_layers(network).values()
    mixture = sources.sum(1)

    def call():
        loss = separation_loss(network(mixture), sources)
        for layer in layers:
            routing = layer.routing
            loss = loss + BALANCE_WEIGHT * sequence_balance_loss(
                routing.logits, routing.expert_ids, len(mixture)
            )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return call


@torch.no_grad()
def balance(network: nn.Module, mixture: Tensor) -> float:
    """Sets the bias of every router so that a mixture loads its experts evenly.

    A network with random weights would leave experts out, and be faster than a trained
    one: fewer experts are fewer and larger products.

    Arguments
    ---------
    network : nn.Module
        Separator, in the mode in which it will be measured.
    mixture : Tensor
        Mixtures (B, L).

    Returns
    -------
    float
        Largest load of an expert over the mean, mean over the layers; 1 without any.
    """
    layers = moe_layers(network).values()
    # Each router is balanced on what it is about to read, so that one pass serves all.
    hooks = [layer.router.register_forward_pre_hook(_balance) for layer in layers]
    try:
        network(mixture)
    finally:
        for hook in hooks:
            hook.remove()
    shares = [float(x.routing.load.max() / x.routing.load.mean()) for x in layers]
    return statistics.mean(shares) if shares else 1.0


def _balance(router: TopKRouter, inputs) -> None:
    for speed in BIAS_SPEEDS:
        # Not by a call, which would come back here.
        update_expert_bias(router, router.forward(*inputs).load, speed)


def _networks(options) -> dict[str, nn.Module]:
    return {
        name: published.make(**options.sizes)
        for name, published in NETWORKS.items()
        if name != RECURRENT
    }


def _noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(shape)


def _time_table(
    samples: Mapping[str, Samples], length: float, loads: Mapping[str, float]
) -> str:
    rows = []
    for name, case in samples.items():
        factors = [seconds / length for seconds in case.seconds]
        rows.append(
            [
                name,
                str(len(factors)),
                f"{statistics.median(factors):.4f}",
                f"{statistics.mean(factors):.4f}",
                f"{min(factors):.4f} to {max(factors):.4f}",
                f"{statistics.median(case.processor_seconds) / length:.4f}",
                f"{loads[name]:.2f}",
            ]
        )
    header = ["s per s of audio", "runs", "median", "mean", "range", "processor"]
    return table([*header, "busiest"], rows)


def _ratio_table(
    samples: Mapping[str, Samples],
    published: Mapping[str, str],
    targets: Mapping[str, float],
) -> str:
    rows = []
    for name, case in samples.items():
        clock, processor = ratio(case, samples[DENSE])
        rows.append(
            [
                name,
                f"{clock:.3f}",
                f"{processor:.3f}",
                published.get(name, ""),
                *verdict(clock, targets.get(name, math.nan), least=False),
            ]
        )
    header = ["ratio of medians to dense", "clock", "processor", "paper"]
    return table([*header, "target", "met"], rows)


if __name__ == "__main__":
    main()
