"""Matrix memory of the xLSTM: exponential gates, stabilised, a chunk at a time."""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

__all__ = ["MLSTMCellState", "mlstm_cell", "mlstm_cell_step"]

# Within a chunk the work per step grows with its length, between chunks with the width
# of the memory: both alike cost least.
_CHUNK_LENGTH = 64
_EPSILON = 1e-6
# exp(80) is more than any sum that matters, and float32 still holds its inverse.
_LARGEST_EXPONENT = 80.0


class MLSTMCellState(NamedTuple):
    """What the cell remembers of the steps so far.

    A step's weight in both sums is exp(its input gate + the logarithms of the forget
    gates since - ``maximum``), at most 1.

    Shape: ``memory`` (*, D, D), sum of k v^T; ``normalizer`` (*, D, 1), sum of k;
    ``maximum`` (*, 1, 1), largest logarithm of a weight, -inf before the first step.

    Example
    -------
    >>> state = MLSTMCellState.initial(torch.zeros(2, 4))
    >>> state.memory.shape, state.maximum.flatten().tolist()
    (torch.Size([2, 4, 4]), [-inf, -inf])
    """

    memory: Tensor
    normalizer: Tensor
    maximum: Tensor

    @classmethod
    def initial(cls, key: Tensor) -> "MLSTMCellState":
        """Returns the state before the first step.

        Arguments
        ---------
        key : Tensor
            Any key (*, D): its shape, type and device count.

        Returns
        -------
        MLSTMCellState
            Nothing remembered.

        Example
        -------
        >>> MLSTMCellState.initial(torch.zeros(3, 4)).normalizer.shape
        torch.Size([3, 4, 1])
        """
        *batch, width = key.shape
        return cls(
            key.new_zeros(*batch, width, width),
            key.new_zeros(*batch, width, 1),
            key.new_full((*batch, 1, 1), -torch.inf),
        )


def mlstm_cell(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    input_gate: Tensor,
    forget_gate: Tensor,
    chunk_length: int = _CHUNK_LENGTH,
) -> Tensor:
    """Reads the matrix memory after every step.

    Step t sees step s <= t with the weight exp(d[t, s] - m[t]) * (q[t] . k[s]) /
    sqrt(D), where d[t, s] = i[s] + log f[s + 1] + ... + log f[t] and m[t] is the
    largest d[t, s]. The weighted sum of the values is divided by max(|sum of weights|,
    exp(-m[t])) + 1e-6.

    Each chunk of steps attends to itself and to the memory that the chunks before it
    left. This is exact, takes time and memory linear in S, and rounds less than sums
    over the whole sequence do.

    Shape: query, key, value (*, S, D), gates (*, S) -> (*, S, D).
    Source: arXiv:2405.04517, section 2.3 and appendix A.3 (parallel form); 1e-6 as in
    NikolaiKyhne/xLSTM-SENet@353a143.

    Arguments
    ---------
    query : Tensor
        q, (*, S, D).
    key : Tensor
        k, (*, S, D).
    value : Tensor
        (*, S, D).
    input_gate : Tensor
        i, logarithm of the input gate, (*, S).
    forget_gate : Tensor
        Forget gate before its sigmoid f, (*, S).
    chunk_length : int
        Longest chunk, in steps, at least 1.

    Returns
    -------
    Tensor
        (*, S, D).

    Example
    -------
    >>> q, k, v = torch.randn(3, 2, 7, 4)
    >>> gates = torch.randn(2, 2, 7)
    >>> y = mlstm_cell(q, k, v, *gates)
    >>> torch.allclose(y, mlstm_cell(q, k, v, *gates, chunk_length=3), atol=1e-3)
    True
    """
    steps = query, _scaled(key), value, input_gate[..., None], _log_forget(forget_gate)
    if torch.jit.is_tracing():
        return _read_traced(*steps)
    count = -(-query.shape[-2] // chunk_length)
    chunks = zip(*(part.chunk(count, dim=-2) for part in steps), strict=True)
    state, outputs = None, []
    for query, key, value, log_input, log_forget in chunks:
        kept = log_forget.cumsum(-2)
        gained = log_input - kept
        outputs.append(_read(state, query, key, value, gained, kept))
        if len(outputs) < count:
            state = _remember(state, key, value, gained, kept)
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-2)


def mlstm_cell_step(
    state: MLSTMCellState,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    input_gate: Tensor,
    forget_gate: Tensor,
) -> tuple[Tensor, MLSTMCellState]:
    """Remembers one step and reads the memory after it, as ``mlstm_cell`` does.

    Shape: query, key, value (*, D), gates (*) -> (*, D) and the state.

    Arguments
    ---------
    state : MLSTMCellState
        After the steps before.
    query : Tensor
        (*, D).
    key : Tensor
        (*, D).
    value : Tensor
        (*, D).
    input_gate : Tensor
        Logarithm of the input gate, (*).
    forget_gate : Tensor
        Forget gate before its sigmoid, (*).

    Returns
    -------
    tuple[Tensor, MLSTMCellState]
        What the memory answers, (*, D), and the state after the step.

    Example
    -------
    >>> q, k, v = torch.randn(3, 2, 4)
    >>> gates = torch.randn(2, 2)
    >>> y, state = mlstm_cell_step(MLSTMCellState.initial(k), q, k, v, *gates)
    >>> y.shape, state.memory.shape
    (torch.Size([2, 4]), torch.Size([2, 4, 4]))
    """
    key = _scaled(key).unsqueeze(-1)
    gained = input_gate[..., None, None]
    kept = _log_forget(forget_gate)[..., None] + state.maximum
    largest = torch.maximum(gained, kept)
    gained, kept = (gained - largest).exp(), (kept - largest).exp()
    memory = kept * state.memory + gained * (key * value.unsqueeze(-2))
    normalizer = kept * state.normalizer + gained * key
    query = query.unsqueeze(-2)
    y = _divided(query @ memory, query @ normalizer, largest)
    return y.squeeze(-2), MLSTMCellState(memory, normalizer, largest)


def _scaled(key):
    # In the type of the key also where a trace makes the width a tensor of its own.
    return key * key.new_full((), key.shape[-1]).rsqrt()


def _log_forget(forget_gate):
    """Logarithm of the forget gate (*, S) as (*, S, 1)."""
    # ONNX has the sigmoid and the logarithm only, one after the other.
    return F.logsigmoid(forget_gate.clamp(min=-_LARGEST_EXPONENT)).unsqueeze(-1)


def _divided(total, weight, largest):
    least = (-largest).clamp(max=_LARGEST_EXPONENT).exp()
    return total / (torch.maximum(weight.abs(), least) + _EPSILON)


def _future(count, like):
    """0 where column s <= row t, else -inf."""
    size = (count, count)
    return torch.full(size, -torch.inf, dtype=like.dtype, device=like.device).triu(1)


def _read(state, query, key, value, gained, kept):
    """Output of a chunk, with d[t, s] = kept[t] + gained[s]."""
    logarithms = gained.transpose(-2, -1) + _future(gained.shape[-2], gained)
    # ONNX has no running maximum.
    traced = torch.jit.is_tracing()
    largest = logarithms.amax(-1, True) if traced else gained.cummax(-2).values
    if state is not None:
        largest = torch.maximum(largest, state.maximum)
    weights = (query @ key.transpose(-2, -1)) * logarithms.sub_(largest).exp_()
    total = weights @ value
    weight = weights.sum(-1, keepdim=True)
    if state is not None:
        before = (state.maximum - largest).exp()
        total = total + (query @ state.memory) * before
        weight = weight + (query @ state.normalizer) * before
    return _divided(total, weight, kept + largest)


def _remember(state, key, value, gained, kept):
    """State after a chunk, from the one before it."""
    largest = gained.amax(-2, keepdim=True)
    if state is not None:
        largest = torch.maximum(largest, state.maximum)
    weighted = key * (gained - largest).exp()
    memory = weighted.transpose(-2, -1) @ value
    normalizer = weighted.sum(-2).unsqueeze(-1)
    if state is not None:
        before = (state.maximum - largest).exp()
        memory = memory + state.memory * before
        normalizer = normalizer + state.normalizer * before
    return MLSTMCellState(memory, normalizer, kept[..., -1:, :] + largest)


def _read_traced(*steps):
    """All chunks at once: the program must not depend on their number."""
    length = steps[0].shape[-2]
    padding = (0, 0, 0, -length % _CHUNK_LENGTH)
    query, key, value, log_input, log_forget = (
        rearrange(F.pad(part, padding), "... (k l) d -> ... k l d", l=_CHUNK_LENGTH)
        for part in steps
    )
    kept = log_forget.cumsum(-2)
    gained = log_input - kept
    left = _remember(None, key, value, gained, kept)
    y = _read(_chained(left, kept[..., -1, 0]), query, key, value, gained, kept)
    return rearrange(y, "... k l d -> ... (k l) d")[..., :length, :]


def _chained(left, kept):
    """State before each chunk, from what each alone left behind and kept (*, K)."""
    count = kept.shape[-1]
    # Row c, column s: kept[s + 1] + ... + kept[c]
    between = torch.ones(count, count, dtype=kept.dtype, device=kept.device).tril(-1)
    between = (kept.unsqueeze(-1) * between).cumsum(-2)
    logarithms = left.maximum[..., 0].transpose(-2, -1) + between
    logarithms = logarithms + _future(count, kept)
    largest = logarithms.amax(-1, keepdim=True)
    weights = (logarithms - largest).exp()
    memory = torch.einsum("...cs,...sij->...cij", weights, left.memory)
    normalizer = weights @ left.normalizer[..., 0]
    states = memory, normalizer.unsqueeze(-1), largest.unsqueeze(-1)
    fillers = 0.0, 0.0, -torch.inf
    return MLSTMCellState(
        *(
            F.pad(part[..., :-1, :, :], (0, 0, 0, 0, 1, 0), value=filler)
            for part, filler in zip(states, fillers, strict=True)
        )
    )
