"""Names of the mLSTM block, and the 1 that its norms lack."""

import torch

from sesame.compat.codec import rename
from sesame.compat.mlstm import DIRECTION_RULES, add_one_to_norms
from sesame.nnet import MLSTM


def test_every_parameter_of_the_authors_has_its_place_in_ours(official):
    theirs = official("xlstm_mlstm_block")
    ours = {f"mixer.{name}" for name in MLSTM(channels=16).state_dict()}
    renamed = {rename(name, DIRECTION_RULES) for name in theirs}
    assert renamed == ours | {"norm.weight", "norm.bias"}


def test_one_is_added_to_norms_of_blocks_and_to_nothing_else():
    changed = ("norm.weight", "mixer.out_norm.weight")
    kept = ("norm.bias", "mixer.in_projection.weight")
    for prefix in ("", "blocks.0.time_layer.backbone.forward_layer."):
        names = [prefix + name for name in (*changed, *kept)]
        result = add_one_to_norms({name: torch.zeros(1) for name in names})
        assert [result[name].item() for name in names] == [1, 1, 0, 0]
    codec = {"encoder.expand.norm.weight": torch.zeros(1)}
    assert add_one_to_norms(codec) == codec
