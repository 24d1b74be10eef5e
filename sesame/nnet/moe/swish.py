"""The mixture-of-experts feed-forward of TF-MoE."""

import torch
from einops import rearrange
from torch.nn import functional as F

from sesame.nnet.moe.dispatch import dense_hidden_experts
from sesame.nnet.moe.experts import Experts
from sesame.nnet.moe.layer import RoutedLayer
from sesame.nnet.moe.router import TopKRouter
from sesame.nnet.moe.swish_sliced import sliced_swish_experts
from sesame.nnet.moe.swish_tiled import tiled_swish_experts

__all__ = ["MoESwishFeedForward", "SwishExperts"]

ROUTES = ("seq", "batch", "token")


class SwishExperts(Experts):
    """Experts of the form linear, SiLU, linear, for blocks of tokens.

    The parameters are those of ``Experts`` with a hidden layer. A block shares its
    choice of experts; where every token chooses for itself, a block is one token. The
    computation is chosen by the device: sorted slices on a CPU, tiles elsewhere; all
    agree with a loop over the experts.

    Shape: tokens (N, R, C), expert_ids (N, K), weights (N, K) -> (N, R, C).

    Arguments
    ---------
    num_experts : int
        Number of experts E, at least 1.
    channels : int
        Width C of a token.
    hidden_dim : int
        Hidden units of each expert.

    Example
    -------
    >>> experts = SwishExperts(num_experts=4, channels=8, hidden_dim=32)
    >>> ids = torch.tensor([[0, 2], [3, 1]])
    >>> experts(torch.randn(2, 5, 8), ids, torch.full((2, 2), 0.5)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, num_experts: int, channels: int, hidden_dim: int):
        super().__init__(num_experts, channels, channels, hidden_dim)

    def forward(
        self, tokens: torch.Tensor, expert_ids: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Computes the mixture.

        Arguments
        ---------
        tokens : torch.Tensor
            Blocks of R tokens, (N, R, C).
        expert_ids : torch.Tensor
            Distinct experts of each block (N, K), int64.
        weights : torch.Tensor
            Weights of the chosen experts (N, K).

        Returns
        -------
        torch.Tensor
            (N, R, C); under autocast in the reduced type, as ``nn.Linear`` returns.
        """
        tensors = (
            tokens,
            self.hidden_weight,
            self.hidden_bias,
            self.weight,
            self.bias,
        )
        # A trace cannot follow slices and tiles that depend on the routing.
        if torch.jit.is_tracing() and tokens.shape[1] == 1:
            first, *rest = tensors
            arguments = (first.squeeze(1), *rest, expert_ids, weights)
            return dense_hidden_experts(*arguments, activation=F.silu).unsqueeze(1)
        if tokens.device.type != "cpu" or torch.jit.is_tracing():
            return tiled_swish_experts(*tensors, expert_ids, weights)
        # Autocast does not reach into a custom gradient: cast what it is given.
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            tensors = tuple(tensor.to(dtype) for tensor in tensors)
        return sliced_swish_experts(*tensors, expert_ids, weights)


class MoESwishFeedForward(RoutedLayer):
    """Feed-forward of a conformer as a mixture of experts, with one of three routes.

    A choice of experts serves the tokens behind one descriptor:

    * "seq": the mean along the sequence; one choice per sequence, that is per band in
      a time layer and per frame in a frequency layer;
    * "batch": the mean over the sequences of the utterance, step by step; one choice
      per frame in a time layer and per band in a frequency layer;
    * "token": the token itself.

    The one expert of ``top_k`` 1 is weighted by its probability, from which the router
    learns; the weights of several are renormalised. The attribute ``routing`` keeps
    the ``Routing`` of the last forward, its N descriptors in the order of
    utterances: (sequences), (utterances, steps) or (sequences, steps). Without experts
    to choose from (one expert) the layer is ``SwishFeedForward``.

    Shape: x (N, S, C) -> (N, S, C).
    Source: the paper on TF-MoE, section 2.3 and eq. 2 ("batch" and "token"), and code
    of its authors ("seq"): AudioCC-Lab/tfmoe-uss.

    Arguments
    ---------
    channels : int
        Width C of a token.
    num_experts : int
        Number of experts E, at least 1.
    top_k : int
        Number K of experts per descriptor, in [1, num_experts].
    expansion : int
        Hidden units of an expert per channel.
    route : str
        "seq", "batch" or "token".

    Raises
    ------
    ValueError
        If ``route`` is none of the three.

    Example
    -------
    >>> layer = MoESwishFeedForward(channels=8, num_experts=4)
    >>> layer(torch.randn(6, 5, 8)).shape
    torch.Size([6, 5, 8])
    >>> layer.routing.expert_ids.shape # one choice per sequence
    torch.Size([6, 1])
    """

    def __init__(
        self,
        channels: int,
        num_experts: int,
        top_k: int = 1,
        expansion: int = 4,
        route: str = "seq",
    ):
        super().__init__()
        if route not in ROUTES:
            raise ValueError(f"route ({route!r}) must be in {ROUTES}")
        self.route = route
        self.router = TopKRouter(channels, num_experts, top_k, renormalize=top_k > 1)
        self.experts = SwishExperts(num_experts, channels, expansion * channels)

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Transforms each token and remembers the routing.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C), those of an utterance next to each other.
        context : torch.Tensor | None
            Not used; accepted as by every layer of a dual-path block.
        valid : torch.Tensor | None
            True where tokens are real, (B, N / B or 1, S or 1) for B utterances; what
            is padding does not count in a mean. The route "batch" needs it.

        Returns
        -------
        torch.Tensor
            (N, S, C).

        Raises
        ------
        ValueError
            If ``valid`` is missing where it is needed or does not fit.
        """
        num_utterances = self._num_utterances(x, valid)
        plane = rearrange(x, "(b p) s c -> b p s c", b=num_utterances)
        if self.route == "seq":
            descriptors, blocks = _mean(plane, valid, 2), x
        elif self.route == "batch":
            descriptors = _mean(plane, valid, 1)
            blocks = rearrange(plane, "b p s c -> (b s) p c")
        else:
            descriptors, blocks = x, rearrange(x, "n s c -> (n s) 1 c")
        self.routing = self.router(descriptors)
        y = self.experts(blocks, self.routing.expert_ids, self.routing.weights)
        if self.route == "batch":
            return rearrange(y, "(b s) p c -> (b p) s c", b=num_utterances)
        return y.view_as(x)

    def _num_utterances(self, x, valid):
        if valid is None:
            if self.route == "batch":
                raise ValueError("route 'batch' needs valid, which counts utterances")
            return 1
        num_utterances, sequences, steps = valid.shape
        fits = (
            x.shape[0] % num_utterances == 0
            and sequences in (1, x.shape[0] // num_utterances)
            and steps in (1, x.shape[1])
        )
        if not fits:
            raise ValueError(
                f"valid {tuple(valid.shape)} must be (a divisor B of {x.shape[0]}, "
                f"{x.shape[0]} / B or 1, {x.shape[1]} or 1)"
            )
        return num_utterances


def _mean(plane, valid, axis):
    """Mean of (B, P, S, C) along P or S over what is valid."""
    if valid is None or valid.shape[1:] == (1, 1):
        return plane.mean(axis)
    valid = valid.unsqueeze(3)
    count = valid.expand(*plane.shape[:3], 1).sum(axis).clamp(min=1)
    return plane.masked_fill(~valid, 0).sum(axis) / count
