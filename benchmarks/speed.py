"""Speed and memory, as ratios of medians measured side by side in one run.

To measure everything on one thread and keep the result::

    python benchmarks/speed.py --output benchmarks/results/speed-2026-11-21.md

See ``benchmarks/README.md`` for what the cases compare.
"""

import argparse
import logging
import math
import statistics
import warnings

import torch
from cases import enhance, infer, ratio_table, time_table, training_step, verdict
from measure import interleave, peak_memory
from pesq_wait import pesq_wait_shares
from reference import reference_network
from report import conditions, emit, table
from scan_speed import scan_forms
from system_costs import system_costs

from sesame.features import CompressedSTFT
from sesame.models import SESAME, MPSENet
from sesame.nnet import SelfAttention

SAMPLE_RATE = 16000  # Hz
MAX_DIFFERENCE = 1e-4  # between the reference's waveform and ours
# Least ratio of the reference's time to ours, by length of the clip [s].
FLOAT32_TARGETS = {2.0: 1.4, 4.0: 1.8}
BFLOAT16_TARGETS = {2.0: 2.0, 4.0: 2.5}
MOE_TARGET = 1.10  # most time of the sparse network, dense = 1
MEMORY_TARGET = 4.4  # most growth of memory over four times the frames
WAIT_TARGET = 0.02  # most share of a step that waits for PESQ
TINY = {"channels": 8, "num_blocks": 2, "num_heads": 2, "dense_depth": 2}


def main():
    """Runs the cases and reports."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sections = ["# Speed and memory", conditions(options.device)]
    sections += [CASES[name](options) for name in options.cases]
    emit("\n\n".join(sections), options.output)


def parse_options():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", nargs="+", type=float, default=[2.0, 4.0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--systems", nargs="+", metavar="NAME", help="of hparams/, for the case systems"
    )
    parser.add_argument(
        "--set",
        action="append",
        dest="sets",
        default=[],
        metavar="NAME=FOLDER",
        help="audio files that each of the systems enhances",
    )
    parser.add_argument("--output", help="new Markdown file")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it runs, no more"
    )
    options = parser.parse_args()
    options.sizes = TINY if options.quick else {}
    if options.quick:
        options.repeats = 1
        options.seconds = [length / 10 for length in options.seconds]
    return options


def dense_inference(options) -> str:
    """The dense network against the formulation of its authors."""
    sections = ["## Inference of the dense network (waveform to waveform)"]
    ours = MPSENet(**options.sizes).to(options.device).eval()
    written = reference_network(ours).eval()
    attention = reference_network(ours, attention_only=True).eval()
    transform = CompressedSTFT().to(options.device)
    for length in options.seconds:
        noisy = 0.1 * torch.randn(1, round(length * SAMPLE_RATE), device=options.device)
        cases = {
            "reference, float32": enhance(written, transform, noisy),
            "reference for attention only, float32": enhance(
                attention, transform, noisy
            ),
            "ours, float32": enhance(ours, transform, noisy),
            "ours, bfloat16 autocast": enhance(ours, transform, noisy, True),
        }
        names = list(cases)
        difference = _check_equal(*(cases[name]() for name in names[:3]))
        samples = interleave(cases, options.repeats, device=options.device)
        goals = [
            (names[0], names[2], FLOAT32_TARGETS.get(length)),
            (names[1], names[2], None),
            (names[0], names[3], BFLOAT16_TARGETS.get(length)),
        ]
        sections += [
            f"### {length:g} s, largest difference of waveforms {difference:.1e}",
            time_table(samples, length),
            ratio_table(samples, [(a, b, goal, True) for a, b, goal in goals]),
        ]
    return "\n\n".join(sections)


def attention_memory(options) -> str:
    """Memory of one layer over the number of frames."""
    channels, sequences = (64, 16) if not options.quick else (8, 2)
    base = 400 if not options.quick else 40
    attention = SelfAttention(channels, num_heads=4)
    time_layer = MPSENet(channels=channels, num_blocks=1).blocks[0].time_layer
    layers = {
        "attention": attention,
        "attention, reference": reference_network(attention),
        "time half of a block": time_layer,
        "time half of a block, reference": reference_network(time_layer),
    }
    rows = []
    for name, layer in layers.items():
        layer = layer.to(options.device).eval()
        peaks = []
        for frames in (base, 2 * base, 4 * base):
            x = torch.randn(sequences, frames, channels, device=options.device)
            peaks.append(peak_memory(infer(layer, x), options.device))
        growth = peaks[-1] / peaks[0]
        goal = math.nan if "reference" in name else MEMORY_TARGET
        rows.append(
            [
                name,
                *(f"{peak / 1e6:.2f}" for peak in peaks),
                f"{growth:.2f}",
                *verdict(growth, goal, least=False),
            ]
        )
    header = ["layer", *(f"T = {k * base}, MB" for k in (1, 2, 4)), "4 T / T"]
    return "\n\n".join(
        [
            f"## Memory of attention, {sequences} sequences of T frames, inference",
            "Peak of what torch allocates during the call. Linear growth is 4.",
            table([*header, "target", "met"], rows),
        ]
    )


def sparse_against_dense(options) -> str:
    """SESAME against the dense network: inference and a training step."""
    length = options.seconds[0]
    noisy = 0.1 * torch.randn(1, round(length * SAMPLE_RATE), device=options.device)
    transform = CompressedSTFT().to(options.device)
    sizes = options.sizes
    every = range(sizes.get("num_blocks", 4))
    published = (1, 3) if len(every) == 4 else (1,)
    networks = {
        "dense": MPSENet(**sizes),
        f"sparse, moe_blocks {list(published)}": SESAME(**sizes, moe_blocks=published),
        "sparse, all blocks": SESAME(**sizes, moe_blocks=every),
    }
    networks = {name: n.to(options.device) for name, n in networks.items()}
    dense, sparse, all_sparse = networks
    sections = [
        f"## Mixture of experts against dense, {length:g} s, float32",
        "Experts: 8, of which 2 per token. Training: forward, squares of the outputs "
        "and the routing losses, backward, AdamW, batch of 1.",
    ]
    for title, make in (("inference", enhance), ("training step", training_step)):
        cases = {}
        for name, network in networks.items():
            network.train(title != "inference")
            cases[name] = make(network, transform, noisy)
        samples = interleave(cases, options.repeats, device=options.device)
        goals = [
            (sparse, dense, None if options.quick else MOE_TARGET, False),
            (all_sparse, dense, None, False),
        ]
        sections += [
            f"### {title}",
            time_table(samples, length),
            ratio_table(samples, goals),
        ]
    return "\n\n".join(sections)


def pesq_wait(options) -> str:
    """Share of a training step that waits for the PESQ of a batch."""
    # SpeechBrain and the brain report their progress there.
    logging.disable(logging.INFO)
    rows = []
    for lag in (0, 1):
        shares, steps = pesq_wait_shares(lag, options.device, options.quick)
        share = statistics.median(shares)
        goal = WAIT_TARGET if lag else math.nan
        rows.append(
            [
                f"pesq_lag {lag}",
                str(len(steps)),
                f"{statistics.median(steps):.3f}",
                f"{share:.2%}",
                f"{min(shares):.2%} to {max(shares):.2%}",
                *verdict(share, goal, least=False),
            ]
        )
    header = ["training", "steps", "median s", "share that waits", "range"]
    return "\n\n".join(
        [
            "## Waiting for PESQ",
            "Time inside `DelayedPESQ.pop` over time inside `fit_batch`, medians over "
            "the steps of a training on `data/minibank` at the sizes of "
            "`hparams/sesame_small.yaml`, one PESQ process.",
            table([*header, "target", "met"], rows),
        ]
    )


def _check_equal(*waveforms) -> float:
    difference = max(float((w - waveforms[0]).abs().max()) for w in waveforms)
    if not difference <= MAX_DIFFERENCE:
        raise ValueError(
            f"reference and ours differ by {difference}, more than {MAX_DIFFERENCE}"
        )
    return difference


CASES = {
    "dense": dense_inference,
    "memory": attention_memory,
    "moe": sparse_against_dense,
    "pesq": pesq_wait,
    "scan": scan_forms,
    "systems": system_costs,
}

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="Warning: Profiler clears events")
    main()
