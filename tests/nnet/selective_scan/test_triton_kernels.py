"""The kernels keep to their buffers, and compile for GPUs also where there is none.

Run as a program, this file prints what the interpreted kernels did as JSON.
"""

import json
import os
import re
import subprocess
from importlib.util import find_spec

import pytest
import torch

from sesame.nnet.selective_scan.reference import selective_scan_step
from sesame.nnet.selective_scan.triton_scan import _geometry

# Neither the blocks of channels nor the lanes nor the stretches of steps are full.
N, S, I, P = 2, 6, 3, 3  # noqa: E741
GRID = (N, 2)
CONSTANTS = {"P": P, "LANES": 4, "BLOCK": 2, "EVERY": 4}
INPUTS = {"u": (N, S, I), "delta": (N, S, I), "A": (I, P)}
INPUTS |= {"B": (N, S, P), "C": (N, S, P), "D": (I,)}
GRADIENTS = {"u": (N, S, I), "delta": (N, S, I), "A": (N, I, P)}
GRADIENTS |= {"B": (N, 2, S, P), "C": (N, 2, S, P), "D": (N, I)}
MARGIN = 64


class _Buffers:
    """Tensors amid NaN, which whoever reads too far returns and who writes deletes."""

    def __init__(self):
        self.whole = []

    def new(self, shape):
        size = torch.Size(shape).numel()
        self.whole.append(torch.full((size + 2 * MARGIN,), torch.nan))
        return self.whole[-1][MARGIN:-MARGIN].view(shape)

    def margins_are_intact(self):
        margins = [torch.cat([x[:MARGIN], x[-MARGIN:]]) for x in self.whole]
        return torch.stack(margins).isnan().all().item()


def _expected_states(u, delta, A, B, C, D, reverse):
    """States before steps 0 and 4."""
    order = range(S)[::-1] if reverse else range(S)
    states = [torch.zeros(N, I, P)]
    for t in order:
        step = (x[:, t] for x in (u, delta))
        read = (x[:, t] for x in (B, C))
        states.append(selective_scan_step(states[-1], *step, A, *read, D)[1])
    return torch.stack([states[0], states[4]], 1)


def _run(reverse):
    from sesame.nnet.selective_scan import triton_kernels

    buffers = _Buffers()
    inputs = [buffers.new(shape).copy_(torch.rand(shape)) for shape in INPUTS.values()]
    inputs[2].neg_()
    y, states = buffers.new((N, S, I)), buffers.new((N, 2, I, P))
    y_grad = buffers.new((N, S, I)).fill_(1.0)
    gradients = [buffers.new(shape) for shape in GRADIENTS.values()]
    sizes, constants = (S, I), {**CONSTANTS, "REVERSE": reverse}
    triton_kernels.scan_forward[GRID](
        *inputs, y, states, *sizes, **constants, KEEP=True
    )
    triton_kernels.scan_backward[GRID](
        *inputs, states, y_grad, *gradients, *sizes, **constants
    )
    expected = _expected_states(*inputs, reverse)
    written = [y, states, *gradients]
    return {
        "margins are intact": buffers.margins_are_intact(),
        "every entry is written": all(x.isfinite().all().item() for x in written),
        "states are those before steps 0 and 4": torch.allclose(states, expected),
    }


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_kernels_fill_their_outputs_and_touch_nothing_else(interpreted, direction):
    laws = interpreted[direction]
    assert len(laws) == 3
    assert not [law for law, holds in laws.items() if not holds]


def _compile(kernel, dtype, capability, num_warps):
    """Machine code of a kernel as ``scan_triton`` launches it for (N, S, 256), P 16."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    _, constants = _geometry(torch.empty(1, 1, 256), torch.empty(256, 16))
    constants |= {"REVERSE": True, "KEEP": True}
    constants = {n: constants[n] for n in kernel.arg_names if n in constants}
    signature, attributes = {}, {}
    for index, name in enumerate(kernel.arg_names):
        of_inputs = name.split("_")[0] in {"u", "delta", "B", "C", "y"}
        partial = name in {"B_grad_pointer", "C_grad_pointer"}
        if name in constants:
            signature[name] = "constexpr"
        elif name.endswith("_pointer"):
            signature[name] = f"*{dtype}" if of_inputs and not partial else "*fp32"
        else:
            signature[name] = "i32"
        if signature[name] != "constexpr" and name != "num_steps":
            attributes[index,] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    target = GPUTarget("cuda", capability, 32)
    return compile(source, target=target, options={"num_warps": num_warps})


@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
@pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="needs Triton's compiler")
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_kernels_compile_and_hold_their_states_in_registers(
    tmp_path, monkeypatch, dtype, capability
):
    # A stretch has four states of 64 bytes in each thread: fewer bytes may spill.
    from triton import knobs

    from sesame.nnet.selective_scan import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    binary = tmp_path / "kernel.cubin"
    for kernel in (triton_kernels.scan_forward, triton_kernels.scan_backward):
        compiled = _compile(kernel, dtype, capability, num_warps=1)
        binary.write_bytes(compiled.asm["cubin"])
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", binary]
        usage = subprocess.run(command, capture_output=True, text=True, check=True)
        spilled = int(re.search(r"STACK:(\d+) ", usage.stdout)[1])
        assert spilled < 4 * 64


def _main():
    torch.manual_seed(0)
    print(json.dumps({"forward": _run(False), "reverse": _run(True)}))


if __name__ == "__main__":
    _main()
