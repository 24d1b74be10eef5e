"""Recovery from checkpoints of which some are damaged."""

import logging

import pytest
import torch
import yaml
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from sesame.brain import FallbackCheckpointer


class Value(torch.nn.Module):
    """One number."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))


@register_checkpoint_hooks
class Deadly:
    """Ends the process while it is being saved, as a signal would."""

    @mark_as_saver
    def save(self, path):
        path.write_text("half of it")
        raise KeyboardInterrupt

    @mark_as_loader
    def load(self, path, end_of_epoch):
        raise AssertionError("an unfinished checkpoint was loaded")


@pytest.fixture
def network():
    return Value()


@pytest.fixture
def checkpointer(tmp_path, network):
    """Checkpoints of the values 1, 2 and 3, of which 2 has the best score."""
    checkpointer = FallbackCheckpointer(
        tmp_path, {"network": network, "other": Value(-1.0)}
    )
    for value, pesq in ((1.0, 2.5), (2.0, 3.5), (3.0, 3.0)):
        _set(network, value)
        checkpointer.save_checkpoint(
            meta={"pesq": pesq, "unixtime": value}, name=f"{value:.0f}"
        )
    _set(network, 0.0)
    return checkpointer


def _set(network, value):
    with torch.no_grad():
        network.value.fill_(value)


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _damage_meta(text):
    return lambda folder: (folder / "CKPT.yaml").write_text(text)


DAMAGES = {
    "a file is cut": lambda folder: _cut(folder / "network.ckpt"),
    "a file is empty": lambda folder: (folder / "other.ckpt").write_bytes(b""),
    "a file is noise": lambda folder: (folder / "other.ckpt").write_bytes(b"\xff" * 99),
    "a file is absent": lambda folder: (folder / "other.ckpt").unlink(),
    "the meta file is absent": lambda folder: (folder / "CKPT.yaml").unlink(),
    "the meta file is empty": _damage_meta(""),
    "the meta file is cut in a key": _damage_meta("end-of-epoch: true\npesq: 9\nunix"),
    "the meta file is cut after a key": _damage_meta(
        "end-of-epoch: true\npesq: 9.0\nunixtime:"
    ),
    "the meta file is not YAML": _damage_meta("{[}"),
    "the meta file is not text": lambda folder: (folder / "CKPT.yaml").write_bytes(
        b"\xff\xfe\x00"
    ),
}
every_damage = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)


def test_the_newest_is_loaded_where_all_are_intact(checkpointer, network):
    assert checkpointer.recover_if_possible().path.name == "CKPT+3"
    assert network.value.item() == 3.0


def test_the_highest_score_is_loaded_if_asked_for(checkpointer, network):
    assert checkpointer.recover_if_possible(max_key="pesq").path.name == "CKPT+2"
    assert network.value.item() == 2.0


@every_damage
def test_recovery_falls_back_to_the_one_before(checkpointer, network, tmp_path, damage):
    damage(tmp_path / "CKPT+3")
    assert checkpointer.recover_if_possible().path.name == "CKPT+2"
    assert network.value.item() == 2.0


@every_damage
def test_the_best_score_falls_back_to_the_second_best(checkpointer, tmp_path, damage):
    damage(tmp_path / "CKPT+2")
    assert checkpointer.recover_if_possible(max_key="pesq").path.name == "CKPT+3"


def test_it_falls_back_more_than_once_and_says_why(checkpointer, tmp_path, caplog):
    for name in ("CKPT+2", "CKPT+3"):
        _cut(tmp_path / name / "network.ckpt")
    with caplog.at_level(logging.WARNING):
        assert checkpointer.recover_if_possible().path.name == "CKPT+1"
    for name in ("CKPT+2", "CKPT+3"):
        assert f"{tmp_path / name} is damaged" in caplog.text


def test_if_all_are_damaged_it_refuses_to_start_from_random_weights(
    checkpointer, tmp_path
):
    for name in ("CKPT+1", "CKPT+2", "CKPT+3"):
        _cut(tmp_path / name / "network.ckpt")
    with pytest.raises(ValueError, match=f"none of the 3 checkpoints in {tmp_path}"):
        checkpointer.recover_if_possible()


def test_another_architecture_is_an_error_and_not_a_fresh_start(tmp_path):
    FallbackCheckpointer(tmp_path, {"network": torch.nn.Linear(2, 2)}).save_checkpoint()
    wider = FallbackCheckpointer(tmp_path, {"network": torch.nn.Linear(3, 3)})
    with pytest.raises(ValueError, match="none of the 1 checkpoints"):
        wider.recover_if_possible()


def test_no_checkpoint_is_a_fresh_start(tmp_path):
    checkpointer = FallbackCheckpointer(tmp_path, {"network": Value()})
    assert checkpointer.recover_if_possible() is None


def test_a_recoverable_that_is_optional_may_be_absent(checkpointer, network):
    checkpointer.add_recoverable("new", Value(), optional_load=True)
    with pytest.warns(UserWarning, match="missing a load path for new"):
        checkpointer.recover_if_possible()
    assert network.value.item() == 3.0


def test_death_while_saving_leaves_nothing_that_looks_like_a_checkpoint(
    checkpointer, network, tmp_path
):
    checkpointer.add_recoverable("deadly", Deadly())
    with pytest.raises(KeyboardInterrupt):
        checkpointer.save_checkpoint(meta={"pesq": 4.0}, name="4")
    assert (tmp_path / "unfinished-CKPT+4" / "deadly.ckpt").is_file()
    again = FallbackCheckpointer(tmp_path, {"network": network})
    assert len(again.list_checkpoints()) == 3
    assert again.recover_if_possible(max_key="pesq").path.name == "CKPT+2"
    again.save_checkpoint(meta={"pesq": 4.0}, name="4")
    assert again.recover_if_possible(max_key="pesq").path.name == "CKPT+4"


def test_a_saved_checkpoint_is_where_it_says(tmp_path):
    checkpointer = FallbackCheckpointer(tmp_path, {"network": Value()})
    for name in (None, None, "mine", "mine"):
        saved = checkpointer.save_checkpoint(name=name)
        assert saved.path.parent == tmp_path and saved.path.name.startswith("CKPT+")
        assert yaml.safe_load((saved.path / "CKPT.yaml").read_text()) == saved.meta
        assert saved.paramfiles["network"].is_file()
        assert saved in checkpointer.list_checkpoints()
    assert len(list(tmp_path.iterdir())) == 3


def test_the_best_and_the_newest_are_kept(checkpointer, tmp_path):
    checkpointer.save_and_keep_only(meta={"pesq": 1.0}, max_keys=["pesq"])
    scores = sorted(c.meta["pesq"] for c in checkpointer.list_checkpoints())
    assert scores == [1.0, 3.5]


def test_a_damaged_checkpoint_does_not_push_out_the_best_intact_one(
    checkpointer, tmp_path
):
    _cut(tmp_path / "CKPT+2" / "network.ckpt")
    checkpointer.recover_if_possible(max_key="pesq")
    checkpointer.save_and_keep_only(meta={"pesq": 1.0}, max_keys=["pesq"])
    scores = sorted(c.meta["pesq"] for c in checkpointer.list_checkpoints())
    assert scores == [1.0, 3.0]
    assert (tmp_path / "CKPT+2").is_dir(), "left on the disk to be looked at"


def test_a_damaged_checkpoint_does_not_move_the_position_in_the_data(tmp_path):
    def make():
        loader = SaveableDataLoader(range(6))
        # In the order of a run: the loader is known before the optimisers.
        recoverables = {"dataloader-TRAIN": loader, "optimizer": Value()}
        return FallbackCheckpointer(tmp_path, recoverables), loader

    checkpointer, loader = make()
    checkpointer.save_checkpoint(name="end", meta={"unixtime": 1.0})
    iterator = iter(loader)
    for _ in range(4):
        next(iterator)
    middle = checkpointer.save_checkpoint(name="middle", end_of_epoch=False)

    checkpointer, loader = make()
    checkpointer.recover_if_possible()
    assert [int(item) for item in loader] == [4, 5]

    _cut(middle.paramfiles["optimizer"])
    checkpointer, loader = make()
    assert checkpointer.recover_if_possible().path.name == "CKPT+end"
    assert [int(item) for item in loader] == [0, 1, 2, 3, 4, 5]


def test_a_checkpoint_without_the_position_in_the_data_is_damaged(tmp_path):
    recoverables = {"dataloader-TRAIN": SaveableDataLoader(range(6))}
    checkpointer = FallbackCheckpointer(tmp_path, recoverables)
    checkpointer.save_checkpoint(name="old", meta={"unixtime": 1.0})
    newer = checkpointer.save_checkpoint(name="new", end_of_epoch=False)
    newer.paramfiles["dataloader-TRAIN"].unlink()
    assert checkpointer.recover_if_possible().path.name == "CKPT+old"
