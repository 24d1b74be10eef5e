"""Names that the bidirectional dual-path systems share."""

import pytest
import torch

from sesame.compat.dual_path import convert_dual_path


def convert(official):
    return convert_dual_path(official, "Stack", "mamba", {r"norm\.": "norm."})


def test_transposed_convolutions_of_width_one_become_linear_maps():
    weight = torch.randn(6, 3, 1)
    x = torch.randn(2, 6, 5)
    expected = torch.nn.functional.conv_transpose1d(x, weight)
    converted = convert({"Stack.1.flinear.weight": weight})
    (ours,) = converted.values()
    assert list(converted) == ["blocks.1.frequency_layer.projection.weight"]
    torch.testing.assert_close(torch.nn.functional.linear(x.mT, ours).mT, expected)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("time_mamba.forward_blocks.0.norm", "time_layer.backbone.forward_layer.norm"),
        (
            "freq_mamba.backward_blocks.0.norm",
            "frequency_layer.backbone.backward_layer.norm",
        ),
        ("attention.layernorm", "attentions.0.norm"),
        ("attention.attn.out_proj", "attentions.0.attention.out_projection"),
    ],
)
def test_names_follow_the_layers(theirs, ours):
    converted = convert({f"Stack.2.{theirs}.weight": torch.ones(4)})
    assert list(converted) == [f"blocks.2.{ours}.weight"]


def test_codec_is_that_of_2023():
    slope = {"mask_decoder.lsigmoid.slope": torch.ones(9, 1)}
    assert list(convert(slope)) == ["mask_decoder.activation.slope"]


def test_blocks_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="unknown parameter"):
        convert({"Stack.0.time_xlstm.forward_blocks.0.norm.weight": torch.ones(4)})
