"""Triton kernels of the selective scan; imported on use, since Triton is optional.

One program takes one sequence and one block of inner channels through all steps, its
(block, P) state in registers in float32. It reads u, delta, B and C once and writes y,
so nothing of size N x S x I x P reaches memory except the states that the backward
kernel starts from, one in ``EVERY`` steps. The backward kernel walks those stretches
from the last to the first and recomputes the states inside each.

Steps count in the order of the scan: with ``REVERSE`` step 0 is the last in memory.
Past the last step a stretch reads zeros, which leave state and gradients as they are.
Rows are numbered in 64 bits, since N x S x I may exceed 32. P is padded to the power
of two ``LANES``; padded lanes read zeros and stay zero.
"""

import triton
from triton import language as tl

__all__ = ["INTERPRETED", "scan_backward", "scan_forward"]

# Triton's debugging mode, the only one that takes tensors on a CPU.
INTERPRETED = triton.knobs.runtime.interpret

_LOG2_E = tl.constexpr(1.4426950408889634)
_LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _load(pointer, offset, mask):
    return tl.load(pointer + offset, mask=mask, other=0.0)


@triton.jit
def _store(pointer, offset, value, mask):
    tl.store(pointer + offset, value.to(pointer.dtype.element_ty), mask=mask)


@triton.jit
def _advance(state, rates, u, delta, b):
    """State after a step; exp2 is one instruction, so ``rates`` are A / log 2."""
    return tl.exp2(delta[:, None] * rates) * state + (delta * u)[:, None] * b[None, :]


@triton.jit(do_not_specialize=["num_steps"])
def scan_forward(
    u_pointer,
    delta_pointer,
    A_pointer,
    B_pointer,
    C_pointer,
    D_pointer,
    y_pointer,
    states_pointer,
    num_steps,
    num_channels,
    P: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    EVERY: tl.constexpr,
    KEEP: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Scans; with ``KEEP`` stores the state before steps 0, EVERY, 2 EVERY, ...

    Grid: (N, blocks of channels). All tensors are contiguous: u, delta, y (N, S, I),
    A (I, P), B, C (N, S, P), D (I,), states (N, ceil(S / EVERY), I, P) float32.
    """
    sequence = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    lane = tl.arange(0, LANES)
    real = channel < num_channels
    used = lane < P
    tile = channel[:, None] * P + lane[None, :]
    in_tile = real[:, None] & used[None, :]
    rates = _load(A_pointer, tile, in_tile) * _LOG2_E
    skip = _load(D_pointer, channel, real)

    stride: tl.constexpr = -1 if REVERSE else 1
    row = sequence * num_steps
    if REVERSE:
        row += num_steps - 1
    if KEEP:
        states_pointer += sequence * tl.cdiv(num_steps, EVERY) * num_channels * P
    state = tl.zeros((BLOCK, LANES), tl.float32)
    u = _load(u_pointer + row * num_channels, channel, real)
    delta = _load(delta_pointer + row * num_channels, channel, real)
    b = _load(B_pointer + row * P, lane, used)
    c = _load(C_pointer + row * P, lane, used)
    for step in range(num_steps):
        # The next operands are on their way while this step is computed.
        more = step + 1 < num_steps
        after = row + stride
        next_u = _load(u_pointer + after * num_channels, channel, real & more)
        next_delta = _load(delta_pointer + after * num_channels, channel, real & more)
        next_b = _load(B_pointer + after * P, lane, used & more)
        next_c = _load(C_pointer + after * P, lane, used & more)
        if KEEP:
            if step % EVERY == 0:
                _store(states_pointer, tile, state, in_tile)
                states_pointer += num_channels * P
        x = u.to(tl.float32)
        state = _advance(state, rates, x, delta.to(tl.float32), b.to(tl.float32))
        y = tl.sum(state * c.to(tl.float32)[None, :], 1) + skip * x
        _store(y_pointer + row * num_channels, channel, y, real)
        u, delta, b, c = next_u, next_delta, next_b, next_c
        row = after


@triton.jit(do_not_specialize=["num_steps"])
def scan_backward(
    u_pointer,
    delta_pointer,
    A_pointer,
    B_pointer,
    C_pointer,
    D_pointer,
    states_pointer,
    y_grad_pointer,
    u_grad_pointer,
    delta_grad_pointer,
    A_grad_pointer,
    B_grad_pointer,
    C_grad_pointer,
    D_grad_pointer,
    num_steps,
    num_channels,
    P: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
    EVERY: tl.constexpr,
    REVERSE: tl.constexpr,
):
    """Gradients from those of y and the states that ``scan_forward`` kept.

    Programs share no output: the gradients of B and C are (N, blocks, S, P) and those
    of A (N, I, P) and D (N, I), float32, all to be summed over what the inputs lack.
    """
    sequence = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    lane = tl.arange(0, LANES)
    real = channel < num_channels
    used = lane < P
    tile = channel[:, None] * P + lane[None, :]
    in_tile = real[:, None] & used[None, :]
    rates = _load(A_pointer, tile, in_tile) * _LOG2_E
    skip = _load(D_pointer, channel, real)

    stride: tl.constexpr = -1 if REVERSE else 1
    first_row = sequence * num_steps
    first_partial = (sequence * tl.num_programs(1) + block) * num_steps
    if REVERSE:
        first_row += num_steps - 1
        first_partial += num_steps - 1
    num_stretches = tl.cdiv(num_steps, EVERY)
    state_grad = tl.zeros((BLOCK, LANES), tl.float32)
    A_grad = tl.zeros((BLOCK, LANES), tl.float32)
    D_grad = tl.zeros((BLOCK,), tl.float32)
    for index in range(num_stretches):
        stretch = num_stretches - 1 - index
        place = (sequence * num_stretches + stretch) * num_channels * P
        state = _load(states_pointer + place, tile, in_tile)
        before, xs, deltas, bs = (), (), (), ()
        for k in tl.static_range(EVERY):
            step = stretch * EVERY + k
            row = first_row + step * stride
            wide, slim = row * num_channels, row * P
            is_real, is_used = real & (step < num_steps), used & (step < num_steps)
            x = _load(u_pointer + wide, channel, is_real).to(tl.float32)
            delta = _load(delta_pointer + wide, channel, is_real).to(tl.float32)
            b = _load(B_pointer + slim, lane, is_used).to(tl.float32)
            before += (state,)
            xs += (x,)
            deltas += (delta,)
            bs += (b,)
            state = _advance(state, rates, x, delta, b)
        for k in tl.static_range(EVERY - 1, -1, -1):
            step = stretch * EVERY + k
            row = first_row + step * stride
            partial = (first_partial + step * stride) * P
            wide, slim = row * num_channels, row * P
            is_real, is_used = real & (step < num_steps), used & (step < num_steps)
            y_grad = _load(y_grad_pointer + wide, channel, is_real).to(tl.float32)
            c = _load(C_pointer + slim, lane, is_used).to(tl.float32)
            x, delta, b = xs[k], deltas[k], bs[k]
            C_grad = tl.sum(state * y_grad[:, None], 0)
            _store(C_grad_pointer + partial, lane, C_grad, is_used)
            state_grad += y_grad[:, None] * c[None, :]
            B_grad = tl.sum(state_grad * (delta * x)[:, None], 0)
            _store(B_grad_pointer + partial, lane, B_grad, is_used)
            input_grad = tl.sum(state_grad * b[None, :], 1)
            state = before[k]
            state_grad *= tl.exp2(delta[:, None] * rates)
            exponent_grad = state_grad * state
            A_grad += exponent_grad * delta[:, None]
            D_grad += y_grad * x
            u_grad = input_grad * delta + skip * y_grad
            _store(u_grad_pointer + wide, channel, u_grad, is_real)
            delta_grad = tl.sum(exponent_grad * rates, 1) * _LN_2 + input_grad * x
            _store(delta_grad_pointer + wide, channel, delta_grad, is_real)
    _store(A_grad_pointer + sequence * num_channels * P, tile, A_grad, in_tile)
    _store(D_grad_pointer + sequence * num_channels, channel, D_grad, real)
