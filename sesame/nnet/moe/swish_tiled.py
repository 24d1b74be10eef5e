"""Two-layer experts with SiLU on an accelerator: tiles of tokens with one expert each.

Every tile takes a copy of its expert's matrices, so one batched product serves all of
them. Shapes do not depend on the routing and nothing waits for a value.
"""

import torch
from torch.nn import functional as F

__all__ = ["tiled_swish_experts"]

# Tokens that share a copy of an expert: enough rows for the product to outweigh it.
_TILE = 128


def tiled_swish_experts(
    tokens: torch.Tensor,
    hidden_weight: torch.Tensor,
    hidden_bias: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    expert_ids: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """Mixes experts of the form linear, SiLU, linear.

    A block of R tokens shares its choice of experts and is a tile of its own. Where
    every token chooses for itself (R is 1), tokens are sorted into tiles by counting,
    the last tile of each expert filled with zeros.

    Shape: tokens (N, R, in), hidden_weight (E, in, hidden), hidden_bias (E, hidden),
    weight (E, hidden, out), bias (E, out), expert_ids (N, K), weights (N, K)
    -> (N, R, out).

    Arguments
    ---------
    tokens : torch.Tensor
        Inputs of the experts.
    hidden_weight : torch.Tensor
        First matrices of all experts.
    hidden_bias : torch.Tensor
        First offsets of all experts.
    weight : torch.Tensor
        Second matrices of all experts.
    bias : torch.Tensor
        Second offsets of all experts.
    expert_ids : torch.Tensor
        Distinct experts of each block, int64.
    weights : torch.Tensor
        Weight of each chosen expert.

    Returns
    -------
    torch.Tensor
        Weighted sum of the chosen experts' outputs.

    Example
    -------
    >>> parameters = [torch.zeros(2, 3, 4), torch.zeros(2, 4), torch.zeros(2, 4, 1)]
    >>> bias = torch.tensor([[5.0], [7.0]])
    >>> ids, ones = torch.tensor([[1], [0]]), torch.ones(2, 1)
    >>> tokens = torch.randn(2, 2, 3)
    >>> tiled_swish_experts(tokens, *parameters, bias, ids, ones).flatten()
    tensor([7., 7., 5., 5.])
    """
    num_blocks, length, _ = tokens.shape
    top_k = expert_ids.shape[1]
    tiles = tokens.unsqueeze(1).expand(-1, top_k, -1, -1).flatten(0, 1)
    tile_experts = expert_ids.flatten()
    if length == 1:
        position, tile_experts = _tile_positions(tile_experts, weight.shape[0])
        # Copying and selecting distinct rows: the gradients need no summation.
        rows = tiles.new_zeros(len(tile_experts) * _TILE, tokens.shape[2])
        rows = rows.index_copy(0, position, tiles.squeeze(1))
        tiles = rows.unflatten(0, (-1, _TILE))
    parameters = (hidden_weight, hidden_bias, weight, bias)
    outputs = _one_expert_each(tiles, *parameters, tile_experts)
    if length == 1:
        outputs = outputs.flatten(0, 1).index_select(0, position)
    outputs = outputs.view(num_blocks, top_k, length, weight.shape[2])
    return (outputs * weights.to(outputs.dtype)[:, :, None, None]).sum(1)


def _one_expert_each(tiles, hidden_weight, hidden_bias, weight, bias, experts):
    """(M, R, in) and the expert of each tile (M,) -> (M, R, out)."""
    every = torch.arange(weight.shape[0], device=experts.device)
    # A product with ones and zeros copies matrices exactly, and its gradient is a
    # product too, where that of indexing would be a sum in no fixed order.
    choice = (experts.unsqueeze(1) == every).to(weight.dtype)

    def copies(parameter):
        return (choice @ parameter.flatten(1)).unflatten(1, parameter.shape[1:])

    hidden = torch.baddbmm(
        copies(hidden_bias).unsqueeze(1), tiles, copies(hidden_weight)
    )
    return torch.baddbmm(copies(bias).unsqueeze(1), F.silu(hidden), copies(weight))


def _tile_positions(experts, num_experts):
    """Row of each token among tiles sorted by expert, and the expert of each tile."""
    every = torch.arange(num_experts, device=experts.device)
    chosen = (experts.unsqueeze(1) == every).long()
    tiles = (chosen.sum(0) + _TILE - 1).div(_TILE, rounding_mode="floor")
    ends = tiles.cumsum(0)
    rank = chosen.cumsum(0) - 1 + (ends - tiles) * _TILE
    position = rank.gather(1, experts.unsqueeze(1)).squeeze(1)
    # No division of the tokens among the experts needs more tiles.
    num_tiles = len(experts) // _TILE + num_experts
    tile = torch.arange(num_tiles, device=experts.device)
    tile_experts = (tile.unsqueeze(1) >= ends).sum(1).clamp(max=num_experts - 1)
    return position, tile_experts
