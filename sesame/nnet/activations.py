"""Activations with trainable parameters."""

import torch
from torch import nn

__all__ = ["LearnableSigmoid"]


class LearnableSigmoid(nn.Module):
    """Sigmoid with a trainable slope per feature and a fixed ceiling.

    The features are on dimension 1, as in ``nn.PReLU``: bins of a mask (B, F, T), or
    the columns of logits (B, F).

    Shape: x (B, num_features, ...) -> the same, values in (0, beta).
    Source: MetricGAN+, arXiv:2104.03538; yxlu-0102/MP-SENet@89932cf, utils.py.

    Arguments
    ---------
    num_features : int
        Size of dimension 1. Every slope starts at 1.
    beta : float
        Ceiling of the output. 2.0 lets a mask amplify.

    Example
    -------
    >>> LearnableSigmoid(3, beta=2.0)(torch.zeros(1, 3, 2))[0, :, 0]
    tensor([1., 1., 1.], grad_fn=<SelectBackward0>)
    """

    def __init__(self, num_features: int, beta: float = 1.0):
        super().__init__()
        self.beta = beta
        self.slope = nn.Parameter(torch.ones(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Squashes each feature with its own slope.

        Arguments
        ---------
        x : torch.Tensor
            (B, num_features, ...).

        Returns
        -------
        torch.Tensor
            Same shape, values in (0, beta).
        """
        slope = self.slope.reshape(-1, *[1] * (x.dim() - 2))
        return self.beta * torch.sigmoid(slope * x)
