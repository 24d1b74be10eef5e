"""Selective scan: time and memory of its forms, beside a loop that works in place."""

import importlib.util
import math
import statistics
from collections.abc import Callable

import torch
from cases import verdict
from measure import interleave, peak_memory, ratio
from report import table
from torch import Tensor

from sesame.nnet.selective_scan import selective_scan

__all__ = ["in_place_loop", "scan_forms"]

# (sequences, steps, inner channels, states) of a clip of 2 s: frequencies as sequences,
# then frames; on a GPU the frames of a batch of four.
CPU_SHAPES = [(101, 321, 256, 16), (321, 101, 256, 16)]
CUDA_SHAPES = [(1284, 101, 256, 16)]
QUICK_SHAPES = [(3, 9, 8, 4)]
PARTS = (None, 16)  # sequences at a time
# Largest error relative to the largest output.
MAX_ERROR = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
# Least ratio of the loop's time to that of the fast form; most time of the kernel [s]
# at the CUDA shape on an H200.
LOOP_TARGET = 1.0
KERNEL_TARGETS = {"forward": 1.3 * 0.42e-3, "forward and backward": 1.3 * 1.9e-3}
CALLS_OF_A_GPU = 20  # per measurement, so that launching the first one does not count


def scan_forms(options) -> str:
    """Forward, and forward with backward, at the shapes of the device."""
    cuda = options.device == "cuda"
    dtype = torch.bfloat16 if cuda else torch.float32
    shapes = CUDA_SHAPES if cuda else CPU_SHAPES
    sections = [
        "## Selective scan",
        "Shapes are sequences, steps, inner channels, states. The loop that works in "
        "place has no gradients; peak: what torch allocates during a call, with the "
        "result and the gradients.",
    ]
    for shape in QUICK_SHAPES if options.quick else shapes:
        title = f"### {list(shape)}, {str(dtype).removeprefix('torch.')}"
        arguments = _arguments(shape, dtype, options.device)
        errors = _check(arguments)
        sections += [title, f"Largest relative error to the reference: {errors:.1e}."]
        for name, cases in (
            ("forward", _forward_cases(arguments)),
            ("forward and backward", _training_cases(arguments)),
        ):
            sections += [f"#### {name}", _table(name, cases, options)]
    return "\n\n".join(sections)


@torch.inference_mode()
def in_place_loop(u, delta, A, B, C, D, part: int | None = None) -> Tensor:
    """The scan as a loop over the steps that allocates nothing inside.

    Shape: u, delta (N, S, I), A (I, P), B, C (N, S, P), D (I,) -> (N, S, I).

    Arguments
    ---------
    u, delta, A, B, C, D
        As ``selective_scan`` takes them.
    part : int | None
        Sequences at a time; ``None`` takes all.

    Returns
    -------
    Tensor
        In the type of ``u``.
    """
    y = torch.empty_like(u)
    # States first, inner channels innermost: long rows.
    rates, D = A.float().T.contiguous(), D.float()
    for start in range(0, len(u), part or len(u)):
        own = slice(start, start + (part or len(u)))
        x, step, weight_in, weight_out = (
            t[own].transpose(0, 1).float() for t in (u, delta, B, C)
        )
        scaled = step * x
        state = rates.new_zeros(x.shape[1], *rates.shape)
        decay, gain = torch.empty_like(state), torch.empty_like(state)
        read = torch.empty_like(state[:, :1])
        for t in range(len(x)):
            torch.mul(step[t].unsqueeze(1), rates, out=decay).exp_()
            torch.mul(weight_in[t].unsqueeze(2), scaled[t].unsqueeze(1), out=gain)
            torch.addcmul(gain, decay, state, out=state)
            torch.bmm(weight_out[t].unsqueeze(1), state, out=read)
            y[own, t] = read.squeeze(1).addcmul_(D, x[t])
    return y


def _arguments(shape, dtype, device) -> list[Tensor]:
    sequences, steps, inner, states = shape
    generator = torch.Generator().manual_seed(0)

    def noise(*size):
        return torch.randn(size, generator=generator)

    u, B, C = noise(sequences, steps, inner), *noise(2, sequences, steps, states)
    delta = torch.nn.functional.softplus(noise(sequences, steps, inner) - 3)
    A = -torch.arange(1.0, states + 1).repeat(inner, 1)
    arguments = [u.to(dtype), delta.to(dtype), A, B.to(dtype), C.to(dtype)]
    return [t.to(device) for t in (*arguments, torch.ones(inner))]


def _forms(device: str) -> list[str]:
    forms = ["reference", "sequential"]
    if device == "cuda":
        forms += [n for n in ("triton", "mamba_ssm") if importlib.util.find_spec(n)]
    return forms


def _forward_cases(arguments) -> dict[str, Callable[[], object]]:
    cases = {
        f"loop in place, {part or 'all'} at a time": lambda part=part: in_place_loop(
            *arguments, part
        )
        for part in PARTS
    }

    @torch.inference_mode()
    def call(form):
        return selective_scan(*arguments, form=form)

    for form in _forms(arguments[0].device.type):
        cases[form] = lambda form=form: call(form)
    return cases


def _training_cases(arguments) -> dict[str, Callable[[], object]]:
    leaves = [t.clone().requires_grad_() for t in arguments]

    def call(form):
        y = selective_scan(*leaves, form=form)
        return torch.autograd.grad(y, leaves, torch.ones_like(y))

    return {
        form: lambda form=form: call(form) for form in _forms(leaves[0].device.type)
    }


def _check(arguments) -> float:
    """Largest error of all forms; a wrong one is not worth measuring."""
    outputs = {name: call() for name, call in _forward_cases(arguments).items()}
    expected = outputs["reference"].float()
    errors = {
        name: float((y.float() - expected).abs().max() / expected.abs().max())
        for name, y in outputs.items()
    }
    limit = MAX_ERROR[arguments[0].dtype]
    wrong = {name: error for name, error in errors.items() if not error <= limit}
    if wrong:
        raise ValueError(f"forms {wrong} must equal the reference within {limit}")
    return max(errors.values())


def _table(title: str, cases: dict[str, Callable[[], object]], options) -> str:
    calls = CALLS_OF_A_GPU if options.device == "cuda" else 1

    def repeated(call):
        def run():
            for _ in range(calls):
                call()

        return run

    samples = interleave(
        {name: repeated(call) for name, call in cases.items()},
        options.repeats,
        device=options.device,
    )
    medians = {
        name: statistics.median(case.seconds) / calls for name, case in samples.items()
    }
    # Of a forward the faster loop is the yardstick; loops in place have no gradients.
    loops = [name for name in cases if name.startswith("loop")] or ["reference"]
    yardstick = min(loops, key=medians.get)
    rows = []
    for name, call in cases.items():
        faster, processor = ratio(samples[yardstick], samples[name])
        goal, value, least = math.nan, faster, True
        if not options.quick and name == "sequential" and yardstick != "reference":
            goal = LOOP_TARGET
        if not options.quick and name == "triton":
            goal, value, least = KERNEL_TARGETS[title] * 1e3, medians[name] * 1e3, False
        target, met = verdict(value, goal, least)
        rows.append(
            [
                name,
                f"{medians[name] * 1e3:.4g}",
                f"{min(samples[name].seconds) / calls * 1e3:.4g} to "
                f"{max(samples[name].seconds) / calls * 1e3:.4g}",
                f"{faster:.2f}",
                f"{processor:.2f}",
                f"{peak_memory(call, options.device) / 1e6:.1f}",
                target + (" ms" if target and not least else ""),
                met,
            ]
        )
    header = ["form", "median ms", "range ms", "times as fast", "processor", "peak MB"]
    text = table([*header, "target", "met"], rows)
    return f"Times as fast as: {yardstick}.\n\n{text}"
