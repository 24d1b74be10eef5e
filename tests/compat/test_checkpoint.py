"""Reading checkpoint files: tensors only."""

import pickle

import pytest
import torch

from sesame.compat.checkpoint import read_generator


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"generator": w, "steps": 3}])
def test_generator_is_read_bare_or_wrapped(tmp_path, wrap):
    torch.save(wrap({"slope": torch.arange(3)}), tmp_path / "g")
    loaded = read_generator(tmp_path / "g")
    assert list(loaded) == ["slope"]
    assert torch.equal(loaded["slope"], torch.arange(3))


class Attack:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_code_in_a_file_is_not_executed(tmp_path):
    torch.save({"generator": Attack()}, tmp_path / "g")
    with pytest.raises(pickle.UnpicklingError):
        read_generator(tmp_path / "g")
