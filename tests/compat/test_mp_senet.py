"""The authors' MP-SENet checkpoints become state dicts that load strictly."""

import pytest
import torch

from sesame.compat.mp_senet import convert_state_dict, load_checkpoint
from sesame.models import SESAME, MPSENet


@pytest.fixture
def weights(official):
    return official("mpsenet_generator")


@pytest.mark.parametrize("axes", ["as_run", "as_named"])
def test_all_parameters_load_strictly(weights, axes):
    network = MPSENet(channels=16)
    network.load_state_dict(convert_state_dict(weights, axes), strict=True)
    SESAME(channels=16, moe_blocks=[]).load_state_dict(network.state_dict())
    total = sum(p.numel() for p in network.parameters())
    assert total == sum(w.numel() for w in weights.values())


def test_readings_differ_in_nothing_but_the_exchange_of_the_axes(weights):
    as_run, as_named = (convert_state_dict(weights, a) for a in ("as_run", "as_named"))
    exchanged = {"time_layer": "frequency_layer", "frequency_layer": "time_layer"}
    for name, value in as_run.items():
        parts = [exchanged.get(part, part) for part in name.split(".")]
        assert torch.equal(value, as_named[".".join(parts)])


def test_prefix_of_distributed_training_is_dropped(weights):
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    assert convert_state_dict(wrapped).keys() == convert_state_dict(weights).keys()


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"generator": w}])
def test_checkpoint_file_may_be_bare_or_wrapped(weights, tmp_path, wrap):
    torch.save(wrap(weights), tmp_path / "g_best")
    loaded = load_checkpoint(tmp_path / "g_best", axes="as_named")
    expected = convert_state_dict(weights, axes="as_named")
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "name",
    [
        "TSTransformer.0.time_conformer.norm1.weight",
        "TSTransformer.0.time_transformer.norm4.weight",
        "dense_encoder.dense_conv_3.0.weight",
        "discriminator.weight",
    ],
)
def test_parameters_of_another_system_are_refused_by_name(weights, name):
    with pytest.raises(ValueError, match="unknown parameter"):
        convert_state_dict(weights | {name: torch.zeros(1)})


def test_unknown_reading_is_refused_with_the_choice():
    with pytest.raises(ValueError, match=r"axes \('fixed'\).*'as_named', 'as_run'"):
        convert_state_dict({}, axes="fixed")
