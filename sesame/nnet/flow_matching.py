"""Flow matching: from one spectrum to another in steps that a network predicts."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sesame.features import at_least_float32
from sesame.features.rate_bands import BAND_GROUPS, RateBands
from sesame.nnet.slimmable import FlexLinear

__all__ = ["FlowEncoder", "TimeEmbedding", "follow_flow"]


class TimeEmbedding(nn.Module):
    """A learned vector for each time from 0 to 1; that of time 0 is zero.

    Each channel is a series of sines of odd multiples of a quarter turn, which can
    follow any function that starts at 0. All coefficients start at 0.

    Shape: times (B) -> (B, C), C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full embedding.
    num_terms : int
        Sines per channel.

    Raises
    ------
    ValueError
        If ``num_terms`` is less than 1.

    Example
    -------
    >>> TimeEmbedding(8)(torch.tensor([0.0, 0.5]), channels=4).shape
    torch.Size([2, 4])
    """

    def __init__(self, channels: int, num_terms: int = 16):
        super().__init__()
        if num_terms < 1:
            raise ValueError(f"num_terms ({num_terms}) must be at least 1")
        self.num_terms = num_terms
        self.embedding = nn.Parameter(torch.zeros(channels, num_terms))

    def forward(self, times: Tensor, channels: int) -> Tensor:
        """Embeds times.

        Arguments
        ---------
        times : Tensor
            (B), in [0, 1].
        channels : int
            C.

        Returns
        -------
        Tensor
            (B, C).
        """
        weight = self.embedding[:channels]
        orders = torch.arange(self.num_terms, dtype=weight.dtype, device=weight.device)
        sines = torch.sin(math.pi * (orders + 0.5) * times.to(weight).unsqueeze(1))
        # One vector per signal, not per token: no matrix product worth the name.
        return (weight * sines.unsqueeze(1)).sum(-1)


class FlowEncoder(nn.Module):
    """What the features of a frame gain from a spectrum on the way, and from the time.

    Added to the maps of ``RateBandEncoder``, it makes them maps of six values per bin
    where those alone have four. All parameters start at 0, so the network starts as one
    without flow matching.

    Shape: x (B, T, F, 2), times (B) -> (B, T, G, C), C <= channels.

    Arguments
    ---------
    channels : int
        Width of the full encoder.

    Example
    -------
    >>> encoder, bands = FlowEncoder(8), RateBands(161)
    >>> encoder(torch.randn(1, 3, 161, 2), 0.5, bands, channels=4).shape
    torch.Size([1, 3, 27, 4])
    """

    def __init__(self, channels: int):
        super().__init__()
        self.maps = nn.ModuleList(
            FlexLinear(2 * width, channels, bias=False) for width in BAND_GROUPS
        )
        for linear in self.maps:
            nn.init.zeros_(linear.weight)
        self.time = TimeEmbedding(channels)

    def forward(
        self, x: Tensor, times: Tensor | float, bands: RateBands, channels: int
    ) -> Tensor:
        """Encodes frame by frame.

        Arguments
        ---------
        x : Tensor
            Compressed spectrum (B, T, F, 2).
        times : Tensor | float
            How far on the way it is, 0 to 1, (B) or one for all.
        bands : RateBands
            Bands of these F bins.
        channels : int
            C.

        Returns
        -------
        Tensor
            (B, T, G, C), at least float32 also under autocast.
        """
        features = torch.cat(
            [
                linear(group, channels)
                for linear, group in zip(self.maps, bands.split(x), strict=False)
            ],
            dim=2,
        )
        if not isinstance(times, Tensor):
            times = torch.full((1,), times, dtype=x.dtype, device=x.device)
        embedding = self.time(times, channels)
        return at_least_float32(features) + embedding[:, None, None]


def follow_flow(
    start: Tensor,
    predict: Callable[[Tensor, float, int], Tensor],
    compress: Callable[[Tensor], Tensor],
    num_steps: int,
) -> Tensor:
    """Goes from one spectrum to another, asking at each step where the way ends.

    The way is straight from compress(start) to the end that is predicted, and is walked
    at constant speed: x <- x + dt / (1 - t) (compress(end) - x). The last step arrives,
    so the result is the last prediction; one step is one prediction from the start.

    Source: arXiv:2210.02747 (flow matching), with Euler's method.

    Arguments
    ---------
    start : Tensor
        Where the way starts, any shape.
    predict : Callable[[Tensor, float, int], Tensor]
        Predicts the end, uncompressed, from the compressed place, the time in [0, 1)
        and the number of the step from 0.
    compress : Callable[[Tensor], Tensor]
        Maps a spectrum to the domain where ways are straight.
    num_steps : int
        Predictions, at least 1.

    Returns
    -------
    Tensor
        The last prediction.

    Example
    -------
    >>> target = torch.tensor(9.0)
    >>> places = []
    >>> def predict(x, time, step):
    ...     places.append(x.item())
    ...     return target
    >>> follow_flow(torch.tensor(1.0), predict, torch.sqrt, num_steps=4)
    tensor(9.)
    >>> places
    [1.0, 1.5, 2.0, 2.5]
    """
    x = compress(start)
    for step in range(num_steps - 1):
        end = predict(x, step / num_steps, step)
        x = torch.lerp(x, compress(end), 1 / (num_steps - step))
    return predict(x, (num_steps - 1) / num_steps, num_steps - 1)
