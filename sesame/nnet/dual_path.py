"""The one place where the time-frequency plane becomes sequences."""

import torch
from einops import rearrange
from torch import nn

__all__ = ["DualPathBlock"]


class DualPathBlock(nn.Module):
    """A sequence layer along time and another along frequency, each with a residual.

    Shape: x (B, C, T, F), context (B, T, D) -> (B, C, T, F). The time layer sees
    (B * F, T, C) with context (B, T, D); the frequency layer sees (B * T, F, C) with
    context (B * T, 1, D).
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
        if axis_order not in ("time_frequency", "frequency_time"):
            raise ValueError(
                f"axis_order ({axis_order!r}) must be 'time_frequency' or "
                "'frequency_time'"
            )
        self.axis_order = axis_order
        self.time_layer = time_layer
        self.frequency_layer = frequency_layer

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Runs both halves.

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
        halves = [self._along_time, self._along_frequency]
        if self.axis_order == "frequency_time":
            halves.reverse()
        for half in halves:
            x = half(x, context)
        return x

    def _along_time(self, x, context):
        batch = x.shape[0]
        sequences = rearrange(x, "b c t f -> (b f) t c")
        sequences = sequences + self.time_layer(sequences, context)
        return rearrange(sequences, "(b f) t c -> b c t f", b=batch)

    def _along_frequency(self, x, context):
        batch = x.shape[0]
        if context is not None:
            context = rearrange(context, "b t d -> (b t) 1 d")
        sequences = rearrange(x, "b c t f -> (b t) f c")
        sequences = sequences + self.frequency_layer(sequences, context)
        return rearrange(sequences, "(b t) f c -> b c t f", b=batch)
