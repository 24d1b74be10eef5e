"""Convolutions over the time-frequency plane, (B, C, T, F)."""

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from sesame.nnet.pieces import piece_size

__all__ = ["ConvUnit", "DenseBlock", "SubPixelConv"]

# Bytes of stacked inputs at a time: what the second- and third-level caches hold.
_STACK_BYTES = 2**23


class ConvUnit(nn.Sequential):
    """Convolution, instance normalisation over the whole plane, PReLU per channel.

    The normalisation uses the statistics of the whole utterance, so a padded batch
    gives other values than its items alone, and no network built on it is causal.

    Shape: x (B, in_channels, T, F) -> (B, out_channels, T', F').
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py.

    Arguments
    ---------
    in_channels : int
        Channels of the input.
    out_channels : int
        Channels of the output.
    kernel_size : tuple[int, int]
        Taps along (T, F).
    **convolution
        Further arguments of ``nn.Conv2d``: stride, padding, dilation.

    Example
    -------
    >>> ConvUnit(2, 4, (1, 3), stride=(1, 2))(torch.randn(1, 2, 6, 9)).shape
    torch.Size([1, 4, 6, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int],
        **convolution,
    ):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, **convolution)
        self.norm = nn.InstanceNorm2d(out_channels, affine=True)
        self.activation = nn.PReLU(out_channels)


class DenseBlock(nn.Module):
    """Dilated convolutions, each reading the outputs of all earlier ones.

    Layer i is dilated by 2**i frames. The output of the last layer is returned.

    Shape: x (B, C, T, F) -> (B, C, T, F).
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py (causal); the 2023 codec of
    RoyChao19477/SEMamba@750ff5d, models/codec_module.py (not causal).

    Arguments
    ---------
    channels : int
        C, of the input and of every layer.
    depth : int
        Number of layers.
    causal : bool
        True: kernel (2, 3), padded on the past side of time. False: kernel (3, 3),
        padded on both sides. The convolutions alone are causal; the instance
        normalisation between them is not.

    Example
    -------
    >>> DenseBlock(4, depth=2)(torch.randn(1, 4, 6, 5)).shape
    torch.Size([1, 4, 6, 5])
    """

    def __init__(self, channels: int, depth: int = 4, causal: bool = True):
        super().__init__()
        self.causal = causal
        self.layers = nn.ModuleList(
            ConvUnit(
                channels * (index + 1),
                channels,
                kernel_size=(2 if causal else 3, 3),
                dilation=(2**index, 1),
                # Left to the convolution, padding in time slows its gradient twofold.
                padding=(0, 1),
            )
            for index in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the layers.

        Arguments
        ---------
        x : torch.Tensor
            Features (B, C, T, F).

        Returns
        -------
        torch.Tensor
            (B, C, T, F), the output of the last layer.
        """
        outputs = [x]  # newest first, the order of the authors' weights
        for layer in self.layers:
            convolved = self._convolve(layer.conv, outputs)
            outputs.insert(0, layer.activation(layer.norm(convolved)))
        return outputs[0]

    def _convolve(self, conv, outputs):
        frames = outputs[0].shape[2]
        size = frames
        if not torch.is_grad_enabled():  # the gradient would need the stack anyway
            frame_bytes = sum(o[:, :, 0].nbytes for o in outputs)
            size = piece_size(outputs[0], frames, frame_bytes, _STACK_BYTES)
        past = conv.dilation[0]
        future = 0 if self.causal else past
        pieces = []
        for start in range(0, frames, size):
            first, last = start - past, min(start + size, frames) + future
            stacked = torch.cat([o[:, :, max(first, 0) : last] for o in outputs], dim=1)
            missing = (max(-first, 0), max(last - frames, 0))
            if any(missing):
                stacked = F.pad(stacked, (0, 0, *missing))
            pieces.append(conv(stacked))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)


class SubPixelConv(nn.Module):
    """Up-samples frequency: a convolution makes the new bins as extra channels.

    Shape: x (B, in_channels, T, F) -> (B, out_channels, T, factor * F). The new bin
    ``factor * f + r`` comes from channel group r of bin f.
    Source: yxlu-0102/MP-SENet@89932cf, models/generator.py (SPConvTranspose2d).

    Arguments
    ---------
    in_channels : int
        Channels of the input.
    out_channels : int
        Channels of the output.
    factor : int
        How many bins each bin becomes.

    Example
    -------
    >>> SubPixelConv(4, 8)(torch.randn(1, 4, 6, 5)).shape
    torch.Size([1, 8, 6, 10])
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2):
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(
            in_channels, factor * out_channels, kernel_size=(1, 3), padding=(0, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiplies the number of bins by ``factor``.

        Arguments
        ---------
        x : torch.Tensor
            Features (B, in_channels, T, F).

        Returns
        -------
        torch.Tensor
            (B, out_channels, T, factor * F).
        """
        return rearrange(self.conv(x), "b (r c) t f -> b c t (f r)", r=self.factor)
