"""The experts of one layer, all their parameters stacked."""

import torch
from torch import nn
from torch.nn import functional as F

from sesame.nnet.moe.dispatch import dense_hidden_experts, dense_linear_experts
from sesame.nnet.moe.dispatch_sorted import (
    can_group,
    grouped_linear_experts,
    sorted_experts,
)

__all__ = ["Experts"]


class Experts(nn.Module):
    """Maps each token by the weighted sum of its chosen experts.

    An expert is a linear map, or with ``hidden_dim`` linear, leaky ReLU (slope 0.01),
    linear. All experts share one tensor per parameter, so an expert that no token
    chose gets a zero gradient rather than none (distributed training needs that).
    The computation is chosen by the device of the tokens: sorted slices on a CPU,
    dense products elsewhere; all agree with a loop over the experts.

    Shape: tokens (N, in), expert_ids (N, K), weights (N, K) -> (N, out).

    Arguments
    ---------
    num_experts : int
        Number of experts E, at least 1.
    in_channels : int
        Width of a token.
    out_channels : int
        Width of the result.
    hidden_dim : int | None
        Hidden units of each expert; ``None`` makes the experts linear.

    Raises
    ------
    ValueError
        If a size is less than 1.

    Example
    -------
    >>> experts = Experts(num_experts=4, in_channels=8, out_channels=3)
    >>> ids = torch.tensor([[0, 2], [3, 1]])
    >>> experts(torch.randn(2, 8), ids, torch.full((2, 2), 0.5)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        num_experts: int,
        in_channels: int,
        out_channels: int,
        hidden_dim: int | None = None,
    ):
        super().__init__()
        sizes = {
            "num_experts": num_experts,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "hidden_dim": 1 if hidden_dim is None else hidden_dim,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} ({size}) must be at least 1")
        self.num_experts = num_experts
        self.hidden_dim = hidden_dim
        last_width = in_channels if hidden_dim is None else hidden_dim
        if hidden_dim is not None:
            self.hidden_weight = nn.Parameter(
                torch.empty(num_experts, in_channels, hidden_dim)
            )
            self.hidden_bias = nn.Parameter(torch.empty(num_experts, hidden_dim))
        self.weight = nn.Parameter(torch.empty(num_experts, last_width, out_channels))
        self.bias = nn.Parameter(torch.empty(num_experts, out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every expert as ``nn.Linear`` draws its parameters.

        Example
        -------
        >>> experts = Experts(num_experts=2, in_channels=16, out_channels=4)
        >>> experts.reset_parameters()
        >>> bool(experts.weight.abs().max() <= 16**-0.5)
        True
        """
        pairs = [(self.weight, self.bias)]
        if self.hidden_dim is not None:
            pairs.insert(0, (self.hidden_weight, self.hidden_bias))
        for weight, bias in pairs:
            bound = weight.shape[1] ** -0.5
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(
        self, tokens: torch.Tensor, expert_ids: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Computes the mixture.

        Arguments
        ---------
        tokens : torch.Tensor
            (N, in).
        expert_ids : torch.Tensor
            Distinct experts of each token (N, K), int64.
        weights : torch.Tensor
            Weights of the chosen experts (N, K).

        Returns
        -------
        torch.Tensor
            (N, out); under autocast in the reduced type, as ``nn.Linear`` returns.
        """
        # A trace cannot follow slices that depend on the routing.
        if tokens.device.type == "cpu" and not torch.jit.is_tracing():
            return self._forward_sorted(tokens, expert_ids, weights)
        if self.hidden_dim is None:
            return dense_linear_experts(
                tokens, self.weight, self.bias, expert_ids, weights
            )
        return dense_hidden_experts(
            tokens,
            self.hidden_weight,
            self.hidden_bias,
            self.weight,
            self.bias,
            expert_ids,
            weights,
        )

    def _forward_sorted(self, tokens, expert_ids, weights):
        weight, bias = self.weight, self.bias
        # Autocast does not reach into a custom gradient: cast what it is given.
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            tokens, weight, bias = tokens.to(dtype), weight.to(dtype), bias.to(dtype)
        if self.hidden_dim is None and can_group(self.num_experts, expert_ids.shape[1]):
            return grouped_linear_experts(tokens, weight, bias, expert_ids, weights)
        # Unbound once: the gradient of each `parameter[expert]` fills the whole stack.
        last = list(zip(weight.unbind(), bias.unbind(), strict=True))
        first = None
        if self.hidden_dim is not None:
            stacks = self.hidden_weight.unbind(), self.hidden_bias.unbind()
            first = list(zip(*stacks, strict=True))

        def apply_expert(expert, rows):
            if first is not None:
                rows = F.leaky_relu(_linear(rows, *first[expert]), 0.01)
            return _linear(rows, *last[expert])

        return sorted_experts(
            tokens, expert_ids, weights, self.num_experts, apply_expert
        )


def _linear(rows, weight, bias):
    return F.linear(rows, weight.t(), bias)
