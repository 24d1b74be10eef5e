"""The authors' numbers, read from tests/golden (sources in the files' headers)."""

from collections import defaultdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parents[1] / "golden"


def load_golden(name, dtype=torch.float64):
    """{"weights": {...}, "input": {...}, "output": {...}} of one fixture."""
    groups = defaultdict(dict)
    for key, value in load_file(GOLDEN / f"{name}.safetensors").items():
        group, _, rest = key.partition("/")
        groups[group][rest] = value.to(dtype)
    return groups


def largest_difference(ours, theirs):
    return (ours.double() - theirs.double()).abs().max().item()


def largest_angle(ours, theirs):
    """Difference of phases, whole turns aside, in radians."""
    difference = ours.double() - theirs.double()
    turn = 2 * torch.pi
    return (difference - turn * torch.round(difference / turn)).abs().max().item()


@pytest.fixture
def golden():
    return load_golden


@pytest.fixture
def difference():
    return largest_difference


@pytest.fixture
def angle():
    return largest_angle
