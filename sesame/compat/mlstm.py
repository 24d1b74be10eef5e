"""Parameters of the mLSTM block: the authors' names to ours."""

from collections.abc import Mapping

import torch

__all__ = ["DIRECTION_RULES", "add_one_to_norms"]

# Prefix in one direction of NikolaiKyhne/xLSTM-SENet@353a143 (ViLBlock) -> ours.
DIRECTION_RULES = {
    r"norm\.": "norm.",
    r"layer\.proj_up\.": "mixer.in_projection.",
    r"layer\.conv\.conv\.": "mixer.conv.",
    r"layer\.q_proj\.": "mixer.query.",
    r"layer\.k_proj\.": "mixer.key.",
    r"layer\.v_proj\.": "mixer.value.",
    r"layer\.mlstm_cell\.igate\.": "mixer.input_gate.",
    r"layer\.mlstm_cell\.fgate\.": "mixer.forget_gate.",
    r"layer\.mlstm_cell\.outnorm\.": "mixer.out_norm.",
    r"layer\.learnable_skip": "mixer.skip",
    r"layer\.proj_down\.": "mixer.out_projection.",
}
_ABOUT_ONE = ("norm.weight", "mixer.out_norm.weight")


def add_one_to_norms(converted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Adds to the weights of norms the 1 that the authors add when they use them.

    Arguments
    ---------
    converted : Mapping[str, torch.Tensor]
        Parameters of directions under our names: those of one, or of a network.

    Returns
    -------
    dict[str, torch.Tensor]
        The same, with the weights of the layer norm and of the norm of the heads as
        torch's norms use them.

    Example
    -------
    >>> add_one_to_norms({"norm.weight": torch.zeros(2), "norm.bias": torch.zeros(2)})
    {'norm.weight': tensor([1., 1.]), 'norm.bias': tensor([0., 0.])}
    """
    suffixes = tuple(f"ward_layer.{name}" for name in _ABOUT_ONE)
    return {
        name: value + 1 if name in _ABOUT_ONE or name.endswith(suffixes) else value
        for name, value in converted.items()
    }
