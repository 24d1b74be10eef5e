"""Parameters and multiply-accumulates of every system in ``hparams/``.

::

    python benchmarks/complexity.py --output benchmarks/results/complexity-2026-11-21.md
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml
from report import ROOT, conditions, emit, table
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sesame.nnet import moe_layers

EXPLANATION = """\
MACs of one forward from magnitude and phase to the same pair, half the FLOPs of
`torch.utils.flop_counter`: convolutions and matrix products, among them those of the
GRU, of attention and of the chosen experts. Not counted: the two Fourier transforms,
normalisations, activations, softmax, additions. A parameter is active for a token if
the token passes through it: of E experts, the K chosen."""
CONVOLUTIONS = {"convolution", "_convolution"}
# Attention is computed by its parts here, because the fused kernel is not counted.
ATTENTION = {"bmm", "baddbmm"}


def main():
    """Counts and reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--hparams", nargs="+", type=Path, default=sorted(ROOT.glob("hparams/*.yaml"))
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="clips of 0.1 s")
    options = parser.parse_args()
    torch.manual_seed(0)
    seconds = 0.1 if options.quick else options.seconds
    rows = [count(path, seconds) for path in options.hparams]
    header = ["system", "class", "T x F", "parameters", "active", "GMACs"]
    header += ["convolutions", "products", "attention"]
    sections = [
        f"# Complexity, clips of {seconds:g} s",
        conditions(),
        EXPLANATION,
        table(header, rows),
    ]
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
    with tempfile.TemporaryDirectory() as folder, open(path, encoding="utf-8") as file:
        hparams = load_hyperpyyaml(file, {"output_folder": folder})
    network, transform = hparams["generator"].eval(), hparams["transform"]
    noisy = torch.randn(1, round(seconds * hparams["sample_rate"]))
    magnitude, phase = transform(noisy)
    macs = multiply_accumulates(network, magnitude, phase)
    total = sum(parameter.numel() for parameter in network.parameters())
    return [
        path.stem,
        type(network).__name__,
        f"{magnitude.shape[2]} x {magnitude.shape[1]}",
        f"{total:,}",
        f"{total - idle_parameters(network):,}",
        f"{sum(macs.values()) / 1e9:.2f}",
        *(f"{macs[part] / 1e9:.2f}" for part in ("convolutions", "products")),
        f"{macs['attention'] / 1e9:.2f}",
    ]


def idle_parameters(network: torch.nn.Module) -> int:
    """Parameters of the experts that a token does not pass through."""
    idle = 0
    for layer in moe_layers(network).values():
        experts, router = layer.experts, layer.router
        size = sum(parameter.numel() for parameter in experts.parameters())
        idle += size * (router.num_experts - router.top_k) // router.num_experts
    return idle


def multiply_accumulates(network: torch.nn.Module, *inputs: torch.Tensor) -> Counter:
    """MACs of a forward by kind: convolutions, products, attention.

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
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network(*inputs)
    macs = Counter()
    for operator, flops in counter.get_flop_counts()["Global"].items():
        name = str(operator).rpartition(".")[2]
        kind = "products"
        if name in CONVOLUTIONS:
            kind = "convolutions"
        elif name in ATTENTION:
            kind = "attention"
        macs[kind] += flops // 2
    return macs


if __name__ == "__main__":
    main()
