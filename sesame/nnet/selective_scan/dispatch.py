"""Selective scan in the form that suits the device."""

from importlib.util import find_spec

import torch
from einops import rearrange

from sesame.nnet.selective_scan.reference import scan_reference
from sesame.nnet.selective_scan.sequential import scan_sequential

__all__ = ["selective_scan"]

_FORMS = ("reference", "sequential", "triton", "mamba_ssm")


def selective_scan(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    reverse: bool = False,
    form: str | None = None,
) -> torch.Tensor:
    """Runs a linear recurrence whose coefficients depend on the step.

    ``h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t`` from ``h = 0``, and
    ``y_t = C_t h_t + D u_t``. The state is kept in float32, or in float64 if ``u`` is.

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
        From the last step to the first: the flipped scan of the flipped sequences.
    form : str | None
        "reference" (autograd through a loop), "sequential" (the loop with its own
        gradients, for any device), "triton" (a CUDA kernel) or "mamba_ssm" (that
        package's kernel). ``None`` is "triton" for CUDA tensors where Triton is
        installed, except in float64, and "sequential" elsewhere. A program that is
        being compiled calls the scan as it is; a traced program calls it as the
        operator ``sesame::selective_scan`` and has no gradients.

    Returns
    -------
    torch.Tensor
        y in the type of ``u``.

    Raises
    ------
    ValueError
        If a shape contradicts the others, there is no step, or the form is unknown.
    ImportError
        If the form is "mamba_ssm" and that package is absent.

    Example
    -------
    >>> u, delta, B, C = torch.ones(4, 2, 5, 3).unbind()
    >>> selective_scan(u, delta, -torch.ones(3, 3), B, C, torch.ones(3)).shape
    torch.Size([2, 5, 3])
    """
    if torch.jit.is_tracing():
        # It would keep the number of steps, and the result of the checks, for ever.
        return _scan_traced(u, delta, A, B, C, D, reverse, form)
    return _scan(u, delta, A, B, C, D, reverse, form)


# A compiler would write the loop over the steps out, hundreds of copies of it.
@torch.compiler.disable
def _scan(u, delta, A, B, C, D, reverse, form):
    _check(u, delta, A, B, C, D)
    if form is None:
        form = _choose(u)
    if form == "reference":
        return scan_reference(u, delta, A, B, C, D, reverse)
    if form == "sequential":
        return scan_sequential(u, delta, A, B, C, D, reverse)
    if form == "triton":
        from sesame.nnet.selective_scan.triton_scan import scan_triton

        return scan_triton(u, delta, A, B, C, D, reverse)
    if form == "mamba_ssm":
        return _scan_mamba_ssm(u, delta, A, B, C, D, reverse)
    raise ValueError(f"form ({form!r}) must be None or one of {_FORMS}")


@torch.library.custom_op("sesame::selective_scan", mutates_args=())
def _scan_traced(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    reverse: bool,
    form: str | None,
) -> torch.Tensor:
    return selective_scan(u, delta, A, B, C, D, reverse, form)


def _check(u, delta, A, B, C, D):
    if u.dim() != 3 or u.shape[1] < 1:
        raise ValueError(f"u {tuple(u.shape)} must be (N, S, I) with S >= 1")
    num_sequences, num_steps, channels = u.shape
    if A.dim() != 2:
        raise ValueError(f"A {tuple(A.shape)} must be (I, P)")
    weights = (num_sequences, num_steps, A.shape[1])
    rules = {
        "delta": (delta, u.shape),
        "A": (A, (channels, A.shape[1])),
        "B": (B, weights),
        "C": (C, weights),
        "D": (D, (channels,)),
    }
    for name, (value, shape) in rules.items():
        if value.shape != shape:
            raise ValueError(
                f"{name} {tuple(value.shape)} must be {tuple(shape)} "
                f"beside u {tuple(u.shape)} and A {tuple(A.shape)}"
            )


def _choose(u):
    narrow = u.dtype != torch.float64
    if u.is_cuda and narrow and find_spec("triton") is not None:
        return "triton"
    return "sequential"


def _scan_mamba_ssm(u, delta, A, B, C, D, reverse):
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError as error:
        raise ImportError(
            "form='mamba_ssm' needs that package: pip install mamba-ssm, "
            "or leave form=None for the forms that need no package"
        ) from error
    u, delta, B, C = (rearrange(x, "n s c -> n c s") for x in (u, delta, B, C))
    if reverse:
        u, delta, B, C = (x.flip(2) for x in (u, delta, B, C))
    y = selective_scan_fn(u, delta, A.float(), B, C, D.float())
    if reverse:
        y = y.flip(2)
    return rearrange(y, "n c s -> n s c")
