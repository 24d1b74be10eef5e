"""Checkpoints that survive a crash: recovery falls back to an older intact one."""

import logging
import shutil
from collections.abc import Callable, Mapping

import yaml
from speechbrain.utils.checkpoints import METAFNAME, Checkpoint, Checkpointer
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from torch.utils.data import DataLoader

__all__ = ["FallbackCheckpointer"]

logger = logging.getLogger(__name__)

UNFINISHED_PREFIX = "unfinished-"


class FallbackCheckpointer(Checkpointer):
    """Checkpointer that skips damaged checkpoints instead of dying on them.

    SpeechBrain writes the meta file of a checkpoint first, so a process killed while
    saving leaves a folder that looks valid. Here a folder gets its name when it is
    complete, one whose meta file cannot be read is not listed, and recovery tries the
    candidates from the best to the worst until one loads completely. A damaged
    checkpoint stays on the disk but no longer counts as the newest or the best.

    Arguments
    ---------
    *args : object
        As for SpeechBrain's ``Checkpointer``.
    **kwargs : object
        As for SpeechBrain's ``Checkpointer``.

    Example
    -------
    >>> import torch
    >>> folder = getfixture("tmp_path")
    >>> model = torch.nn.Linear(1, 1)
    >>> checkpointer = FallbackCheckpointer(folder, {"model": model})
    >>> older = checkpointer.save_checkpoint(name="older")
    >>> newer = checkpointer.save_checkpoint(name="newer")
    >>> _ = newer.paramfiles["model"].write_bytes(b"cut short")
    >>> checkpointer.recover_if_possible().path.name
    'CKPT+older'
    """

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **kwargs)
        self._damaged = set()

    def save_checkpoint(
        self,
        meta: Mapping | None = None,
        end_of_epoch: bool = True,
        name: str | None = None,
        verbosity: int = logging.INFO,
    ) -> Checkpoint | None:
        """Saves all recoverables; the folder is renamed when everything is in it.

        Arguments
        ---------
        meta : Mapping | None
            Entries of the meta file: plain numbers and text.
        end_of_epoch : bool
            Whether an epoch is complete.
        name : str | None
            Name of the folder, after a prefix; ``None`` makes one from the time.
        verbosity : int
            Level of the message in the log.

        Returns
        -------
        Checkpoint | None
            The checkpoint; ``None`` on ranks other than the main one.
        """
        unfinished = super().save_checkpoint(
            meta or {}, end_of_epoch, name, verbosity=logging.DEBUG
        )
        # Every rank may have written a file of its own.
        ddp_barrier()
        finished = None
        if if_main_process():
            folder = unfinished.path
            folder = folder.with_name(folder.name.removeprefix(UNFINISHED_PREFIX))
            if folder.exists():
                shutil.rmtree(folder)
            unfinished.path.rename(folder)
            files = {k: folder / p.name for k, p in unfinished.paramfiles.items()}
            finished = unfinished._replace(path=folder, paramfiles=files)
            logger.log(verbosity, "Saved the checkpoint %s", folder)
        ddp_barrier()
        return finished

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Loads all recoverables.

        Arguments
        ---------
        checkpoint : Checkpoint
            Checkpoint to load.

        Raises
        ------
        ValueError
            If the file of a recoverable that is not optional is absent.
        """
        # SpeechBrain only warns if the position in the data is absent.
        absent = [
            name
            for name in self.recoverables.keys() - checkpoint.paramfiles.keys()
            if not self.optional_recoverables.get(name, False)
        ]
        if absent:
            raise ValueError(f"files of {sorted(absent)} are absent")
        # Last, since a data loader keeps the position that it has read even where
        # the checkpoint proves damaged and an older one is loaded instead.
        self.recoverables = dict(
            sorted(
                self.recoverables.items(),
                key=lambda entry: isinstance(entry[1], DataLoader),
            )
        )
        super().load_checkpoint(checkpoint)

    def _list_checkpoint_dirs(self):
        return [
            folder
            for folder in super()._list_checkpoint_dirs()
            if folder not in self._damaged and _has_readable_meta(folder)
        ]

    def _new_checkpoint_dirpath(self):
        return _unfinished(super()._new_checkpoint_dirpath())

    def _custom_checkpoint_dirpath(self, name):
        return _unfinished(super()._custom_checkpoint_dirpath(name))

    def recover_if_possible(
        self,
        importance_key: Callable | None = None,
        max_key: str | None = None,
        min_key: str | None = None,
        ckpt_predicate: Callable | None = None,
    ) -> Checkpoint | None:
        """Loads the first candidate that is intact.

        Arguments
        ---------
        importance_key : Callable | None
            Sort key of the candidates; ``None`` with no other key: newest first.
        max_key : str | None
            Meta entry whose highest value comes first.
        min_key : str | None
            Meta entry whose lowest value comes first.
        ckpt_predicate : Callable | None
            Filter of the candidates.

        Returns
        -------
        Checkpoint | None
            The checkpoint that was loaded; ``None`` where there are none at all.

        Raises
        ------
        ValueError
            If there are checkpoints and none of them can be loaded.
        """
        candidates = self.find_checkpoints(
            importance_key, max_key, min_key, ckpt_predicate
        )
        for checkpoint in candidates:
            try:
                self.load_checkpoint(checkpoint)
            # A cut file surfaces as anything from EOFError to RuntimeError.
            except Exception as error:
                self._damaged.add(checkpoint.path)
                logger.warning(
                    "Checkpoint %s is damaged (%s: %s), trying the one before it",
                    checkpoint.path,
                    type(error).__name__,
                    str(error).splitlines()[0] if str(error) else "no message",
                )
            else:
                return checkpoint
        if candidates:
            raise ValueError(
                f"none of the {len(candidates)} checkpoints in {self.checkpoints_dir} "
                "can be loaded; move the folder away to start afresh"
            )
        logger.info("No checkpoint in %s, starting afresh", self.checkpoints_dir)
        return None


def _unfinished(folder):
    return folder.with_name(UNFINISHED_PREFIX + folder.name)


def _has_readable_meta(folder) -> bool:
    try:
        meta = yaml.safe_load((folder / METAFNAME).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        meta = None
    if isinstance(meta, dict):
        has_time = isinstance(meta.get("unixtime"), int | float)
        if has_time and isinstance(meta.get("end-of-epoch"), bool):
            return True
    logger.warning("Checkpoint %s has no readable meta file, skipped", folder)
    return False
