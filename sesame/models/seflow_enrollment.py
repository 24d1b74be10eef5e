"""What SEFlow keeps of a speaker's voice."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Enrollment"]


class Enrollment(NamedTuple):
    """Voices as keys and values, for a network of one size, at one sampling rate.

    Arguments
    ---------
    tokens : list[Tensor]
        For each block (B, G, 2, H, P, D).
    sample_rate : int
        Sampling rate [Hz].
    channels : int
        Width of the network.

    Example
    -------
    >>> import torch
    >>> tokens = torch.zeros(1, 20, 2, 1, 32, 32)
    >>> voice = Enrollment([tokens], sample_rate=8000, channels=32)
    >>> voice.tokens_for(5, 8000, channels=32, depth=1)[0].shape
    torch.Size([5, 20, 2, 1, 32, 32])
    """

    tokens: list[Tensor]
    sample_rate: int
    channels: int

    def tokens_for(
        self, batch_size: int, sample_rate: int, channels: int, depth: int
    ) -> list[Tensor]:
        """What each block attends to beside the signals.

        Arguments
        ---------
        batch_size : int
            B, number of signals.
        sample_rate : int
            Their sampling rate [Hz].
        channels : int
            Width of the network.
        depth : int
            Its blocks.

        Returns
        -------
        list[Tensor]
            For each block (B, G, 2, H, P, D).

        Raises
        ------
        ValueError
            If the enrollment was made for another rate or size, or another number of
            signals.
        """
        made_for = (self.sample_rate, self.channels)
        if made_for != (sample_rate, channels) or len(self.tokens) < depth:
            raise ValueError(
                f"enrollment (made at {self.sample_rate} Hz for {self.channels} "
                f"channels and {len(self.tokens)} blocks) must fit {sample_rate} Hz, "
                f"{channels} channels and {depth} blocks"
            )
        voices = len(self.tokens[0])
        if voices not in (1, batch_size):
            raise ValueError(f"voices ({voices}) must be 1 or B ({batch_size})")
        return [
            tokens.expand(batch_size, *tokens.shape[1:])
            for tokens in self.tokens[:depth]
        ]
