"""Parameters and multiply-accumulates of every system in ``hparams/``.

The systems that enhance, the separators as the TF-MoE paper lists them, or the sizes of
SEFlow::

    python benchmarks/complexity.py --output benchmarks/results/complexity-2026-11-21.md
    python benchmarks/complexity.py --separators --output FILE
    python benchmarks/complexity.py --sizes --output FILE
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from report import conditions, emit, table
from separation_networks import ABLATION, NETWORKS, Published
from size_costs import size_tables
from systems import HPARAMS, load_system
from thop_macs import count_macs, product_macs, thop_macs
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sesame.nnet import moe_layers

SECONDS = 2.0
MACS_PER_STATE = 4
EXPLANATION = f"""\
MACs of one forward from magnitude and phase to the same pair, half the FLOPs of
`torch.utils.flop_counter`, as executed:

- convolutions;
- products: linear layers, GRU and LSTM, the chosen experts;
- attention: batched products, which are those of tokens with tokens in attention and
  those with the matrix memory of the mLSTM (in chunks, not quadratic as published);
- scan: {MACS_PER_STATE} for each state of a selective scan (token, inner channel,
  state), by formula: delta A, the two products of exp(delta A) h + (delta u) B, and
  C h. A count of {MACS_PER_STATE - 1} leaves out delta A.

Not counted: exponentials, what a scan does once per inner channel (delta u, D u), the
two Fourier transforms, normalisations, activations, softmax, additions, gates. A
parameter is active for a token if the token passes through it: of E experts, the K
chosen. Layers that are used twice (shared attention) have their parameters once and
their MACs twice."""
CONVOLUTIONS = {"convolution", "_convolution"}
# Attention is computed by its parts here, because the fused kernel is not counted.
ATTENTION = {"bmm"}
KINDS = ("convolutions", "products", "attention", "scan")

SEPARATION_SECONDS = 1.0
# Of the paper's mixtures, in lengths of ours: the gates are counted on both.
GATE_SECONDS = 2.4
PUBLISHED_GATES = {12: "about 2"}  # M, by experts
SEPARATION_EXPLANATION = """\
Counted by formula (`thop_macs.py`), for the spectrum of one mixture:

- thop / 2^30: the convention that gives the figures the paper prints as "GMACs/s".
  Weights of linear, convolutional and recurrent layers, 4 per element of a layer or
  batch normalisation, nothing for attention; T frames, centred;
- all products: those of attention too, no norms; equal to `torch.utils.flop_counter`;
  one frame per hop;
- gates: the products of the routers, which are part of both.

The paper leaves out sizes of its networks. Ours were chosen among those that give the
parameters it prints, from which the MACs nearly follow: agreement is by construction
and no evidence for the sizes. A token passes through the active parameters."""
ABLATION_EXPLANATION = """\
Layers along time and along the bands, E = 6; rows with a recurrent layer have 30
channels, as in the paper, the others 32. The two figures that the paper prints for
recurrent rows contradict each other: 2.8 - 2.1 = 0.7 M is more than the 0.44 M that the
experts of one axis add at 30 channels, whatever the recurrent layer. Ours have LSTMs
of twice the channels, as BSRNN; which axis they are on makes no difference to the
parameters."""
ROUTE_EXPLANATION = """\
What shares a choice of experts: `seq` a sequence, `batch` a step of all sequences,
`token` nothing. The paper prints 4.1 for every number of experts and writes of about
0.002 GMACs for the gates, of 12 experts to judge by the percentage beside it: that is
a pooled choice on the mixtures of 2.4 s of its other measurements."""


def main():
    """Counts and reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hparams", nargs="+", type=Path, default=HPARAMS)
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--separators",
        action="store_true",
        help="tables of the TF-MoE paper in place of the files in hparams/",
    )
    others.add_argument(
        "--sizes",
        action="store_true",
        help="sub-networks of SEFlow, per second of a signal, in their place",
    )
    parser.add_argument("--seconds", type=float, help="2, of separators 1")
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="clips of 0.1 s")
    options = parser.parse_args()
    torch.manual_seed(0)
    default = SEPARATION_SECONDS if options.separators else SECONDS
    seconds = options.seconds or default
    if options.quick:
        seconds = 0.1
    title = "# Complexity" + (" of separators" if options.separators else "")
    sections = [f"{title}, clips of {seconds:g} s", conditions()]
    if options.sizes:
        sections = ["# Sizes of SEFlow", conditions(), *size_tables()]
    elif options.separators:
        sections += separator_tables(seconds)
    else:
        rows = [count(path, seconds) for path in options.hparams]
        header = ["system", "class", "T x F", "parameters", "active", "GMACs"]
        sections += [EXPLANATION, table([*header, *KINDS], rows)]
    emit("\n\n".join(sections), options.output)


def count(path: Path, seconds: float) -> list[str]:
    """One row of the table.

    Arguments
    ---------
    path : Path
        YAML file with ``generator``, ``transform`` and ``sample_rate``.
    seconds : float
        Length of the clip.

    Returns
    -------
    list[str]
        Cells.
    """
    name, network, transform, sample_rate = load_system(path)
    network.eval()
    magnitude, phase = transform(torch.randn(1, round(seconds * sample_rate)))
    macs = multiply_accumulates(network, magnitude, phase)
    total = sum(parameter.numel() for parameter in network.parameters())
    return [
        name,
        type(network).__name__,
        f"{magnitude.shape[2]} x {magnitude.shape[1]}",
        f"{total:,}",
        f"{total - idle_parameters(network):,}",
        f"{sum(macs.values()) / 1e9:.2f}",
        *(f"{macs[kind] / 1e9:.2f}" for kind in KINDS),
    ]


def separator_tables(seconds: float) -> list[str]:
    """The tables of the TF-MoE paper, ours beside, and what a route costs.

    Arguments
    ---------
    seconds : float
        Length of the mixture; the printed figures are for a second.

    Returns
    -------
    list[str]
        Markdown sections.
    """
    return [
        SEPARATION_EXPLANATION,
        "## Tables 1 and 3 of the paper",
        _published_table("network", NETWORKS, seconds),
        "## Table 2 of the paper",
        ABLATION_EXPLANATION,
        _published_table("time, bands", ABLATION, seconds),
        "## Routes",
        ROUTE_EXPLANATION,
        _route_table(seconds),
    ]


def _published_table(first: str, networks: Mapping[str, Published], seconds) -> str:
    rows = []
    for name, published in networks.items():
        network = published.make()
        total = sum(parameter.numel() for parameter in network.parameters())
        frames = _hops(network, seconds)
        rows.append(
            [
                name,
                f"{total:,}",
                f"{published.parameters} M",
                f"{total - idle_parameters(network):,}",
                f"{thop_macs(network, frames + 1) / 2**30:.3f}",
                published.macs,
                f"{product_macs(network, frames) / 1e9:.3f}",
                f"{count_macs(network, frames + 1)['gates'] / 1e6:.2f}",
            ]
        )
    header = [first, "parameters", "paper", "active", "thop / 2^30", "paper"]
    return table([*header, "all products, G", "gates, M"], rows)


def _route_table(seconds) -> str:
    rows = []
    for num_experts in (12, 24):
        for route in ("seq", "batch", "token"):
            published = NETWORKS[f"TF-MoE, E = {num_experts}"]
            network = partial(published.make, route=route)()
            frames = _hops(network, seconds) + 1
            longer = _hops(network, GATE_SECONDS * seconds) + 1
            rows.append(
                [
                    f"E = {num_experts}, {route}",
                    f"{thop_macs(network, frames) / 2**30:.3f}",
                    published.macs,
                    f"{count_macs(network, frames)['gates'] / 1e6:.2f}",
                    f"{count_macs(network, longer)['gates'] / 1e6:.2f}",
                    PUBLISHED_GATES.get(num_experts, ""),
                ]
            )
    header = ["network", "thop / 2^30", "paper", "gates, M"]
    header += [f"gates of {GATE_SECONDS * seconds:g} s, M", "paper"]
    return table(header, rows)


def _hops(network, seconds) -> int:
    return round(seconds * network.sample_rate) // network.stft.hop_length


def idle_parameters(network: torch.nn.Module) -> int:
    """Parameters of the experts that a token does not pass through."""
    idle = 0
    for layer in moe_layers(network).values():
        experts, router = layer.experts, layer.router
        size = sum(parameter.numel() for parameter in experts.parameters())
        idle += size * (router.num_experts - router.top_k) // router.num_experts
    return idle


def multiply_accumulates(network: torch.nn.Module, *inputs: torch.Tensor) -> Counter:
    """MACs of a forward by kind: convolutions, products, attention, scan.

    Arguments
    ---------
    network : torch.nn.Module
        Network to count.
    *inputs : torch.Tensor
        What it is called with.

    Returns
    -------
    Counter
        MACs by kind.
    """
    counter = FlopCounterMode(display=False)
    scans = _Scans(counter)
    hooks = [
        hook
        for module in network.modules()
        # What a selective scan is made of, whatever the class is called.
        if hasattr(module, "inner_channels") and hasattr(module, "state_size")
        for hook in (
            module.register_forward_pre_hook(scans.enter),
            module.register_forward_hook(scans.leave),
        )
    ]
    try:
        # The LSTM of oneDNN is one operator, not counted; that of torch has parts.
        with torch.no_grad(), mkldnn.flags(enabled=False):
            with sdpa_kernel(SDPBackend.MATH), counter:
                network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    macs = Counter(scan=scans.macs)
    for operator, flops in counter.get_flop_counts()["Global"].items():
        name = str(operator).rpartition(".")[2]
        kind = "products"
        if name in CONVOLUTIONS:
            kind = "convolutions"
        elif name in ATTENTION:
            kind = "attention"
            flops -= scans.batched_flops
        macs[kind] += flops // 2
    return macs


class _Scans:
    """Counts scans by formula, in place of the batched products that some forms use."""

    def __init__(self, counter: FlopCounterMode):
        self.counter = counter
        self.macs = self.batched_flops = 0

    def enter(self, module, inputs):
        self.batched_flops -= self._batched()

    def leave(self, module, inputs, output):
        self.batched_flops += self._batched()
        tokens = inputs[0].shape[0] * inputs[0].shape[1]
        states = tokens * module.inner_channels * module.state_size
        self.macs += MACS_PER_STATE * states

    def _batched(self):
        counts = self.counter.get_flop_counts().get("Global", {})
        return counts.get(torch.ops.aten.bmm, 0)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")
    main()
