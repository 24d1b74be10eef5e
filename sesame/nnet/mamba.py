"""The Mamba mixer: a gated, convolved selective state-space layer."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from sesame.nnet.causal_conv import CausalConv
from sesame.nnet.pieces import piece_size
from sesame.nnet.selective_scan import selective_scan, selective_scan_step

__all__ = ["Mamba", "MambaState"]

# Range of the time steps after initialisation, and the least of them.
_MIN_DELTA, _MAX_DELTA, _FLOOR = 1e-3, 1e-1, 1e-4
# Bytes of the widest temporary tensor at a time, on a CPU without gradients.
_PIECE_BYTES = 2**22


class MambaState(NamedTuple):
    """What a Mamba mixer remembers between two steps.

    Arguments
    ---------
    convolution : torch.Tensor
        Last inputs of the convolution, oldest first, (N, conv_width - 1, I).
    scan : torch.Tensor
        State of the scan (N, I, P), float32.
    """

    convolution: torch.Tensor
    scan: torch.Tensor


class Mamba(nn.Module):
    """Mamba-1: projection, causal convolution, selective scan, gate, projection.

    Shape: x (N, S, C) -> (N, S, C); inside, I = expand * C channels with P states each.
    Source: arXiv:2312.00752, section 3.4; state-spaces/mamba@v1.2.2,
    mamba_ssm/modules/mamba_simple.py.

    Arguments
    ---------
    channels : int
        Width C of the input and the output.
    expand : int
        Inner channels per channel.
    state_size : int
        P, states of each inner channel.
    conv_width : int
        Taps of the depthwise convolution.
    dt_rank : int | None
        Width from which the time steps are projected; ``None`` is C / 16, rounded up.
    reverse : bool
        Reads the sequence from its last step to its first: the same function between
        two flips, without the flips.

    Raises
    ------
    ValueError
        If a size is less than 1.

    Example
    -------
    >>> Mamba(channels=8)(torch.randn(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        channels: int,
        expand: int = 4,
        state_size: int = 16,
        conv_width: int = 4,
        dt_rank: int | None = None,
        reverse: bool = False,
    ):
        super().__init__()
        dt_rank = math.ceil(channels / 16) if dt_rank is None else dt_rank
        sizes = {
            "channels": channels,
            "expand": expand,
            "state_size": state_size,
            "conv_width": conv_width,
            "dt_rank": dt_rank,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} ({size}) must be at least 1")
        self.reverse = reverse
        self.inner_channels = expand * channels
        self.state_size = state_size
        self.dt_rank = dt_rank
        inner = self.inner_channels
        self.in_projection = nn.Linear(channels, 2 * inner, bias=False)
        self.convolution = CausalConv(inner, conv_width, reverse)
        self.scan_projection = nn.Linear(inner, dt_rank + 2 * state_size, bias=False)
        self.delta_projection = nn.Linear(dt_rank, inner)
        states = torch.arange(1, state_size + 1, dtype=torch.get_default_dtype())
        self.log_decay = nn.Parameter(states.log().repeat(inner, 1))
        self.direct = nn.Parameter(torch.ones(inner))
        self.out_projection = nn.Linear(inner, channels, bias=False)
        self._initialize_delta()

    @torch.no_grad()
    def _initialize_delta(self):
        nn.init.uniform_(
            self.delta_projection.weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5
        )
        log_range = math.log(_MIN_DELTA), math.log(_MAX_DELTA)
        delta = torch.empty(self.inner_channels).uniform_(*log_range).exp()
        delta = delta.clamp(min=_FLOOR)
        # softplus of this bias is delta
        self.delta_projection.bias.copy_(delta + torch.log(-torch.expm1(-delta)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mixes the steps of each sequence.

        Arguments
        ---------
        x : torch.Tensor
            Sequences (N, S, C).

        Returns
        -------
        torch.Tensor
            (N, S, C).
        """
        pieces = [self._mix(piece) for piece in self._split(x)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _split(self, x):
        size = x.shape[0]
        # A traced program would keep the number of sequences.
        if torch.is_grad_enabled() or torch.jit.is_tracing() or not size:
            return (x,)
        row_bytes = 2 * self.inner_channels * x.shape[1] * x.element_size()
        return x.split(piece_size(x, size, row_bytes, _PIECE_BYTES))

    def _mix(self, x):
        inputs, gate = self.in_projection(x).chunk(2, dim=-1)
        inputs = F.silu(self.convolution(inputs))
        delta, scan_in, scan_out = self._scan_arguments(inputs)
        decay = -torch.exp(self.log_decay.float())
        mixed = selective_scan(
            inputs, delta, decay, scan_in, scan_out, self.direct, reverse=self.reverse
        )
        return self.out_projection(mixed * F.silu(gate))

    def _scan_arguments(self, inputs):
        sizes = (self.dt_rank, self.state_size, self.state_size)
        steps, scan_in, scan_out = self.scan_projection(inputs).split(sizes, dim=-1)
        return F.softplus(self.delta_projection(steps)), scan_in, scan_out

    def initial_state(self, num_sequences: int) -> MambaState:
        """State before the first step.

        Arguments
        ---------
        num_sequences : int
            N.

        Returns
        -------
        MambaState
            Zeros, on the device of the parameters.
        """
        past, inner = self.convolution.kernel_size[0] - 1, self.inner_channels
        weight = self.convolution.weight
        scan_dtype = torch.promote_types(weight.dtype, torch.float32)
        return MambaState(
            weight.new_zeros(num_sequences, past, inner),
            weight.new_zeros(num_sequences, inner, self.state_size, dtype=scan_dtype),
        )

    def step(
        self, x: torch.Tensor, state: MambaState
    ) -> tuple[torch.Tensor, MambaState]:
        """Takes one step of each sequence: the same as ``forward`` over all of them.

        Arguments
        ---------
        x : torch.Tensor
            One step (N, C).
        state : MambaState
            What the step before returned, or ``initial_state``.

        Returns
        -------
        tuple[torch.Tensor, MambaState]
            The step's output (N, C) and the new state.

        Raises
        ------
        ValueError
            If the mixer reads in reverse: its first step is the last of the sequence.
        """
        if self.reverse:
            raise ValueError("reverse (True) must be False to go step by step")
        inputs, gate = self.in_projection(x).chunk(2, dim=-1)
        window = torch.cat((state.convolution, inputs[:, None]), dim=1)
        inputs = F.silu(self.convolution(inputs[:, None], state.convolution)[:, 0])
        delta, scan_in, scan_out = self._scan_arguments(inputs)
        decay = -torch.exp(self.log_decay.float())
        mixed, scan = selective_scan_step(
            state.scan, inputs, delta, decay, scan_in, scan_out, self.direct
        )
        y = self.out_projection(mixed * F.silu(gate))
        return y, MambaState(window[:, 1:], scan)
