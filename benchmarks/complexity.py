"""Parameters and multiply-accumulates of every system in ``hparams/``.

::

    python benchmarks/complexity.py --output benchmarks/results/complexity-2026-11-21.md
"""

import argparse
import warnings
from collections import Counter
from pathlib import Path

import torch
from report import conditions, emit, table
from systems import HPARAMS, load_system
from torch.backends import mkldnn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sesame.nnet import moe_layers

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


def main():
    """Counts and reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hparams", nargs="+", type=Path, default=HPARAMS)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument("--quick", action="store_true", help="clips of 0.1 s")
    options = parser.parse_args()
    torch.manual_seed(0)
    seconds = 0.1 if options.quick else options.seconds
    rows = [count(path, seconds) for path in options.hparams]
    header = ["system", "class", "T x F", "parameters", "active", "GMACs"]
    header += KINDS
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
