"""The authors' state dicts, from tests/golden."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def official():
    """Reads the official state dict in a fixture, by the fixture's name."""

    def read(name):
        tensors = load_file(GOLDEN / f"{name}.safetensors")
        prefix = "weights/"
        return {
            key.removeprefix(prefix): value
            for key, value in tensors.items()
            if key.startswith(prefix)
        }

    return read
