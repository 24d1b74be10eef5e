"""A slimmable block: bands of each frame attend to each other, then frames of each."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sesame.nnet.streaming import write_slots

from .attention import FlexAttention, FlexContextAttention
from .feed_forward import FlexFeedForward
from .linear import FlexRMSNorm

__all__ = ["FlexDualPathBlock"]


class FlexDualPathBlock(nn.Module):
    """Attention and feed-forward along bands, then along time; causal and slimmable.

    Each of the four is pre-normed and has a residual.

    Shape: x (B, T, G, C) -> the same, C <= channels. Bands come before channels, so
    that one frame of a stream is folded to either axis without a copy.

    Arguments
    ---------
    channels : int
        Width of the full block.
    num_heads : int
        Heads of the full block.
    head_channels : int
        D, width of a head at every size.
    context : int
        W, frames that a frame attends to, itself among them.
    kernel_size : int
        Taps of the filters of the feed-forwards, odd.

    Example
    -------
    >>> block = FlexDualPathBlock(8, num_heads=4, head_channels=2, context=3)
    >>> block(torch.randn(2, 10, 5, 4)).shape
    torch.Size([2, 10, 5, 4])
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        head_channels: int,
        context: int,
        kernel_size: int = 3,
    ):
        super().__init__()
        heads = (channels, num_heads, head_channels)
        self.band_attention_norm = FlexRMSNorm(channels)
        self.band_attention = FlexAttention(*heads)
        self.band_feed_forward_norm = FlexRMSNorm(channels)
        self.band_feed_forward = FlexFeedForward(channels, kernel_size)
        self.time_attention_norm = FlexRMSNorm(channels)
        self.time_attention = FlexContextAttention(*heads, context)
        self.time_feed_forward_norm = FlexRMSNorm(channels)
        self.time_feed_forward = FlexFeedForward(channels, kernel_size, causal=True)

    def forward(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Runs both halves over whole signals.

        Arguments
        ---------
        x : Tensor
            Features (B, T, G, C).
        tokens : Tensor | None
            Keys and values of an enrollment, (B, G, 2, H, P, D).

        Returns
        -------
        Tensor
            (B, T, G, C).
        """
        x = self.along_bands(x)
        y = x.transpose(1, 2).flatten(0, 1)
        tokens = None if tokens is None else tokens.flatten(0, 1)
        y = y + self.time_attention(self.time_attention_norm(y), tokens)
        y = y + self.time_feed_forward(self.time_feed_forward_norm(y))
        return y.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)

    def along_bands(self, x: Tensor) -> Tensor:
        """Runs the first half, frame by frame.

        Arguments
        ---------
        x : Tensor
            Features (B, T, G, C).

        Returns
        -------
        Tensor
            (B, T, G, C).
        """
        y = x.flatten(0, 1)
        y = y + self.band_attention(self.band_attention_norm(y))
        y = y + self.band_feed_forward(self.band_feed_forward_norm(y))
        return y.view(x.shape)

    def enroll(self, x: Tensor, num_tokens: int) -> tuple[Tensor, Tensor]:
        """Summarises a signal for the time attention of another, and goes on with it.

        Arguments
        ---------
        x : Tensor
            Features (B, T, G, C) of the enrollment.
        num_tokens : int
            P, means over time that are kept of each band; fewer frames are all kept.

        Returns
        -------
        tuple[Tensor, Tensor]
            Keys and values (B, G, 2, H, P, D), and features for the next block.
        """
        x = self.along_bands(x)
        frames = self.time_attention_norm(x.transpose(1, 2).flatten(0, 1))
        if frames.shape[1] > num_tokens:
            pooled = F.adaptive_avg_pool1d(frames.transpose(1, 2), num_tokens)
            pooled = pooled.transpose(1, 2)
        else:
            pooled = frames
        _, tokens = self.time_attention.project(pooled)
        tokens = tokens.unflatten(0, (x.shape[0], x.shape[2]))
        y = x.transpose(1, 2).flatten(0, 1)
        y = y + self.time_attention(frames)
        y = y + self.time_feed_forward(self.time_feed_forward_norm(y))
        return tokens, y.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)

    def step(
        self, x: Tensor, memory: Tensor, past: Tensor, slots: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Runs both halves over the next frames of streams.

        Arguments
        ---------
        x : Tensor
            Features (B, T, G, C), any T >= 1.
        memory : Tensor
            Keys and values (B, G, 2, H, P + W, D): those of an enrollment, and a ring
            of those of the last frames, which is written in place.
        past : Tensor
            Inputs of the filters along time, (B, G, kernel_size - 1, 2 C).
        slots : Tensor
            Where the last min(T, W) frames go, (B, min(T, W)).
        bias : Tensor
            Biases of the scores, -inf where a slot holds nothing, (1, H, T, S) or
            (B * G, H, T, S): S slots of the memory, and, if T > 1, T frames.

        Returns
        -------
        tuple[Tensor, Tensor, Tensor]
            Features (B, T, G, C), and the new memory and past.
        """
        batch, frames, bands, channels = x.shape
        attention = self.time_attention
        y = self.along_bands(x).transpose(1, 2).reshape(-1, frames, channels)
        query, new = attention.project(self.time_attention_norm(y))
        new = new.unflatten(0, (batch, bands))
        last = new[..., -slots.shape[1] :, :].to(memory.dtype)
        if frames == 1:
            keys = memory = write_slots(memory, slots, last)
        else:
            # The oldest frame in the ring is seen by the first of these frames only.
            keys = torch.cat((memory, new.to(memory.dtype)), dim=-2)
            memory = write_slots(memory, slots, last)
        keys = keys.flatten(0, 1)
        y = y + attention.attend(query.to(keys.dtype), keys, bias, channels)
        filtered, past = self.time_feed_forward.step(
            self.time_feed_forward_norm(y), past.flatten(0, 1)
        )
        y = (y + filtered).unflatten(0, (batch, bands)).transpose(1, 2)
        return y, memory, past.unflatten(0, (batch, bands))
