"""Streams: what a network remembers of each between two blocks of samples.

The contract: a state is named tensors, each with the streams on its first dimension,
so that streams are taken out of a batch by indexing and joined by concatenation. Sizes
never change: what depends on the past is a ring of slots, and a slot that holds nothing
yet is hidden from attention by a bias of -inf. ``step(x, state)`` returns the output
and the state to go on with; it may write into the tensors that it is given, so a state
that is needed again is cloned first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["RingBiases", "Stream", "StreamState", "ring_slots", "write_slots"]

# Rows of a table of biases, after those of the distances 0 to W - 1.
_TOKEN, _HIDDEN = 0, 1


@dataclass
class StreamState:
    """What a network remembers of a batch of streams.

    Arguments
    ---------
    tensors : dict[str, Tensor]
        Each with the streams on its first dimension.
    settings : Mapping[str, Any]
        What the streams were opened with, for example their sampling rate [Hz]. Only
        streams of equal settings can be joined.
    constants : Mapping[str, int | None]
        What ``reset`` leaves alone: names of tensors, and how many slots of each
        (its first, on the last dimension but one); ``None``: all.

    Example
    -------
    >>> state = StreamState({"seen": torch.tensor([3, 5])})
    >>> state.take([1]).tensors["seen"]
    tensor([5])
    >>> state.reset([0])
    >>> state.tensors["seen"]
    tensor([0, 5])
    """

    tensors: dict[str, Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def batch_size(self) -> int:
        """Number of streams."""
        return len(next(iter(self.tensors.values())))

    @property
    def num_bytes(self) -> int:
        """Memory of all streams [bytes]."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def clone(self) -> "StreamState":
        """Returns a copy that shares no memory.

        Returns
        -------
        StreamState
            The copy.
        """
        tensors = {name: tensor.clone() for name, tensor in self.tensors.items()}
        return StreamState(tensors, self.settings, self.constants)

    def take(self, streams: Sequence[int] | Tensor) -> "StreamState":
        """Returns copies of some streams.

        Arguments
        ---------
        streams : Sequence[int] | Tensor
            Their indices, in the order wanted, or one bool for each stream.

        Returns
        -------
        StreamState
            State of these streams alone.
        """
        index = torch.as_tensor(streams)
        tensors = {
            name: tensor[index.to(tensor.device)]
            for name, tensor in self.tensors.items()
        }
        return StreamState(tensors, self.settings, self.constants)

    @staticmethod
    def join(states: Sequence["StreamState"]) -> "StreamState":
        """Puts streams side by side; they may be of any ages.

        Arguments
        ---------
        states : Sequence[StreamState]
            At least one.

        Returns
        -------
        StreamState
            All streams, in order.

        Raises
        ------
        ValueError
            If there is no state, or their settings differ.

        Example
        -------
        >>> state = StreamState({"seen": torch.tensor([3, 5])})
        >>> StreamState.join([state, state.take([0])]).batch_size
        3
        """
        if not states:
            raise ValueError("states (none) must be at least one")
        first = states[0]
        for state in states[1:]:
            if state.settings != first.settings:
                raise ValueError(
                    f"settings ({dict(state.settings)}) must be those of the first "
                    f"state ({dict(first.settings)})"
                )
        tensors = {
            name: torch.cat([state.tensors[name] for state in states])
            for name in first.tensors
        }
        return StreamState(tensors, first.settings, first.constants)

    # What a step has returned can only be written to in this mode.
    @torch.inference_mode()
    def reset(self, streams: Sequence[int] | Tensor | None = None) -> None:
        """Lets streams start anew, in place; their constants stay.

        Arguments
        ---------
        streams : Sequence[int] | Tensor | None
            Indices, or one bool for each stream; ``None``: all.
        """
        everything = torch.ones(self.batch_size, dtype=torch.bool)
        index = everything if streams is None else torch.as_tensor(streams)
        for name, tensor in self.tensors.items():
            kept = self.constants.get(name, 0)
            if kept is None:
                continue
            places = (index.to(tensor.device),)
            if kept:
                places = (*places, ..., slice(kept, None), slice(None))
            tensor[places] = 0


class Stream:
    """A network and the state of its streams: call it with one block after another.

    Arguments
    ---------
    step : Callable[..., tuple[Tensor, StreamState]]
        Maps a block, a state and further inputs to an output and the next state.
    state : StreamState
        The state to start from.

    Example
    -------
    >>> def count(x, state):
    ...     state.tensors["sum"] += x
    ...     return state.tensors["sum"].clone(), state
    >>> stream = Stream(count, StreamState({"sum": torch.zeros(1)}))
    >>> stream(torch.ones(1)), stream(torch.ones(1))
    (tensor([1.]), tensor([2.]))
    >>> stream.reset()
    >>> stream(torch.ones(1))
    tensor([1.])
    """

    def __init__(
        self, step: Callable[..., tuple[Tensor, StreamState]], state: StreamState
    ):
        self._step = step
        self.state = state

    def __call__(self, x: Tensor, *inputs: Tensor | None) -> Tensor:
        """Takes the next block of every stream.

        Arguments
        ---------
        x : Tensor
            The block.
        *inputs : Tensor | None
            Further inputs of the step.

        Returns
        -------
        Tensor
            The block's output.
        """
        y, self.state = self._step(x, self.state, *inputs)
        return y

    def reset(self, streams: Sequence[int] | Tensor | None = None) -> None:
        """Lets streams start anew.

        Arguments
        ---------
        streams : Sequence[int] | Tensor | None
            Indices, or one bool for each stream; ``None``: all.
        """
        self.state.reset(streams)


def ring_slots(
    seen: Tensor, steps: int, context: int, tokens: Tensor, num_tokens: int
) -> tuple[Tensor, Tensor]:
    """Where the next steps of streams go in a ring, and how far back each slot lies.

    A memory has ``num_tokens`` constant slots, then the ring, of ``context`` slots. One
    step is written before it attends to the memory; of several, the first still sees
    what the last overwrites, so they attend to the memory and then to themselves, and
    are written afterwards.

    Shape: seen (B), tokens (B) -> slots (B, min(steps, W)), rows (B, steps, S) with
    S = num_tokens + W, plus ``steps`` if there are several.

    Arguments
    ---------
    seen : Tensor
        Steps that each stream has taken, int64.
    steps : int
        Steps to come, at least 1.
    context : int
        W, steps that each step sees, itself among them.
    tokens : Tensor
        How many of its constant slots each stream has filled, int64.
    num_tokens : int
        Constant slots of the memory.

    Returns
    -------
    tuple[Tensor, Tensor]
        The slots of the last min(steps, W) steps, and the row in a table of biases for
        each slot that each step may see: its distance, W for constant slots, W + 1 for
        what is hidden.

    Example
    -------
    >>> none = torch.tensor([0])
    >>> slots, rows = ring_slots(torch.tensor([4]), 1, 3, none, num_tokens=0)
    >>> slots, rows # the fifth step goes to slot 1
    (tensor([[1]]), tensor([[[1, 0, 2]]]))
    """
    ring = torch.arange(context, device=seen.device)
    seen = seen.unsqueeze(1)
    if steps == 1:
        slots = seen % context
        distances = (slots - ring) % context
        rows = distances.masked_fill(distances > seen, context + _HIDDEN).unsqueeze(1)
        slots = slots + num_tokens
    else:
        new = torch.arange(steps, device=seen.device)
        slots = (seen + new[-context:]) % context + num_tokens
        ages = (seen - 1 - ring) % context
        distances = ages.unsqueeze(1) + 1 + new.unsqueeze(1)
        hidden = (ages >= seen).unsqueeze(1) | (distances >= context)
        among = (new.unsqueeze(1) - new).expand(seen.shape[0], -1, -1)
        hidden = torch.cat((hidden, (among < 0) | (among >= context)), dim=2)
        rows = torch.cat((distances, among), dim=2)
        rows = rows.masked_fill(hidden, context + _HIDDEN)
    if num_tokens:
        absent = torch.arange(num_tokens, device=seen.device) >= tokens.unsqueeze(1)
        fixed = torch.where(absent, context + _HIDDEN, context + _TOKEN)
        fixed = fixed.unsqueeze(1).expand(-1, steps, -1)
        rows = torch.cat((fixed, rows), dim=2)
    return slots, rows


class RingBiases:
    """Where the next steps of streams go in a ring, and the biases of its slots.

    What ``ring_slots`` finds, looked up in a table. For a single step of a single
    stream, where that would cost as much as a small layer, it is a part of a longer
    table: from slot to slot the distance falls by one, until the ring begins anew.

    Shape: table (N, H, W + 2) -> slots (B, min(steps, W)), biases (N, B, H, steps, S).

    Arguments
    ---------
    table : Tensor
        For N layers and H heads the biases of the distances 0 to W - 1, of constant
        slots, and of what is hidden.

    Example
    -------
    >>> biases = RingBiases(torch.tensor([[[0.0, 1, 2, 7, -torch.inf]]]))
    >>> none = torch.tensor([0])
    >>> biases(torch.tensor([1]), 1, none, 0) # the second step goes to slot 1
    (tensor([[1]]), tensor([[[[[1., 0., -inf]]]]]))
    """

    def __init__(self, table: Tensor):
        self.table = table
        self.context = table.shape[-1] - 2
        distances = table[:, None, :, None, : self.context].flip(-1)
        hidden = table[:, None, :, None, -1:].expand_as(distances)
        self.full = torch.cat((distances, distances), dim=-1)
        self.filling = torch.cat((distances, hidden), dim=-1)

    def __call__(
        self, seen: Tensor, steps: int, tokens: Tensor, num_tokens: int
    ) -> tuple[Tensor, Tensor]:
        """Looks up the next steps.

        Arguments
        ---------
        seen : Tensor
            Steps that each stream has taken, (B), int64.
        steps : int
            Steps to come, at least 1.
        tokens : Tensor
            How many of its constant slots each stream has filled, (B), int64.
        num_tokens : int
            Constant slots of the memory.

        Returns
        -------
        tuple[Tensor, Tensor]
            Slots and biases.
        """
        single = len(seen) == 1 and steps == 1 and not num_tokens
        if single and seen.device.type == "cpu" and not torch.jit.is_tracing():
            count = int(seen)
            longer = self.filling if count < self.context else self.full
            start = self.context - 1 - count % self.context
            slots = seen.unsqueeze(1) % self.context
            return slots, longer[..., start : start + self.context]
        slots, rows = ring_slots(seen, steps, self.context, tokens, num_tokens)
        biases = self.table.index_select(2, rows.flatten())
        return slots, biases.view(*self.table.shape[:2], *rows.shape).transpose(1, 2)


def write_slots(memory: Tensor, slots: Tensor, values: Tensor) -> Tensor:
    """Writes into the slots of a memory, in place, or while tracing into a copy.

    Arguments
    ---------
    memory : Tensor
        (B, ..., S, D).
    slots : Tensor
        Which of the S slots each stream's values go to, (B, K).
    values : Tensor
        (B, ..., K, D).

    Returns
    -------
    Tensor
        The memory.

    Example
    -------
    >>> write_slots(torch.zeros(1, 3, 1), torch.tensor([[2]]), torch.ones(1, 1, 1))
    tensor([[[0.],
             [0.],
             [1.]]])
    """
    shape = (slots.shape[0], *[1] * (memory.ndim - 3), slots.shape[1], 1)
    index = slots.view(shape).expand(values.shape)
    # A traced program must not change its inputs.
    if torch.jit.is_tracing():
        return memory.scatter(-2, index, values)
    return memory.scatter_(-2, index, values)
