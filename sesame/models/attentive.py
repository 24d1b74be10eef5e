"""The blocks of the systems that share attention between time and frequency."""

from collections.abc import Callable

from torch import nn

from sesame.nnet import AttentiveDualPathBlock, DualPathBlock, PreNormAttention

__all__ = ["attentive_block"]


def attentive_block(
    layer: Callable[[], nn.Module],
    channels: int,
    num_heads: int,
    attention_position: str | None = "before",
    shared_attention: bool = True,
    axis_order: str = "time_frequency",
) -> DualPathBlock:
    """Makes a dual-path block with attention.

    Source: arXiv:2507.00966 (MambAttention), section III and its ablations.

    Arguments
    ---------
    layer : Callable[[], nn.Module]
        Makes the layer of one half.
    channels : int
        C, width of the layers.
    num_heads : int
        Attention heads, a divisor of ``channels``.
    attention_position : str | None
        Attention "before" or "after" the layer of each half; ``None``: no attention.
    shared_attention : bool
        One attention layer for time and frequency, or one for each.
    axis_order : str
        Which half comes first: "time_frequency" or "frequency_time".

    Returns
    -------
    DualPathBlock
        Maps (B, C, T, F) to (B, C, T, F).

    Example
    -------
    >>> from sesame.nnet import GRUFeedForward
    >>> block = attentive_block(lambda: GRUFeedForward(8), channels=8, num_heads=2)
    >>> len(block.attentions)
    1
    """
    if attention_position is None:
        return DualPathBlock(layer(), layer(), axis_order)
    count = 1 if shared_attention else 2
    attentions = [PreNormAttention(channels, num_heads) for _ in range(count)]
    return AttentiveDualPathBlock(
        layer(), layer(), attentions, attention_position, axis_order
    )
