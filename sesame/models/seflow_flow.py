"""The optional flow matching of SEFlow: several predictions, one after another."""

import operator
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sesame.features.causal_stft import CausalSTFT
from sesame.features.rate_bands import RateBands
from sesame.nnet.flow_matching import follow_flow

__all__ = ["SEFlowSteps"]


class SEFlowSteps(nn.Module):
    """The methods of ``SEFlow`` that know of flow matching.

    Example
    -------
    >>> from sesame.models.seflow import SEFlow
    >>> sizes = {"width": 8, "depth": 1, "head_channels": 4}
    >>> network = SEFlow(**sizes, flow_matching=True, num_steps=2)
    >>> network.num_steps = 4
    >>> network.subnet(width=0.5).num_steps
    4
    """

    @property
    def num_steps(self) -> int:
        """Predictions of which each takes up where the one before has led to.

        It may be set at any time; open streams keep theirs. One is the predictive
        network. N predictions take N times the operations, and a stream N times the
        memory; the latency is the same.
        """
        return self._num_steps

    @num_steps.setter
    def num_steps(self, num_steps: int) -> None:
        if num_steps < 1:
            raise ValueError(f"num_steps ({num_steps}) must be at least 1")
        if num_steps > 1 and not self.flow_matching:
            raise ValueError(
                f"num_steps ({num_steps}) must be 1 unless flow_matching is True"
            )
        self._num_steps = operator.index(num_steps)

    def _encode(
        self,
        spectrum: Tensor,
        reference: Tensor | None,
        bands: RateBands,
        channels: int,
        place: Tensor | None = None,
        times: Tensor | float = 0.0,
    ) -> Tensor:
        """Features (B, T, G, C); without a place, the way starts at the spectrum."""
        added = None
        if self.flow is not None:
            place = self.encoder.compress(spectrum) if place is None else place
            added = self.flow(place, times, bands, channels)
        return self.encoder(spectrum, reference, bands, channels, added)

    def _follow(
        self,
        spectrum: Tensor,
        predict: Callable[[Tensor | None, float, int], Tensor],
        num_steps: int,
    ) -> Tensor:
        """Result (B, T, F, 2) of predictions from a place, a time and their number."""
        if num_steps == 1:
            return predict(None, 0.0, 0)
        return follow_flow(spectrum, predict, self.encoder.compress, num_steps)

    def _place(
        self,
        point: tuple[Tensor, Tensor],
        mixture: Tensor,
        spectrum: Tensor,
        stft: CausalSTFT,
    ) -> tuple[Tensor, Tensor]:
        """Compressed spectrum at a point, and its times."""
        target, times = point
        if self.flow is None:
            raise ValueError("point must be None unless flow_matching is True")
        if target.shape != mixture.shape:
            raise ValueError(
                f"target {tuple(target.shape)} must have the shape of the mixture "
                f"{tuple(mixture.shape)}"
            )
        if times.shape != mixture.shape[:1]:
            raise ValueError(
                f"times {tuple(times.shape)} must be (B) with B = {len(mixture)}"
            )
        ends = self.encoder.compress(spectrum), self.encoder.compress(stft(target))
        return torch.lerp(*ends, times.to(ends[0])[:, None, None, None]), times
