"""Attention that also serves with its first channels and heads alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .linear import FlexLinear, FlexLinearStack

__all__ = ["FlexAttention", "FlexContextAttention"]


class FlexAttention(nn.Module):
    """Multi-head self-attention along each sequence, slimmable in channels and heads.

    The rows of the projections are ordered head by head, so that the first heads are
    the first rows.

    Shape: x (N, S, C) -> the same, C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full layer.
    num_heads : int
        Heads of the full layer; C channels use C * num_heads / channels of them.
    head_channels : int
        D, width of a head at every size.

    Raises
    ------
    ValueError
        If a size is less than 1.

    Example
    -------
    >>> attention = FlexAttention(channels=8, num_heads=4, head_channels=2)
    >>> attention(torch.randn(3, 5, 4)).shape # with two heads
    torch.Size([3, 5, 4])
    """

    def __init__(self, channels: int, num_heads: int, head_channels: int):
        super().__init__()
        for name, size in (
            ("channels", channels),
            ("num_heads", num_heads),
            ("head_channels", head_channels),
        ):
            if size < 1:
                raise ValueError(f"{name} ({size}) must be at least 1")
        self.channels = channels
        self.num_heads = num_heads
        self.head_channels = head_channels
        inner = num_heads * head_channels
        self.in_projections = FlexLinearStack(3, channels, inner, bias=False)
        self.out_projection = FlexLinear(inner, channels)

    def forward(self, x: Tensor, num_heads: int | None = None) -> Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).
        num_heads : int | None
            Heads to use; ``None``: in proportion to C.

        Returns
        -------
        Tensor
            (N, S, C).

        Raises
        ------
        ValueError
            If there are more channels or heads than the full layer has, or C channels
            are no whole number of heads.
        """
        query, memory = self.project(x, num_heads)
        return self.attend(query, memory, None, x.shape[-1])

    def heads(self, channels: int) -> int:
        """Heads in proportion to channels.

        Arguments
        ---------
        channels : int
            C.

        Returns
        -------
        int
            C * num_heads / channels.

        Raises
        ------
        ValueError
            If this is no whole number.

        Example
        -------
        >>> FlexAttention(channels=8, num_heads=4, head_channels=2).heads(6)
        3
        """
        if channels * self.num_heads % self.channels:
            raise ValueError(
                f"channels ({channels}) must be a multiple of channels / num_heads "
                f"({self.channels} / {self.num_heads})"
            )
        return channels * self.num_heads // self.channels

    def project(self, x: Tensor, num_heads: int | None = None) -> tuple[Tensor, Tensor]:
        """Returns what asks and what answers.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).
        num_heads : int | None
            H; ``None``: in proportion to C.

        Returns
        -------
        tuple[Tensor, Tensor]
            Queries (N, H, S, D); keys and values (N, 2, H, S, D).
        """
        heads = self.heads(x.shape[-1]) if num_heads is None else num_heads
        width = self.head_channels
        parts = self.in_projections(x, heads * width)
        # Not by einops: in a stream its overhead would be that of a small layer.
        parts = parts.view(*x.shape[:2], 3, heads, width).permute(0, 2, 3, 1, 4)
        return parts[:, 0], parts[:, 1:]

    def attend(
        self, query: Tensor, memory: Tensor, bias: Tensor | None, channels: int
    ) -> Tensor:
        """Gathers for each query what it asks of the memory.

        Arguments
        ---------
        query : Tensor
            (N, H, S, D).
        memory : Tensor
            Keys and values (N, 2, H, S', D).
        bias : Tensor | None
            Added to the scores, broadcast to (N, H, S, S').
        channels : int
            C.

        Returns
        -------
        Tensor
            (N, S, C).
        """
        mixed = _mix(query, memory[:, 0], memory[:, 1], bias)
        return self.out_projection(mixed.transpose(1, 2).flatten(2), channels)


class FlexContextAttention(FlexAttention):
    """Causal attention to the last steps, with a bias per distance, and to tokens.

    Scores depend on distances alone, so a stream may start anywhere, and time and
    memory grow with the length of a sequence, not with its square.

    Shape: x (N, S, C) -> the same, C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full layer.
    num_heads : int
        Heads of the full layer; C channels use C * num_heads / channels of them.
    head_channels : int
        D, width of a head at every size.
    context : int
        W, steps that each step sees, itself among them.

    Raises
    ------
    ValueError
        If a size is less than 1.

    Example
    -------
    >>> attention = FlexContextAttention(8, num_heads=4, head_channels=2, context=3)
    >>> attention(torch.randn(3, 50, 8)).shape
    torch.Size([3, 50, 8])
    """

    def __init__(self, channels: int, num_heads: int, head_channels: int, context: int):
        super().__init__(channels, num_heads, head_channels)
        if context < 1:
            raise ValueError(f"context ({context}) must be at least 1")
        self.context = context
        # One entry per distance, and a last one for tokens.
        self.biases = nn.Parameter(torch.zeros(num_heads, context + 1))

    def forward(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Mixes the steps of whole sequences.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).
        tokens : Tensor | None
            Keys and values that every step sees, (N, 2, H, P, D), from ``project``.

        Returns
        -------
        Tensor
            (N, S, C).

        Raises
        ------
        ValueError
            If there are more channels than the full layer has, or C channels are no
            whole number of heads.
        """
        query, memory = self.project(x)
        steps, window = x.shape[1], self.context
        num_tokens = 0 if tokens is None else tokens.shape[3]
        if steps <= 2 * window:
            bias = self._bias(steps, steps, num_tokens, query)
            if num_tokens:
                memory = torch.cat((tokens, memory), dim=3)
            return self.attend(query, memory, bias, x.shape[-1])
        # Windows of queries, each with the window of keys before it and its own; as
        # heads, so that one bias serves all sequences.
        count = -(-steps // window)
        missing = count * window - steps
        heads = query.shape[1]
        query = F.pad(query, (0, 0, 0, missing)).unflatten(2, (count, window))
        memory = F.pad(memory, (0, 0, window, missing))
        memory = memory.unflatten(3, (count + 1, window))
        parts = [memory[:, :, :, :-1], memory[:, :, :, 1:]]
        if num_tokens:
            parts.insert(0, tokens.unsqueeze(3).expand(-1, -1, -1, count, -1, -1))
        memory = torch.cat(parts, dim=4)
        bias = self._bias(window, 2 * window, num_tokens, query)
        bias = bias.unsqueeze(1).repeat(1, count, 1, 1)
        bias[:, 0, :, num_tokens : num_tokens + window] = -torch.inf
        mixed = _mix(
            query.flatten(1, 2),
            memory[:, 0].flatten(1, 2),
            memory[:, 1].flatten(1, 2),
            bias.flatten(0, 1),
        )
        mixed = mixed.unflatten(1, (heads, count)).flatten(2, 3)[:, :, :steps]
        return self.out_projection(mixed.transpose(1, 2).flatten(2), x.shape[-1])

    def _bias(self, steps, keys, num_tokens, query):
        """(H, steps, num_tokens + keys); the last key is that of the last query."""
        places = torch.arange(max(steps, keys), device=query.device)
        distances = places[:steps, None] + (keys - steps) - places[:keys]
        hidden = (distances < 0) | (distances >= self.context)
        index = distances.masked_fill(hidden, self.context + 1)
        if num_tokens:
            index = F.pad(index, (num_tokens, 0), value=self.context)
        table = F.pad(self.biases[: query.shape[1]], (0, 1), value=-torch.inf)
        return table[:, index].to(query.dtype)


def _mix(query, keys, values, bias):
    """Attention of (N, H, S, D) to (N, H, S', D) with a bias on the scores, or none."""
    learns = torch.is_grad_enabled() and query.requires_grad
    if not (learns and query.device.type == "cpu" and query.dtype == torch.bfloat16):
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
    # In bfloat16 the fused kernel's gradients of narrow heads take twice to six times
    # as long on a CPU, and the softmax of short rows five times.
    scores = (query * query.shape[-1] ** -0.5) @ keys.mT
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1, dtype=torch.float32).to(scores.dtype) @ values
