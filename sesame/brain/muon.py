"""Muon: steps of matrices with all directions equally long."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

__all__ = ["Muon"]

# Newton-Schulz iteration towards the orthogonal factor of a matrix, and its length; the
# spread of singular values that these coefficients leave, 0.7 to 1.2, does no harm.
_COEFFICIENTS = (3.4445, -4.775, 2.0315)
_ITERATIONS = 5
# Root mean square of AdamW's steps in units of its learning rate (arXiv:2502.16982).
_ADAMW_RMS = 0.2


class Muon(torch.optim.AdamW):
    """Muon for matrices, also those stacked over experts or bands; AdamW for the rest.

    The momentum of each matrix is replaced by the nearest orthogonal matrix, at the
    root mean square that AdamW's steps have, so that one learning rate serves both.
    torch.optim.Muon is the same for one matrix and refuses stacks and vectors.

    Source: arXiv:2502.16982, section 2.2 (RMS matching); torch.optim.Muon.

    Arguments
    ---------
    params : Iterable
        Parameters, or groups of them. A group with ``matrices`` False goes to AdamW as
        a whole (see ``weight_decay_groups``); in the others, what has fewer than two
        axes does. The last two axes of a parameter are those of its matrices.
    lr : float
        Learning rate.
    momentum : float
        Weight of the past in the momentum of matrices, in [0, 1).
    betas : tuple[float, float]
        AdamW's, for the rest.
    eps : float
        AdamW's.
    weight_decay : float
        Part of a weight that decays per step, in units of the learning rate.

    Raises
    ------
    ValueError
        If a value is out of range.

    Example
    -------
    >>> net = torch.nn.Linear(3, 4)
    >>> optimizer = Muon(net.parameters(), lr=0.1, weight_decay=0.0)
    >>> net(torch.randn(8, 3)).square().sum().backward()
    >>> before = net.weight.detach().clone()
    >>> _ = optimizer.step()
    >>> (net.weight - before).square().mean().sqrt().item() < 0.1
    True
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum ({momentum}) must be in [0, 1)")
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
        for group in self.param_groups:
            group.setdefault("matrices", True)
            group.setdefault("momentum", momentum)

    @torch.no_grad()
    def step(self, closure: Callable | None = None) -> Tensor | None:
        """Takes one step.

        Arguments
        ---------
        closure : Callable | None
            Evaluates the loss again, with gradients.

        Returns
        -------
        Tensor | None
            What ``closure`` returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = {}
        for group in self.param_groups:
            # Stacks of one shape together: most of the time is that of the calls.
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"] if group["matrices"] else ():
                if parameter.ndim >= 2 and parameter.grad is not None:
                    gradients[parameter] = parameter.grad
                    shapes.setdefault(parameter.shape[-2:], []).append(parameter)
            for parameters in shapes.values():
                self._step_matrices(parameters, group)
        # AdamW leaves alone what has no gradient.
        for parameter in gradients:
            parameter.grad = None
        super().step()
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        return loss

    def _step_matrices(self, parameters, group):
        """One step of parameters whose matrices have one shape."""
        directions = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
                state["step"] = torch.zeros(())  # AdamW looks for it in checkpoints
            state["step"] += 1
            momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
            nesterov = parameter.grad.lerp(momentum, group["momentum"])
            directions.append(
                nesterov.flatten(0, -3) if nesterov.ndim > 2 else nesterov[None]
            )
        rows, columns = parameters[0].shape[-2:]
        scale = group["lr"] * _ADAMW_RMS * max(rows, columns) ** 0.5
        steps = _orthogonal(torch.cat(directions)).split([len(d) for d in directions])
        for parameter, step in zip(parameters, steps, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(step.view_as(parameter), alpha=scale)


def _orthogonal(matrices):
    """Nearest orthogonal matrices (N, R, C), about; bfloat16 inside."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(
            x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a
        )
    return (x.mT if tall else x).to(matrices.dtype)
