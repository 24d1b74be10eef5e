"""The one place where the time-frequency plane becomes sequences."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import nn

__all__ = ["AttentiveDualPathBlock", "DualPathBlock", "ParallelDualPathBlock"]

AXIS_ORDERS = ("time_frequency", "frequency_time")
ATTENTION_POSITIONS = ("before", "after")


class DualPathBlock(nn.Module):
    """A sequence layer along time and another along frequency, each with a residual.

    Shape: x (B, C, T, F), context (B, T, D) -> (B, C, T, F). The time layer sees
    (B * F, T, C) with context (B, T, D); the frequency layer sees (B * T, F, C) with
    context (B * T, 1, D). Where ``valid`` is given, each layer gets it as a third
    argument (B, P, S): as many utterances, of whose N / B consecutive sequences (P is
    N / B or 1) the steps (S is the layer's S or 1) are real or padding.
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py (TSTransformerBlock), with
    the axes as the paper describes them.

    Arguments
    ---------
    time_layer : nn.Module
        Maps (N, S, C) and a context (or None) to (N, S, C), along time.
    frequency_layer : nn.Module
        The same along frequency.
    axis_order : str
        Which half comes first: "time_frequency", or "frequency_time", which the
        authors' MP-SENet weights need.

    Raises
    ------
    ValueError
        If ``axis_order`` is neither of the two.

    Example
    -------
    >>> class Silence(nn.Module):
    ...     def forward(self, x, context=None):
    ...         return torch.zeros_like(x)
    >>> plane = torch.randn(1, 4, 6, 5)
    >>> torch.equal(DualPathBlock(Silence(), Silence())(plane), plane)
    True
    """

    def __init__(
        self,
        time_layer: nn.Module,
        frequency_layer: nn.Module,
        axis_order: str = "time_frequency",
    ):
        super().__init__()
        if axis_order not in AXIS_ORDERS:
            raise ValueError(f"axis_order ({axis_order!r}) must be in {AXIS_ORDERS}")
        self.axis_order = axis_order
        self.time_layer = time_layer
        self.frequency_layer = frequency_layer

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Runs both halves.

        Arguments
        ---------
        x : torch.Tensor
            Features (B, C, T, F).
        context : torch.Tensor | None
            One vector per frame, (B, T, D).
        valid : torch.Tensor | None
            True for real frames, False for padding, (B, T), or (B, 1) where no frame
            is padding; for layers that take a third argument.

        Returns
        -------
        torch.Tensor
            (B, C, T, F).
        """
        along_time = (_along_time, self._time_layers())
        along_frequency = (_along_frequency, self._frequency_layers())
        halves = [along_time, along_frequency]
        if self.axis_order == "frequency_time":
            halves.reverse()
        for half, layers in halves:
            x = half(layers, x, context, valid)
        return x

    def _time_layers(self):
        return [self.time_layer]

    def _frequency_layers(self):
        return [self.frequency_layer]


class AttentiveDualPathBlock(DualPathBlock):
    """A dual-path block whose halves also attend, each time with a residual.

    With one attention layer both halves share it: the same weights relate frames to
    frames and bins to bins.

    Shape: x (B, C, T, F), context (B, T, D) -> (B, C, T, F).
    Source: arXiv:2507.00966 (MambAttention), section III.

    Arguments
    ---------
    time_layer : nn.Module
        Maps (N, S, C) and a context (or None) to (N, S, C), along time.
    frequency_layer : nn.Module
        The same along frequency.
    attentions : Sequence[nn.Module]
        One layer for both halves, or one for time and one for frequency.
    attention_position : str
        "before" or "after" the half's own layer.
    axis_order : str
        Which half comes first: "time_frequency" or "frequency_time".

    Raises
    ------
    ValueError
        If an argument has none of the values named.

    Example
    -------
    >>> class Half(nn.Module):
    ...     def forward(self, x, context=None):
    ...         return x
    >>> block = AttentiveDualPathBlock(Half(), Half(), [Half()])
    >>> block(torch.ones(1, 1, 2, 2)).unique() # doubled four times
    tensor([16.])
    """

    def __init__(
        self,
        time_layer: nn.Module,
        frequency_layer: nn.Module,
        attentions: Sequence[nn.Module],
        attention_position: str = "before",
        axis_order: str = "time_frequency",
    ):
        super().__init__(time_layer, frequency_layer, axis_order)
        if len(attentions) not in (1, 2):
            raise ValueError(f"attentions ({len(attentions)}) must be 1 or 2 layers")
        if attention_position not in ATTENTION_POSITIONS:
            raise ValueError(
                f"attention_position ({attention_position!r}) must be in "
                f"{ATTENTION_POSITIONS}"
            )
        self.attention_position = attention_position
        self.attentions = nn.ModuleList(attentions)

    def _time_layers(self):
        return self._in_order(self.attentions[0], self.time_layer)

    def _frequency_layers(self):
        return self._in_order(self.attentions[-1], self.frequency_layer)

    def _in_order(self, attention, layer):
        layers = [attention, layer]
        return layers if self.attention_position == "before" else layers[::-1]


class ParallelDualPathBlock(nn.Module):
    """Two blocks side by side; their outputs are merged and added to the input.

    Shape: x (B, C, T, F), context (B, T, D) -> (B, C, T, F). The merge sees the bins
    of each frame, (B * T, F, C), from both branches.

    Arguments
    ---------
    first : nn.Module
        Maps (B, C, T, F) and a context (or None) to (B, C, T, F).
    second : nn.Module
        The same.
    merge : nn.Module
        Maps two tensors (N, S, C) to one.

    Example
    -------
    >>> class Same(nn.Module):
    ...     def forward(self, x, context=None):
    ...         return x
    >>> class Difference(nn.Module):
    ...     def forward(self, first, second):
    ...         return first - second
    >>> plane = torch.randn(1, 4, 6, 5)
    >>> block = ParallelDualPathBlock(Same(), Same(), Difference())
    >>> torch.equal(block(plane), plane)
    True
    """

    def __init__(self, first: nn.Module, second: nn.Module, merge: nn.Module):
        super().__init__()
        self.first = first
        self.second = second
        self.merge = merge

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Runs both branches and merges them.

        Arguments
        ---------
        x : torch.Tensor
            Features (B, C, T, F).
        context : torch.Tensor | None
            One vector per frame, (B, T, D).

        Returns
        -------
        torch.Tensor
            (B, C, T, F).
        """
        branches = (self.first(x, context), self.second(x, context))
        merged = self.merge(*(rearrange(y, "b c t f -> (b t) f c") for y in branches))
        return x + rearrange(merged, "(b t) f c -> b c t f", b=x.shape[0])


def _along_time(layers, x, context, valid):
    batch = x.shape[0]
    extra = () if valid is None else (rearrange(valid, "b t -> b 1 t"),)
    sequences = rearrange(x, "b c t f -> (b f) t c")
    for layer in layers:
        sequences = sequences + layer(sequences, context, *extra)
    return rearrange(sequences, "(b f) t c -> b c t f", b=batch)


def _along_frequency(layers, x, context, valid):
    batch = x.shape[0]
    extra = () if valid is None else (rearrange(valid, "b t -> b t 1"),)
    if context is not None:
        context = rearrange(context, "b t d -> (b t) 1 d")
    sequences = rearrange(x, "b c t f -> (b t) f c")
    for layer in layers:
        sequences = sequences + layer(sequences, context, *extra)
    return rearrange(sequences, "(b t) f c -> b c t f", b=batch)
