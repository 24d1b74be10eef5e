"""Token-choice routing with a balancing bias and a noise context."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from einops import rearrange
from torch import nn

__all__ = ["Routing", "TopKRouter"]


class Routing(NamedTuple):
    """Decisions of a router for all tokens of a layer, in the order (n s).

    Shape: expert_ids (N, K) int64, best first; weights (N, K), with sum 1 unless the
    router keeps probabilities; logits (N, E) without the balancing bias, float32,
    differentiable; load (E,) float32, token assignments per expert with sum N * K, no
    gradient.

    Example
    -------
    >>> routing = TopKRouter(channels=8, num_experts=4, top_k=2)(torch.randn(1, 5, 8))
    >>> routing.load.sum()
    tensor(10.)
    """

    expert_ids: torch.Tensor
    weights: torch.Tensor
    logits: torch.Tensor
    load: torch.Tensor


class TopKRouter(nn.Module):
    """Sends each token to its ``top_k`` best experts.

    Scores are a softmax over ``W x + U n``, with the token x and the noise context n.
    A balancing bias is added to the scores for the choice of experts only; it never
    changes their weights, which are the scores of the chosen, renormalised. A router
    of ``top_k`` 1 learns from its weights only where they are not renormalised.

    Shape: x (N, S, C), context (M, S', D) -> Routing over N * S tokens.
    Source: bias for the choice only, arXiv:2408.15664 and DeepSeek-V3
    (arXiv:2412.19437, section 2.1.2).

    Arguments
    ---------
    channels : int
        Width C of a token.
    num_experts : int
        Number of experts E, at least 1.
    top_k : int
        Number K of experts per token, in [1, num_experts].
    context_dim : int
        Width D of the noise context; 0 routes by the token alone.
    renormalize : bool
        False keeps the scores of the chosen as their weights.

    Raises
    ------
    ValueError
        If ``num_experts``, ``top_k`` or ``context_dim`` is out of range.

    Example
    -------
    >>> router = TopKRouter(channels=8, num_experts=4, top_k=2, context_dim=3)
    >>> routing = router(torch.randn(6, 5, 8), torch.randn(2, 5, 3))
    >>> routing.weights.shape, routing.logits.shape
    (torch.Size([30, 2]), torch.Size([30, 4]))
    """

    expert_bias: torch.Tensor

    def __init__(
        self,
        channels: int,
        num_experts: int,
        top_k: int,
        context_dim: int = 0,
        renormalize: bool = True,
    ):
        super().__init__()
        if num_experts < 1:
            raise ValueError(f"num_experts ({num_experts}) must be at least 1")
        if not 1 <= top_k <= num_experts:
            raise ValueError(
                f"top_k ({top_k}) must be in [1, num_experts ({num_experts})]"
            )
        if context_dim < 0:
            raise ValueError(f"context_dim ({context_dim}) must not be negative")
        self.num_experts = num_experts
        self.top_k = top_k
        self.context_dim = context_dim
        self.renormalize = renormalize
        self.token_projection = nn.Linear(channels, num_experts, bias=False)
        if context_dim:
            self.context_projection = nn.Linear(context_dim, num_experts, bias=False)
        self.register_buffer("expert_bias", torch.zeros(num_experts))

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> Routing:
        """Routes every token.

        Arguments
        ---------
        x : torch.Tensor
            Tokens (N, S, C).
        context : torch.Tensor | None
            Noise context (M, S', D): M divides N, each run of N / M consecutive
            sequences shares one; S' is S or 1. Required if ``context_dim`` is
            positive, not used if it is 0.

        Returns
        -------
        Routing
            Choice, weights, logits and load of the N * S tokens.

        Raises
        ------
        ValueError
            If the context is missing or its shape does not fit.
        """
        if self.context_dim:
            if context is None:
                raise ValueError(f"context_dim ({self.context_dim}) needs a context")
            runs, steps, width = context.shape
            if (
                x.shape[0] % runs
                or steps not in (1, x.shape[1])
                or width != self.context_dim
            ):
                raise ValueError(
                    f"context {tuple(context.shape)} must be (a divisor of "
                    f"{x.shape[0]}, {x.shape[1]} or 1, {self.context_dim})"
                )
        # Differences smaller than bfloat16 resolves decide between experts.
        with _without_autocast(x.device.type):
            # (E, N * S): a CPU takes a softmax over 8 rows as vectors of tokens; over
            # 8 columns it is an order slower.
            logits = self._logits(x, context)
            scores = logits.detach() if self.renormalize else logits
            scores = scores.softmax(0)
            expert_ids = self._choose(scores.detach())
            # The softmax of the chosen logits is the renormalised softmax of all,
            # without the division that underflow could turn into 0 / 0.
            if self.renormalize:
                weights = logits.gather(0, expert_ids).softmax(0)
            else:
                weights = scores.gather(0, expert_ids)
        load = _count(expert_ids, self.num_experts)
        return Routing(expert_ids.t(), weights.t(), logits.t(), load)

    def _logits(self, x, context):
        dtype = torch.promote_types(x.dtype, torch.float32)
        tokens = rearrange(x, "n s c -> c (n s)").to(dtype)
        logits = self.token_projection.weight.to(dtype) @ tokens
        if not self.context_dim:
            return logits
        runs = context.shape[0]
        context = rearrange(context, "m s d -> d (m s)").to(dtype)
        shift = self.context_projection.weight.to(dtype) @ context
        shift = rearrange(shift, "e (m s) -> e m 1 s", m=runs)
        logits = rearrange(logits, "e (m r s) -> e m r s", m=runs, s=x.shape[1])
        return rearrange(logits + shift, "e m r s -> e (m r s)")

    @torch.no_grad()
    def _choose(self, scores):
        scores = scores + self.expert_bias.unsqueeze(1)
        chosen = [scores.max(0, keepdim=True).indices]
        # K maxima are faster than topk for a few experts, and give indices in range,
        # all different, even for scores that are not numbers.
        while len(chosen) < self.top_k:
            scores.scatter_(0, chosen[-1], -torch.inf)
            chosen.append(scores.max(0, keepdim=True).indices)
        return torch.cat(chosen)


def _without_autocast(device_type: str):
    """Switches autocast off where the device knows it (the meta device does not)."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()


def _count(expert_ids: torch.Tensor, num_experts: int) -> torch.Tensor:
    """Counts the tokens of each expert."""
    if expert_ids.device.type == "cpu":
        return torch.bincount(expert_ids.flatten(), minlength=num_experts).float()
    # bincount waits for the device to learn the largest index.
    experts = torch.arange(num_experts, device=expert_ids.device)
    return (expert_ids.flatten() == experts.unsqueeze(1)).sum(1).float()
