"""The authors' SEMamba checkpoints become state dicts that load strictly."""

import pytest
import torch

from sesame.compat.semamba import convert_state_dict, load_checkpoint
from sesame.models import SEMamba


@pytest.fixture
def weights(official):
    return official("semamba_generator")


def test_all_parameters_load_strictly(weights):
    network = SEMamba(channels=16, num_blocks=2)
    network.load_state_dict(convert_state_dict(weights), strict=True)
    total = sum(p.numel() for p in network.parameters())
    assert total == sum(w.numel() for w in weights.values())


def test_prefix_of_distributed_training_is_dropped(weights):
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    assert convert_state_dict(wrapped).keys() == convert_state_dict(weights).keys()


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"generator": w}])
def test_checkpoint_file_may_be_bare_or_wrapped(weights, tmp_path, wrap):
    torch.save(wrap(weights), tmp_path / "g_best")
    loaded = load_checkpoint(tmp_path / "g_best")
    expected = convert_state_dict(weights)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "name",
    [
        "TSMamba.0.time_transformer.norm1.weight",
        "TSMamba.0.time_mamba.forward_blocks.0.mixer.unknown",
        "dense_encoder.dense_conv_3.0.weight",
        "discriminator.weight",
    ],
)
def test_parameters_of_another_system_are_refused_by_name(weights, name):
    with pytest.raises(ValueError, match="unknown parameter"):
        convert_state_dict(weights | {name: torch.zeros(1)})
