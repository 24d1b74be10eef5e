"""Selective scan in plain torch: one operator per step, and gradients of its own.

Whatever does not depend on the step before (decays, inputs, readings) is computed for a
run of steps of a few sequences at once, in reused memory that fits a cache. Training
stores the state before each run; the gradients recompute the states within it.
"""

import math

import torch
from torch.autograd.function import once_differentiable

__all__ = ["scan_sequential"]

_RUN_STEPS = 16
# Bytes of the states of one run of some sequences. A CPU wants them in its cache, other
# devices want as many sequences as there are.
_CPU_BYTES = 2**21
_DEVICE_BYTES = 2**27


def scan_sequential(
    u: torch.Tensor,
    delta: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor,
    reverse: bool = False,
) -> torch.Tensor:
    """Runs the scan over the steps of a few sequences at a time.

    The state is kept in float32, or in float64 if ``u`` is. Not differentiable twice.

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
    >>> scan_sequential(ones, ones, A, ones, ones, torch.zeros(1)).flatten()
    tensor([1.0000, 1.3679])
    """
    inputs = (u, delta, A, B, C, D)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Scan.apply(*inputs, reverse)
    return _forward(*inputs, reverse)[0]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u, delta, A, B, C, D, reverse):
        y, entries = _forward(u, delta, A, B, C, D, reverse, keep_entries=True)
        ctx.save_for_backward(u, delta, A, B, C, D, entries)
        ctx.reverse = reverse
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, y_grad):
        need_A_grad = ctx.needs_input_grad[2]
        return *_backward(y_grad, *ctx.saved_tensors, ctx.reverse, need_A_grad), None


class _Run:
    """Room for the states of some steps and for as many other values, used again.

    There is one state more than steps, so that each step finds the one before it. They
    lie in the order of time, whichever way the recurrence runs. ``spare`` holds the
    decays of the steps until they are no longer needed.
    """

    def __init__(self, rates, sequences, reverse):
        num_steps, num_sequences, _ = sequences.shape
        num_states = min(num_steps, _RUN_STEPS) + 1
        self.states = rates.new_empty(num_states, num_sequences, *rates.shape)
        self.spare = torch.empty_like(self.states[1:])
        self.reverse = reverse
        self._states = self.states.unbind()
        self._decays = self.spare.unbind()

    def entry(self, num_steps):
        return self._states[num_steps if self.reverse else 0]

    def exit(self, num_steps):
        return self._states[0 if self.reverse else num_steps]

    def before(self, num_steps):
        first = 1 if self.reverse else 0
        return self.states[first : first + num_steps]

    def after(self, num_steps):
        first = 0 if self.reverse else 1
        return self.states[first : first + num_steps]

    def fill(self, rates, delta, x, B):
        """Computes the decays of some steps and, from the entry, their states."""
        num_steps = len(x)
        decays = self.spare[:num_steps]
        # exp takes four times as long where the library behind it does not know the
        # processor; exp2 does not use that library.
        torch.mul(delta.unsqueeze(2), rates * math.log2(math.e), out=decays).exp2_()
        torch.mul(B.unsqueeze(3), x.unsqueeze(2), out=self.after(num_steps))
        self.walk(self, num_steps)

    def walk(self, run, num_steps):
        """Adds to the input of each step, in place, the decayed state before it."""
        states, decays = self._states, run._decays
        if self.reverse:
            for t in reversed(range(num_steps)):
                states[t].addcmul_(states[t + 1], decays[t])
        else:
            for t in range(num_steps):
                states[t + 1].addcmul_(states[t], decays[t])


def _forward(u, delta, A, B, C, D, reverse, keep_entries=False):
    rates, D = _parameters(u, A, D)
    runs = _runs(u, reverse)
    entries = rates.new_empty(len(runs) if keep_entries else 0, len(u), *rates.shape)
    y = u.new_empty(u.shape)
    for part in _parts(u, rates):
        u_part, delta_part, B_part, C_part = _steps_first(part, rates, u, delta, B, C)
        y_part = y[part].transpose(0, 1)
        run = _Run(rates, u_part, reverse)
        state = torch.zeros_like(run.spare[0])
        for number, steps in enumerate(runs):
            u_run, delta_run = u_part[steps], delta_part[steps]
            num_steps = len(u_run)
            run.entry(num_steps).copy_(state)
            if keep_entries:
                entries[number, part] = state
            x = delta_run * u_run
            run.fill(rates, delta_run, x, B_part[steps])
            read = _mix(C_part[steps], run.after(num_steps))
            y_part[steps] = read.addcmul_(D, u_run)
            state = run.exit(num_steps)
    return y, entries


def _backward(y_grad, u, delta, A, B, C, D, entries, reverse, need_A_grad):
    rates, D = _parameters(u, A, D)
    runs = list(enumerate(_runs(u, reverse)))[::-1]
    inputs = (u, delta, B, C)
    grads = [x.new_empty(x.shape) for x in inputs]
    rates_grad, D_grad = torch.zeros_like(rates), torch.zeros_like(D)
    for part in _parts(u, rates):
        *inputs_part, y_grad_part = _steps_first(part, rates, *inputs, y_grad)
        grads_part = [grad[part].transpose(0, 1) for grad in grads]
        states = _Run(rates, y_grad_part, reverse)
        # The gradient of a state, times the decay of its step, obeys the same
        # recurrence from the other end.
        adjoints = _Run(rates, y_grad_part, not reverse)
        rates_products = adjoints.spare.zero_()
        adjoint = torch.zeros_like(states.spare[0])
        for number, steps in runs:
            u_run, delta_run, B_run, C_run = (x[steps] for x in inputs_part)
            y_grad_run = y_grad_part[steps]
            num_steps = len(u_run)
            states.entry(num_steps).copy_(entries[number, part])
            adjoints.entry(num_steps).copy_(adjoint)
            before, after = adjoints.before(num_steps), adjoints.after(num_steps)

            x = delta_run * u_run
            states.fill(rates, delta_run, x, B_run)
            torch.mul(states.after(num_steps), y_grad_run.unsqueeze(2), out=after)
            C_grad = after.sum(3)
            torch.mul(C_run.unsqueeze(3), y_grad_run.unsqueeze(2), out=after)
            product = states.spare[:num_steps]
            after.mul_(product)
            adjoints.walk(states, num_steps)

            # The gradient of a state is the adjoint before it plus C * y_grad.
            torch.mul(before, x.unsqueeze(2), out=product)
            B_grad = product.sum(3).addcmul_(C_run, (x * y_grad_run).sum(2, True))
            x_grad = _mix(B_run, before)
            x_grad.addcmul_((B_run * C_run).sum(2, True), y_grad_run)

            # Gradient of the exponents delta * A.
            torch.mul(after, states.before(num_steps), out=product)
            if need_A_grad:
                rates_products[:num_steps].addcmul_(product, delta_run.unsqueeze(2))
            delta_grad = product.mul_(rates).sum(2).addcmul_(x_grad, u_run)
            u_grad = x_grad.mul_(delta_run).addcmul_(D, y_grad_run)
            run_grads = (u_grad, delta_grad, B_grad, C_grad)
            for grad_part, grad in zip(grads_part, run_grads, strict=True):
                grad_part[steps] = grad
            D_grad += (u_run * y_grad_run).sum((0, 1))
            adjoint = adjoints.exit(num_steps)
        rates_grad += rates_products.sum((0, 1))
    u_grad, delta_grad, B_grad, C_grad = grads
    return u_grad, delta_grad, rates_grad.t(), B_grad, C_grad, D_grad


def _parameters(u, A, D):
    """A with the channels innermost, and D, in the type of the state."""
    dtype = torch.promote_types(u.dtype, torch.float32)
    return A.to(dtype).t().contiguous(), D.to(dtype)


def _runs(u, reverse):
    """Runs of steps in the order of the recurrence."""
    runs = [slice(t, t + _RUN_STEPS) for t in range(0, u.shape[1], _RUN_STEPS)]
    return runs[::-1] if reverse else runs


def _parts(u, rates):
    """Parts of the batch whose states of one run fit the budget."""
    run_bytes = min(_RUN_STEPS, u.shape[1]) * rates.numel() * rates.element_size()
    budget = _CPU_BYTES if u.device.type == "cpu" else _DEVICE_BYTES
    num_parts = -(-len(u) // max(budget // max(run_bytes, 1), 1))
    size = -(-len(u) // max(num_parts, 1))
    return [slice(n, n + size) for n in range(0, len(u), size or 1)]


def _steps_first(part, rates, *sequences):
    """Parts of sequences as (S, n, C) in the type of the state, channels innermost."""
    for x in sequences:
        x = x[part].transpose(0, 1).to(rates.dtype)
        yield x if x.stride(2) == 1 else x.contiguous()


def _mix(weights, states):
    """Sums states over P: (S, n, P) and (S, n, P, I) -> (S, n, I)."""
    mixed = states.new_empty(states.shape[0] * states.shape[1], 1, states.shape[3])
    # With out=, autocast leaves the product in the type of the states.
    torch.bmm(weights.flatten(0, 1).unsqueeze(1), states.flatten(0, 1), out=mixed)
    return mixed.view(*states.shape[:2], -1)
