"""Checkpoints that survive a crash: recovery falls back to an older intact one."""

import logging

import yaml
from speechbrain.utils.checkpoints import METAFNAME, Checkpointer

__all__ = ["FallbackCheckpointer"]

logger = logging.getLogger(__name__)


class FallbackCheckpointer(Checkpointer):
    """Checkpointer that skips damaged checkpoints instead of dying on them.

    SpeechBrain writes the meta file of a checkpoint first, so a process killed while
    saving leaves a folder that looks valid. Here a folder whose meta file cannot be
    read is not listed, and recovery tries the candidates from the best to the worst
    until one loads completely.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> model = torch.nn.Linear(1, 1)
    >>> checkpointer = FallbackCheckpointer(folder, {"model": model})
    >>> older = checkpointer.save_checkpoint(name="older")
    >>> newer = checkpointer.save_checkpoint(name="newer")
    >>> _ = newer.paramfiles["model"].write_bytes(b"cut short")
    >>> checkpointer.recover_if_possible().path.name
    'CKPT+older'
    """

    def _list_checkpoint_dirs(self):
        return [p for p in super()._list_checkpoint_dirs() if _has_readable_meta(p)]

    def recover_if_possible(
        self, importance_key=None, max_key=None, min_key=None, ckpt_predicate=None
    ):
        """Loads the first candidate that is intact.

        Arguments
        ---------
        importance_key : callable | None
            Sort key of the candidates; ``None`` with no other key: newest first.
        max_key : str | None
            Meta entry whose highest value comes first.
        min_key : str | None
            Meta entry whose lowest value comes first.
        ckpt_predicate : callable | None
            Filter of the candidates.

        Returns
        -------
        speechbrain.utils.checkpoints.Checkpoint | None
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


def _has_readable_meta(folder) -> bool:
    try:
        meta = yaml.safe_load((folder / METAFNAME).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        meta = None
    if isinstance(meta, dict) and {"unixtime", "end-of-epoch"} <= meta.keys():
        return True
    logger.warning("Checkpoint %s has no readable meta file, skipped", folder)
    return False
