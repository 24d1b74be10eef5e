"""Batches of degraded speech, with enrollments of different lengths or none."""

from typing import Any

import torch
from speechbrain.dataio.batch import PaddedBatch

from sesame.data.both_voices import with_other_voice
from sesame.data.crops import tile

_SIGNALS = ("degraded_sig", "target_sig", "far_end_sig")
_FLAGS = ("has_far_end", "has_enrollment")


def degraded_batch(examples: list[dict[str, Any]]) -> PaddedBatch:
    """Collates degraded speech: ``collate_fn`` of a loader.

    An enrollment that is shorter than the longest of the batch is repeated, not padded:
    a network that pools it hears the voice, not silence.

    Arguments
    ---------
    examples : list[dict[str, Any]]
        Items of ``degraded_dataset``; they go through ``with_other_voice``.

    Returns
    -------
    PaddedBatch
        ``degraded_sig``, ``target_sig`` and ``far_end_sig`` with ``data`` (B, L) and
        ``lengths`` (B,); ``enrollment_sig`` (B, Le), zeros where there is none and Le 0
        where no item has one; ``has_far_end`` and ``has_enrollment`` (B,), bool;
        ``id`` and ``task``, lists.

    Example
    -------
    >>> item = {"id": "a", "degraded_sig": torch.ones(4), "task": "declip"}
    >>> item |= {"enrollment_sig": torch.ones(0), "has_enrollment": False}
    >>> other = {**item, "enrollment_sig": torch.arange(3.0), "has_enrollment": True}
    >>> batch = degraded_batch([item, other])
    >>> batch.enrollment_sig, batch.has_enrollment
    (tensor([[0., 0., 0.], [0., 1., 2.]]), tensor([False,  True]))
    """
    examples = with_other_voice(examples)
    longest = max(len(example["enrollment_sig"]) for example in examples)
    examples = [
        {
            **example,
            **{name: torch.tensor(example[name]) for name in _FLAGS if name in example},
            "enrollment_sig": _repeat(example["enrollment_sig"], longest),
        }
        for example in examples
    ]
    return PaddedBatch(examples, padded_keys=_SIGNALS)


def _repeat(waveform: torch.Tensor, length: int) -> torch.Tensor:
    if len(waveform) == 0:
        return waveform.new_zeros(length)
    return torch.from_numpy(tile(waveform.numpy(), length).copy())
