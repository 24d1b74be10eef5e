"""Each voice of a mixture as the wanted one, side by side in a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

OTHER_VOICE_KEYS = ("other_target_sig", "other_enrollment_sig")


def with_other_voice(examples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Let each extraction be followed by that of the other voice from the same mixture.

    What a network loses by listening to nobody's voice in particular is the same for
    both and cancels in their gradients; what is left depends on the enrollment. Drawn
    one by one, extractions teach it far more slowly.

    The other one takes the place of the item that came next, so that a batch keeps its
    size; the last item of a batch stays alone.

    Arguments
    ---------
    examples : Sequence[Mapping[str, Any]]
        Items of ``degraded_dataset``; those without ``OTHER_VOICE_KEYS`` are kept as
        they are.

    Returns
    -------
    list[dict[str, Any]]
        As many, without ``OTHER_VOICE_KEYS``.

    Example
    -------
    >>> item = {"id": "a", "has_enrollment": True, "target_sig": 1}
    >>> item |= {"enrollment_sig": 2, "other_target_sig": 3, "other_enrollment_sig": 4}
    >>> first, second = with_other_voice([item, item])
    >>> first
    {'id': 'a', 'has_enrollment': True, 'target_sig': 1, 'enrollment_sig': 2}
    >>> second["target_sig"], second["enrollment_sig"]
    (3, 4)
    """
    paired: list[dict[str, Any]] = []
    remaining = iter(examples)
    for example in remaining:
        own = {k: v for k, v in example.items() if k not in OTHER_VOICE_KEYS}
        paired.append(own)
        has_other = example["has_enrollment"] and OTHER_VOICE_KEYS[0] in example
        if has_other and next(remaining, None) is not None:
            target, enrollment = (example[key] for key in OTHER_VOICE_KEYS)
            paired.append({**own, "target_sig": target, "enrollment_sig": enrollment})
    return paired
