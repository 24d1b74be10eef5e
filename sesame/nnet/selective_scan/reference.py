"""Selective scan as it is defined: one step, and a differentiable loop over the steps.

The other forms of the scan must equal this one.
"""

import torch

__all__ = ["scan_reference", "selective_scan_step"]


def selective_scan_step(
    state: torch.Tensor,
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advances the state by one step and reads it; for streaming use.

    Shape: state (N, I, P), u (N, I), delta (N, I), A (I, P), B (N, P), C (N, P),
    D (I,) -> y (N, I), state (N, I, P).
    Source: arXiv:2312.00752, algorithm 2 with the simplified discretisation of B.

    Arguments
    ---------
    state : torch.Tensor
        State after the previous step, zeros before the first; float32, or float64.
    u : torch.Tensor
        Inner channels.
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

    Returns
    -------
    tuple[torch.Tensor, torch.Tensor]
        y in the type of ``u``, and the new state in the type of the old.

    Example
    -------
    >>> ones, A = torch.ones(1, 2), -torch.ones(2, 3)
    >>> B = C = torch.ones(1, 3)
    >>> state = torch.zeros(1, 2, 3)
    >>> selective_scan_step(state, ones, ones, A, B, C, torch.zeros(2))[0]
    tensor([[3., 3.]])
    """
    x, delta, A, B, C, D = (x.to(state.dtype) for x in (u, delta, A, B, C, D))
    decay = torch.exp(delta.unsqueeze(2) * A)
    state = decay * state + (delta * x).unsqueeze(2) * B.unsqueeze(1)
    y = (state * C.unsqueeze(1)).sum(2) + D * x
    return y.to(u.dtype), state


def scan_reference(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    reverse: bool = False,
) -> torch.Tensor:
    """Runs the scan step by step under autograd.

    The state is kept in float32, or in float64 if ``u`` is.

    Shape: u (N, S, I), delta (N, S, I), A (I, P), B (N, S, P), C (N, S, P), D (I,)
    -> (N, S, I).
    Source: arXiv:2312.00752, algorithm 2 with the simplified discretisation of B.

    Arguments
    ---------
    u : torch.Tensor
        Inner channels.
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

    Example
    -------
    >>> ones, A = torch.ones(1, 2, 1), -torch.ones(1, 1)
    >>> scan_reference(ones, ones, A, ones, ones, torch.zeros(1)).flatten()
    tensor([1.0000, 1.3679])
    """
    num_sequences, num_steps, _ = u.shape
    dtype = torch.promote_types(u.dtype, torch.float32)
    state = torch.zeros(num_sequences, *A.shape, dtype=dtype, device=u.device)
    # One unbind, since every x[:, t] would write a gradient of the size of x.
    u_steps, delta_steps, B_steps, C_steps = (x.unbind(1) for x in (u, delta, B, C))
    outputs = [u] * num_steps
    for t in reversed(range(num_steps)) if reverse else range(num_steps):
        outputs[t], state = selective_scan_step(
            state, u_steps[t], delta_steps[t], A, B_steps[t], C_steps[t], D
        )
    return torch.stack(outputs, 1)
