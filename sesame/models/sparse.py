"""What the systems with sparse blocks share."""

from collections.abc import Sequence

from sesame.nnet import (
    GRUFeedForward,
    MoEFeedForward,
    NoiseContext,
    SelfAttention,
    TransformerLayer,
)

__all__ = ["noise_context", "transformer_layer"]


def noise_context(
    moe_blocks: Sequence[int], num_blocks: int, num_bins: int, noise_context_dim: int
) -> NoiseContext | None:
    """Makes the noise context of a network, if it has a block that needs one.

    Arguments
    ---------
    moe_blocks : Sequence[int]
        Numbers of the sparse blocks, each in [0, num_blocks).
    num_blocks : int
        Blocks of the network.
    num_bins : int
        F, bins of the magnitude.
    noise_context_dim : int
        D, width of the context; 0: none.

    Returns
    -------
    NoiseContext | None
        ``None`` if no block is sparse or D is 0.

    Raises
    ------
    ValueError
        If ``moe_blocks`` names a block twice or one that does not exist.

    Example
    -------
    >>> noise_context([], num_blocks=4, num_bins=201, noise_context_dim=16) is None
    True
    >>> noise_context([4], num_blocks=4, num_bins=201, noise_context_dim=16)
    Traceback (most recent call last):
    ValueError: moe_blocks ([4]) must be in [0, num_blocks (4))
    """
    if set(moe_blocks) - set(range(num_blocks)):
        raise ValueError(
            f"moe_blocks ({list(moe_blocks)}) must be in [0, num_blocks ({num_blocks}))"
        )
    if len(set(moe_blocks)) < len(moe_blocks):
        raise ValueError(f"moe_blocks ({list(moe_blocks)}) must not repeat a block")
    if moe_blocks and noise_context_dim:
        return NoiseContext(num_bins, noise_context_dim)
    return None


def transformer_layer(
    channels: int,
    num_heads: int,
    sparse: bool,
    num_experts: int,
    top_k: int,
    expert_hidden_dim: int | None,
    noise_context_dim: int,
) -> TransformerLayer:
    """Makes a transformer layer of MP-SENet, with a dense or a sparse feed-forward.

    Arguments
    ---------
    channels : int
        C, width of the layer.
    num_heads : int
        Attention heads, a divisor of ``channels``.
    sparse : bool
        Whether the feed-forward is a mixture of experts. Only then the rest matters.
    num_experts : int
        E, experts.
    top_k : int
        K, experts per token, 1 <= K <= E.
    expert_hidden_dim : int | None
        Width inside an expert; ``None`` makes each expert one linear map.
    noise_context_dim : int
        D, width of the noise context; 0 routes on the tokens alone.

    Returns
    -------
    TransformerLayer
        Maps (N, S, C) to (N, S, C).

    Example
    -------
    >>> layer = transformer_layer(8, 2, False, 4, 2, None, 0)
    >>> type(layer.feed_forward).__name__
    'GRUFeedForward'
    """
    attention = SelfAttention(channels, num_heads)
    if not sparse:
        return TransformerLayer(channels, attention, GRUFeedForward(channels))
    experts = MoEFeedForward(
        channels,
        num_experts,
        top_k,
        expert_hidden_dim=expert_hidden_dim,
        context_dim=noise_context_dim,
    )
    return TransformerLayer(channels, attention, experts)
