"""Names of the codecs' parameters: all of them, each once."""

import pytest
import torch

from sesame.compat.codec import convert_codec, rename

PARTS = ("dense_encoder.", "mask_decoder.", "phase_decoder.")
GENERATIONS = [("mpsenet_generator", "current"), ("semamba_generator", "2023")]


def codec_of(weights):
    return {name: w for name, w in weights.items() if name.startswith(PARTS)}


@pytest.mark.parametrize(("fixture", "generation"), GENERATIONS)
def test_every_number_is_kept(official, fixture, generation):
    weights = codec_of(official(fixture))
    converted = convert_codec(weights, generation)
    assert len(converted) == len(weights) - 2  # two phase convolutions become one
    before = torch.cat([w.flatten() for w in weights.values()]).sort().values
    after = torch.cat([w.flatten() for w in converted.values()]).sort().values
    assert torch.equal(before, after)


@pytest.mark.parametrize(("fixture", "generation"), GENERATIONS)
def test_phase_projection_is_real_then_imaginary(official, fixture, generation):
    weights = codec_of(official(fixture))
    projection = convert_codec(weights, generation)["phase_decoder.projection.weight"]
    assert torch.equal(projection[:1], weights["phase_decoder.phase_conv_r.weight"])
    assert torch.equal(projection[1:], weights["phase_decoder.phase_conv_i.weight"])


@pytest.mark.parametrize(("fixture", "generation"), GENERATIONS)
def test_the_other_generation_is_refused(official, fixture, generation):
    other = {"current": "2023", "2023": "current"}[generation]
    with pytest.raises(ValueError, match="unknown parameter"):
        convert_codec(codec_of(official(fixture)), other)


def test_unknown_generation_is_refused_with_the_choice():
    with pytest.raises(ValueError, match=r"generation \('2022'\).*'2023', 'current'"):
        convert_codec({}, "2022")


def test_the_first_rule_that_begins_the_name_renames_it():
    rules = {r"a\.(\d)\.": r"first.\1.", r"a\.": "second."}
    assert rename("a.3.weight", rules) == "first.3.weight"
    assert rename("a.weight", rules) == "second.weight"
    with pytest.raises(ValueError, match=r"unknown parameter 'b\.a\.weight'"):
        rename("b.a.weight", rules)
