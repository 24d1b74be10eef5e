"""The MetricGAN discriminator, which learns to predict PESQ."""

import itertools

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from sesame.nnet import LearnableSigmoid

__all__ = ["MetricDiscriminator"]

MIN_SIZE = 16  # four convolutions of stride 2 must leave one bin and one frame


class _SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value, tracked by power iteration.

    ``torch.nn.utils.parametrizations.spectral_norm`` updates u before v; the authors'
    weights come from the older order, v before u, and one step differs.
    """

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.register_buffer("u", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(columns), dim=0))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        # Autocast would round the iteration to half precision.
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            # Clones: a later forward may write to the buffers before our backward.
            u, v = self.u.clone(), self.v.clone()
            if self.training:
                with torch.no_grad():
                    v = F.normalize(matrix.mT @ u, dim=0)
                    u = F.normalize(matrix @ v, dim=0)
                    self.u.copy_(u)
                    self.v.copy_(v)
            return weight / torch.dot(u, matrix @ v)


def _spectral_norm(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", _SpectralNorm(layer.weight))
    return layer


class MetricDiscriminator(nn.Module):
    """Predicts the PESQ of a candidate, scaled to (0, 1), beside its clean reference.

    181 650 parameters with the defaults. In training mode each forward also makes one
    power-iteration step of the spectral norms, and dropout is active.

    Shape: reference magnitude (B, F, T), candidate magnitude (B, F, T), both
    compressed -> score (B,) in (0, 1).
    Source: arXiv:2209.11112 (CMGAN); yxlu-0102/MP-SENet@89932cf,
    models/discriminator.py.

    Arguments
    ---------
    channels : int
        Width of the first convolution; the others have 2, 4 and 8 times as many.

    Example
    -------
    >>> discriminator = MetricDiscriminator(channels=4)
    >>> discriminator(torch.rand(2, 201, 32), torch.rand(2, 201, 32)).shape
    torch.Size([2])
    """

    def __init__(self, channels: int = 16):
        super().__init__()
        widths = [2, channels, 2 * channels, 4 * channels, 8 * channels]
        convolutions = []
        for width_in, width_out in itertools.pairwise(widths):
            conv = nn.Conv2d(width_in, width_out, 4, stride=2, padding=1, bias=False)
            convolutions += [
                _spectral_norm(conv),
                nn.InstanceNorm2d(width_out, affine=True),
                nn.PReLU(width_out),
            ]
        self.convolutions = nn.Sequential(*convolutions)
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.head = nn.Sequential(
            _spectral_norm(nn.Linear(8 * channels, 4 * channels)),
            nn.Dropout(0.3),
            nn.PReLU(4 * channels),
            _spectral_norm(nn.Linear(4 * channels, 1)),
        )
        self.activation = LearnableSigmoid(1)

    def forward(
        self, reference_magnitude: torch.Tensor, candidate_magnitude: torch.Tensor
    ) -> torch.Tensor:
        """Scores each candidate.

        Arguments
        ---------
        reference_magnitude : torch.Tensor
            Clean compressed magnitude (B, F, T).
        candidate_magnitude : torch.Tensor
            Compressed magnitude to be judged (B, F, T).

        Returns
        -------
        torch.Tensor
            Scores (B,), in (0, 1).

        Raises
        ------
        ValueError
            If the inputs differ in shape, or have fewer than 16 bins or frames.
        """
        shape = reference_magnitude.shape
        if len(shape) != 3 or shape != candidate_magnitude.shape:
            raise ValueError(
                "expected two magnitudes of one shape (B, F, T), got "
                f"{tuple(shape)} and {tuple(candidate_magnitude.shape)}"
            )
        if min(shape[1:]) < MIN_SIZE:
            raise ValueError(
                f"bins ({shape[1]}) and frames ({shape[2]}) must be at least {MIN_SIZE}"
            )
        pair = torch.stack((reference_magnitude, candidate_magnitude), dim=1)
        pooled = self.pool(self.convolutions(pair)).flatten(1)
        return self.activation(self.head(pooled)).squeeze(1)
