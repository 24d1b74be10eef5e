"""The mLSTM mixer: a matrix memory per head between two projections."""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from sesame.features.precision import at_least_float32
from sesame.nnet.causal_conv import CausalConv
from sesame.nnet.mlstm_cell import MLSTMCellState, mlstm_cell, mlstm_cell_step
from sesame.nnet.pieces import piece_size

__all__ = ["MLSTM", "MLSTMState"]

# Neighbouring channels that the projections to queries, keys and values mix.
_BLOCK = 4
# Width of the products that do it: wider ones multiply more zeros, narrower ones are
# slow for being small.
_PRODUCT = 16
# Bytes of the widest temporary tensor of the sequences at a time, on a CPU.
_PIECE_BYTES = 2**23


class MLSTMState(NamedTuple):
    """What an mLSTM mixer remembers between two steps.

    Arguments
    ---------
    convolution : Tensor
        Last inputs of the convolution, oldest first, (N, conv_width - 1, I).
    cell : MLSTMCellState
        Memory of the cell, with (H, N) in front, at least float32.
    """

    convolution: Tensor
    cell: MLSTMCellState


class BlockLinear(nn.Module):
    """Linear map within blocks of four channels, the result laid out by head.

    Shape: x (N, S, I) -> (H, N, S, I / H).
    Source: NikolaiKyhne/xLSTM-SENet@353a143 (LinearHeadwiseExpand of Vision-LSTM).

    Arguments
    ---------
    channels : int
        Width I of the input and of all heads together.
    num_heads : int
        H.

    Example
    -------
    >>> BlockLinear(channels=16, num_heads=2)(torch.randn(3, 5, 16)).shape
    torch.Size([2, 3, 5, 8])
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.weight = nn.Parameter(torch.empty(channels // _BLOCK, _BLOCK, _BLOCK))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Projects every step, (N, S, I) -> (H, N, S, I / H)."""
        width = math.gcd(_PRODUCT, self.bias.numel() // self.num_heads)
        blocks = rearrange(self.weight, "(g b) o i -> g b o i", b=width // _BLOCK)
        eye = torch.eye(width // _BLOCK, dtype=blocks.dtype, device=blocks.device)
        weight = torch.einsum("gboi,bc->gcibo", blocks, eye).flatten(3).flatten(1, 2)
        y = torch.baddbmm(
            self.bias.view(-1, 1, width),
            rearrange(x, "n s (g i) -> g (n s) i", i=width),
            weight,
        )
        return rearrange(
            y, "(h g) (n s) o -> h n s (g o)", h=self.num_heads, s=x.shape[1]
        )


class HeadNorm(nn.Module):
    """Normalises every head of every step by itself, then scales and shifts channels.

    A group norm whose backward is several times as fast on a CPU as torch's.

    Shape: x (H, N, S, I / H) -> (N, S, I).

    Arguments
    ---------
    channels : int
        Width I of all heads together.
    num_heads : int
        H.

    Example
    -------
    >>> HeadNorm(channels=16, num_heads=2)(torch.randn(2, 3, 5, 8)).shape
    torch.Size([3, 5, 16])
    """

    def __init__(self, channels: int, num_heads: int):
        super().__init__()
        self.head_channels = channels // num_heads
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Returns (H, N, S, I / H) normalised and laid out as (N, S, I)."""
        normed = F.layer_norm(x, (self.head_channels,))
        return rearrange(normed, "h n s d -> n s (h d)") * self.weight + self.bias


class MLSTM(nn.Module):
    """xLSTM mixer: projection, causal convolution, matrix memory, gate, projection.

    Starts as the authors' network does: normal weights, of variance 2 / (5 C) into
    the mixer and to queries, keys and values, and 4 / C out of it; every bias and the
    weights of both gates 0 (a bare block of theirs starts with other gate biases, which
    the network that is built of it overwrites); the convolution as PyTorch has it.

    Shape: x (N, S, C) -> (N, S, C); inside, I = expand * C channels.
    Source: arXiv:2406.04303, section 3; NikolaiKyhne/xLSTM-SENet@353a143 (ViLLayer).

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    expand : int
        Inner channels per channel.
    num_heads : int
        H, memories side by side.
    conv_width : int
        Taps of the depthwise convolution.
    reverse : bool
        Reads the sequence from its last step to its first: the same function between
        two flips.

    Raises
    ------
    ValueError
        If a size is less than 1 or a head's width is not a multiple of 4.

    Example
    -------
    >>> MLSTM(channels=8)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        channels: int,
        expand: int = 4,
        num_heads: int = 4,
        conv_width: int = 4,
        reverse: bool = False,
    ):
        super().__init__()
        sizes = {
            "channels": channels,
            "expand": expand,
            "num_heads": num_heads,
            "conv_width": conv_width,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} ({size}) must be at least 1")
        inner = expand * channels
        if inner % (_BLOCK * num_heads):
            raise ValueError(
                f"expand * channels ({inner}) must be a multiple of "
                f"{_BLOCK} * num_heads ({_BLOCK * num_heads})"
            )
        self.reverse = reverse
        self.num_heads = num_heads
        self.inner_channels = inner
        self.in_projection = nn.Linear(channels, 2 * inner)
        self.conv = CausalConv(inner, conv_width)
        self.query = BlockLinear(inner, num_heads)
        self.key = BlockLinear(inner, num_heads)
        self.value = BlockLinear(inner, num_heads)
        self.input_gate = nn.Linear(3 * inner, num_heads)
        self.forget_gate = nn.Linear(3 * inner, num_heads)
        self.out_norm = HeadNorm(inner, num_heads)
        self.skip = nn.Parameter(torch.ones(inner))
        self.out_projection = nn.Linear(inner, channels)
        self._initialize(channels)

    def _initialize(self, channels):
        for module in (self.in_projection, self.query, self.key, self.value):
            nn.init.normal_(module.weight, std=math.sqrt(2 / (5 * channels)))
        nn.init.normal_(self.out_projection.weight, std=2 / math.sqrt(channels))
        for gate in (self.input_gate, self.forget_gate):
            nn.init.zeros_(gate.weight)
            nn.init.zeros_(gate.bias)
        nn.init.zeros_(self.in_projection.bias)
        nn.init.zeros_(self.out_projection.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : Tensor
            Sequences (N, S, C).

        Returns
        -------
        Tensor
            (N, S, C).
        """
        if self.reverse:
            x = x.flip(1)
        pieces = [self._mix(piece) for piece in self._split(x)]
        y = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        return y.flip(1) if self.reverse else y

    def _split(self, x):
        if torch.jit.is_tracing():
            return (x,)
        row_bytes = 2 * self.inner_channels * x.shape[1] * x.element_size()
        return x.split(piece_size(x, x.shape[0], row_bytes, _PIECE_BYTES))

    def _mix(self, x):
        inputs, gate = self.in_projection(x).chunk(2, dim=-1)
        convolved = F.silu(self.conv(inputs))
        parts = self.query(convolved), self.key(convolved), self.value(inputs)
        with torch.autocast(x.device.type, enabled=False):
            mixed = mlstm_cell(*self._with_gates(parts))
        return self._join(mixed, convolved, gate)

    def _with_gates(self, parts):
        """Queries, keys, values (H, N, S, D) and both gates (H, N, S).

        Rounding errors of the gates grow exponentially: no half precision from here.
        """
        parts = [at_least_float32(part) for part in parts]
        gates = torch.cat((self.input_gate.bias, self.forget_gate.bias)).unsqueeze(1)
        weights = torch.cat((self.input_gate.weight, self.forget_gate.weight))
        weights = rearrange(weights, "o (k h d) -> k h o d", k=3, h=self.num_heads)
        for weight, part in zip(at_least_float32(weights), parts, strict=True):
            columns = part.flatten(1, 2).transpose(1, 2)
            gates = gates + (weight @ columns).sum(0)
        steps = parts[0].shape[2]
        return *parts, *rearrange(gates, "(k h) (n s) -> k h n s", k=2, s=steps)

    def _join(self, mixed, convolved, gate):
        mixed = self.out_norm(mixed).to(convolved.dtype) + self.skip * convolved
        return self.out_projection(mixed * F.silu(gate))

    def initial_state(self, num_sequences: int) -> MLSTMState:
        """State before the first step.

        Arguments
        ---------
        num_sequences : int
            N.

        Returns
        -------
        MLSTMState
            Nothing remembered, on the device of the parameters.
        """
        weight = self.conv.weight
        past = self.conv.kernel_size[0] - 1
        width = self.inner_channels // self.num_heads
        key = at_least_float32(weight.new_zeros(self.num_heads, num_sequences, width))
        return MLSTMState(
            weight.new_zeros(num_sequences, past, self.inner_channels),
            MLSTMCellState.initial(key),
        )

    def step(self, x: Tensor, state: MLSTMState) -> tuple[Tensor, MLSTMState]:
        """Takes one step of each sequence: the same as ``forward`` over all of them.

        Arguments
        ---------
        x : Tensor
            One step (N, C).
        state : MLSTMState
            What the step before returned, or ``initial_state``.

        Returns
        -------
        tuple[Tensor, MLSTMState]
            The step's output (N, C) and the new state.

        Raises
        ------
        ValueError
            If the mixer reads in reverse: its first step is the last of the sequence.
        """
        if self.reverse:
            raise ValueError("reverse (True) must be False to go step by step")
        inputs, gate = self.in_projection(x[:, None]).chunk(2, dim=-1)
        convolved = F.silu(self.conv(inputs, state.convolution))
        parts = self.query(convolved), self.key(convolved), self.value(inputs)
        with torch.autocast(x.device.type, enabled=False):
            step = (part.squeeze(2) for part in self._with_gates(parts))
            mixed, cell = mlstm_cell_step(state.cell, *step)
        past = torch.cat((state.convolution, inputs), dim=1)[:, 1:]
        y = self._join(mixed.unsqueeze(2), convolved, gate).squeeze(1)
        return y, MLSTMState(past, cell)
