"""Selective scan on a GPU: one kernel forward, one backward."""

import torch
from torch.autograd.function import once_differentiable

__all__ = ["scan_triton"]

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# States of a program, 16 in each thread of one warp.
_BLOCK_STATES = 512
# Steps between stored states: as many as the backward kernel holds in registers.
_EVERY = 4


def scan_triton(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    reverse: bool = False,
) -> torch.Tensor:
    """Runs the scan in one Triton kernel, with its own gradients.

    The state stays in registers, in float32. Where a gradient is needed, one state in
    four steps is stored and the others are recomputed; the same inputs give the same
    gradients, bit for bit.

    Shape: u (N, S, I), delta (N, S, I), A (I, P), B (N, S, P), C (N, S, P), D (I,)
    -> (N, S, I).
    Source: arXiv:2312.00752, algorithm 2 and section 3.3.2.

    Arguments
    ---------
    u : torch.Tensor
        Inner channels; float32, bfloat16 or float16, as all others.
    delta : torch.Tensor
        Step sizes, > 0.
    A : torch.Tensor
        Decay rates, < 0.
    B : torch.Tensor
        Weights of the input.
    C : torch.Tensor
        Weights of the output.
    D : torch.Tensor
        Weights of the path around the state.
    reverse : bool
        From the last step to the first.

    Returns
    -------
    torch.Tensor
        y in the type of ``u``.

    Raises
    ------
    ValueError
        If a tensor has another type, or is on a CPU.
    ImportError
        If Triton is not installed.

    Example
    -------
    >>> u = torch.ones(1, 2, 1, dtype=torch.float64)
    >>> scan_triton(u, u, -torch.ones(1, 1), u, u, torch.ones(1))
    Traceback (most recent call last):
    ValueError: u (torch.float64) must be float32, ... or take form='sequential'
    """
    tensors = {"u": u, "delta": delta, "A": A, "B": B, "C": C, "D": D}
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise ValueError(
                f"{name} ({tensor.dtype}) must be float32, bfloat16 or float16, "
                "or take form='sequential'"
            )
    tensors = u, delta, A.float(), B, C, D.float()
    tensors = [tensor.contiguous() for tensor in tensors]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return _Scan.apply(*tensors, reverse)
    return _forward(*tensors, reverse, keep=False)[0]


class _Scan(torch.autograd.Function):
    """The scan of contiguous tensors, A and D in float32."""

    @staticmethod
    def forward(ctx, u, delta, A, B, C, D, reverse):
        y, states = _forward(u, delta, A, B, C, D, reverse, keep=True)
        ctx.save_for_backward(u, delta, A, B, C, D, states)
        ctx.reverse = reverse
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, y_grad):
        return *_backward(*ctx.saved_tensors, y_grad.contiguous(), ctx.reverse), None


def _forward(u, delta, A, B, C, D, reverse, keep):
    """y, and the states before every fourth step if they are to be kept."""
    kernels = _kernels()
    if u.device.type == "cpu" and not kernels.INTERPRETED:
        raise ValueError("u (cpu) must be on a GPU, or take form='sequential'")
    num_sequences, num_steps, num_channels = u.shape
    y = torch.empty_like(u)
    states = None
    if keep:
        num_states = -(-num_steps // _EVERY)
        states = A.new_empty(num_sequences, num_states, *A.shape)
    grid, constants = _geometry(u, A)
    with torch.cuda.device_of(u):
        kernels.scan_forward[grid](
            *(u, delta, A, B, C, D, y, states, num_steps, num_channels),
            **constants,
            KEEP=keep,
            REVERSE=reverse,
            num_warps=1,
        )
    return y, states


def _backward(u, delta, A, B, C, D, states, y_grad, reverse):
    """Gradients of the six inputs; partial sums are completed in a fixed order."""
    num_sequences, num_steps, num_channels = u.shape
    grid, constants = _geometry(u, A)
    u_grad, delta_grad = torch.empty_like(u), torch.empty_like(delta)
    A_grads = A.new_empty(num_sequences, *A.shape)
    D_grads = A.new_empty(num_sequences, num_channels)
    B_grads, C_grads = A.new_empty(2, *grid, num_steps, A.shape[1]).unbind()
    with torch.cuda.device_of(u):
        _kernels().scan_backward[grid](
            *(u, delta, A, B, C, D, states, y_grad),
            *(u_grad, delta_grad, A_grads, B_grads, C_grads, D_grads),
            *(num_steps, num_channels),
            **constants,
            REVERSE=reverse,
            num_warps=1,
        )
    B_grad, C_grad = B_grads.sum(1).to(B.dtype), C_grads.sum(1).to(C.dtype)
    return u_grad, delta_grad, A_grads.sum(0), B_grad, C_grad, D_grads.sum(0)


def _kernels():
    try:
        from sesame.nnet.selective_scan import triton_kernels
    except ImportError as error:
        raise ImportError(
            "form='triton' needs that package: pip install triton, "
            "or take form='sequential'"
        ) from error
    return triton_kernels


def _geometry(u, A):
    """The grid of programs, and what both kernels are compiled for."""
    num_channels, state_size = A.shape
    lanes = _power_of_two(state_size)
    block = min(max(1, _BLOCK_STATES // lanes), _power_of_two(num_channels))
    grid = (u.shape[0], -(-num_channels // block))
    return grid, {"P": state_size, "LANES": lanes, "BLOCK": block, "EVERY": _EVERY}


def _power_of_two(number):
    """The least power of two that is no smaller."""
    return 1 << (number - 1).bit_length()
