"""The authors' discriminator checkpoints become state dicts that load strictly."""

import pytest
import torch

from sesame.compat.metric_discriminator import convert_state_dict, load_checkpoint
from sesame.models import MetricDiscriminator


@pytest.fixture
def weights(official):
    return official("metric_discriminator")


def test_all_parameters_and_buffers_load_strictly(weights):
    network = MetricDiscriminator()
    network.load_state_dict(convert_state_dict(weights), strict=True)
    total = sum(value.numel() for value in network.state_dict().values())
    assert total == sum(value.numel() for value in weights.values())


def test_prefix_of_distributed_training_is_dropped(weights):
    wrapped = {f"module.{name}": value for name, value in weights.items()}
    assert convert_state_dict(wrapped).keys() == convert_state_dict(weights).keys()


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"discriminator": w}])
def test_checkpoint_file_may_be_bare_or_wrapped(weights, tmp_path, wrap):
    torch.save(wrap(weights), tmp_path / "do")
    loaded = load_checkpoint(tmp_path / "do")
    expected = convert_state_dict(weights)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "name", ["layers.12.weight", "layers.99.slope", "dense.weight"]
)
def test_parameters_of_another_system_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"unknown parameter '{name}'"):
        convert_state_dict({name: torch.zeros(1)})
