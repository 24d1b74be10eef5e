"""MetricDiscriminator computes what the authors' does, in evaluation and training."""

import pytest
import torch

from sesame.compat.metric_discriminator import convert_state_dict
from sesame.models import MetricDiscriminator


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def tolerance(dtype):
    return 1e-6 if dtype == torch.float64 else 1e-5


@pytest.fixture
def data(golden, dtype):
    return golden("metric_discriminator", dtype)


@pytest.fixture
def network(data, dtype):
    network = MetricDiscriminator().to(dtype).eval()
    network.load_state_dict(convert_state_dict(data["weights"]))
    return network


def magnitudes(data):
    return data["input"]["reference_mag"], data["input"]["candidate_mag"]


def test_scores_equal_the_authors(data, network, tolerance, difference):
    reference, candidate = magnitudes(data)
    scores = data["output"]["score"], data["output"]["score_identical"]
    assert difference(network(reference, candidate), scores[0]) < tolerance
    assert difference(network(reference, reference), scores[1]) < tolerance


def test_every_stage_equals_the_authors(data, network, tolerance, difference):
    stages = {}
    names = {
        "convolutions": "stage.act3",
        "head.0": "stage.fc0",
        "head": "stage.logit",
    }
    for name in names:
        network.get_submodule(name).register_forward_hook(
            lambda module, received, result, name=name: stages.update({name: result})
        )
    network(*magnitudes(data))
    for name, theirs in names.items():
        assert difference(stages[name], data["output"][theirs]) < 2 * tolerance
    pooled = network.pool(stages["convolutions"]).flatten(1)
    assert difference(pooled, data["output"]["stage.pool"]) < 2 * tolerance


def test_a_training_step_moves_the_spectral_norms_as_the_authors(
    data, network, tolerance, difference
):
    network.train()
    network.head[1].eval()  # the stored step has no dropout
    score = network(*magnitudes(data))
    assert difference(score, data["output"]["train_step.score"]) < tolerance
    prefix = "train_step."
    stored = {
        key.removeprefix(prefix): value
        for key, value in data["output"].items()
        if key.startswith(f"{prefix}layers.")
    }
    expected = convert_state_dict(stored)
    ours = dict(network.named_buffers())
    assert expected.keys() == ours.keys()
    for name, value in expected.items():
        assert difference(ours[name], value) < tolerance, name
