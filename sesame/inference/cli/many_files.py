"""What the commands share that work on many files, one after the other."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sesame

from .common import model_path, note, refuse_to_replace, say

if TYPE_CHECKING:
    from sesame.inference.batch import Job, Outcome
    from sesame.inference.file_enhancement import FileReport

    # Makes, with the options, what makes the target of a source; the second argument
    # is to be told the fraction of a file that is done.
    Load = Callable[
        [argparse.Namespace, Callable[[float], None]],
        Callable[[Path, Path], FileReport],
    ]

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def add_input_options(parser: argparse.ArgumentParser, output_help: str) -> None:
    """Adds the inputs, ``--list`` and ``--output``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of a command.
    output_help : str
        What ``--output`` is.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_input_options(parser, "folder of the results")
    >>> parser.parse_args(["a.wav", "-o", "out"]).output
    'out'
    """
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="after -- it may begin with a hyphen"
    )
    parser.add_argument(
        "--list",
        action="append",
        default=[],
        metavar="FILE",
        help="text file with an input per line, relative to the folder of FILE",
    )
    parser.add_argument("-o", "--output", metavar="OUT", help=output_help)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--repair-nonfinite``, ``--force``, ``--json`` and ``--quiet``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of a command.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_output_options(parser)
    >>> parser.parse_args(["--force"]).force
    True
    """
    parser.add_argument(
        "--repair-nonfinite",
        action="store_true",
        help="set NaN and infinity to 0 instead of refusing the file",
    )
    parser.add_argument("--force", action="store_true", help="replace results")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quiet", action="store_true", help="tell only what is wrong")


def run_files(
    arguments: argparse.Namespace,
    load: "Load",
    done: str,
    label: str = "",
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Works on the inputs, tells what came of it, lists failures in ``OUT/failed.txt``.

    Under torchrun, the processes share the files.

    Arguments
    ---------
    arguments : argparse.Namespace
        With the options that this module adds, and ``model`` and ``device``.
    load : Load
        Loads the model, which is done only where there is something to do.
    done : str
        What is done to a file, such as "enhanced".
    label : str
        As for ``batch_plan.plan_jobs``.
    facts : Mapping[str, Any] | None
        Is added to what ``--json`` tells.

    Returns
    -------
    int
        Exit code: 0 if every result is there, 1 if a file failed, 2 if there is nothing
        to do, 130 after Ctrl-C.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_input_options(parser, "folder of the results")
    >>> run_files(parser.parse_args([]), load=None, done="enhanced")
    2
    """
    from sesame.inference.batch import (
        UsageError,
        plan_jobs,
        summarize,
        write_failures,
    )

    try:
        plan = plan_jobs(arguments.inputs, arguments.output, arguments.list, label)
        rank, world_size = _shard()
    except UsageError as error:
        note(str(error))
        return USAGE
    if plan.folder is None:
        refuse_to_replace(plan.jobs[0].target, arguments.force)
    jobs = plan.jobs[rank::world_size]
    outcomes, interrupted = _work(arguments, load, jobs, done, rank)
    totals = summarize(outcomes, done)
    shard = f"process {rank} of {world_size}: " * (world_size > 1)
    if arguments.json:
        totals |= {"interrupted": interrupted, "rank": rank, "world_size": world_size}
        totals |= {"model": model_path(arguments.model), "version": sesame.__version__}
        totals |= facts or {}
        say(json.dumps(totals))
    if not arguments.quiet:
        tell = note if arguments.json else say
        tell(shard + "stopped: " * interrupted + _describe(totals, done))
    if plan.folder is not None:
        write_failures(plan.folder, outcomes, rank, world_size)
    if interrupted:
        return INTERRUPTED
    return FAILED if totals["num_failed"] else 0


def _work(
    arguments: argparse.Namespace,
    load: "Load",
    jobs: "Sequence[Job]",
    done: str,
    rank: int,
) -> "tuple[list[Outcome], bool]":
    """What came of each file, and whether Ctrl-C ended it."""
    from sesame.inference.batch import Outcome, run_jobs

    if not arguments.force and all(os.path.isfile(job.target) for job in jobs):
        # Nobody waits for a model that has nothing to do.
        return [Outcome(*job, "skipped") for job in jobs], False
    arguments.device = _own_device(arguments.device)
    outcomes = []
    with _Progress(len(jobs), arguments.quiet, rank) as progress:
        process = load(arguments, progress.advance)
        try:
            for outcome in run_jobs(process, jobs, arguments.force, done):
                outcomes.append(outcome)
                progress.finish(outcome)
        except KeyboardInterrupt:
            return outcomes, True
    return outcomes, False


class _Progress:
    """A bar where somebody watches, else a line per file; failures in any case."""

    def __init__(self, num_files: int, quiet: bool, rank: int):
        from tqdm import tqdm

        watched = sys.stderr.isatty()
        self.tells_files = not quiet and not watched
        self.num_done = 0
        self.seconds = self.wall_seconds = 0.0
        self.bar = tqdm(
            total=num_files,
            # Bars of several processes would overwrite each other.
            disable=quiet or not watched or rank > 0,
            file=sys.stderr,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}",
        )

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def advance(self, fraction: float) -> None:
        """Shows how much of the present file is done."""
        self.bar.update(self.num_done + fraction - self.bar.n)

    def finish(self, outcome: "Outcome") -> None:
        """Shows that a file is done, and what is to be said about it."""
        self.num_done += 1
        self.seconds += outcome.seconds
        self.wall_seconds += outcome.wall_seconds
        lines = list(filter(None, (*outcome.warnings, outcome.error)))
        if self.tells_files and outcome.status not in ("skipped", "failed"):
            lines.append(
                f"{outcome.source} -> {outcome.target}: {outcome.seconds:.1f} s, "
                f"RTF {_rtf(outcome.rtf)}"
            )
        if lines:
            with self.bar.external_write_mode(file=sys.stderr):
                for line in lines:
                    note(line)
        if self.seconds:
            rtf = _rtf(self.wall_seconds / self.seconds)
            self.bar.set_postfix_str(f"RTF {rtf}", refresh=False)
        progress = f"{self.num_done} of {self.bar.total} files "
        self.bar.set_description_str(progress, refresh=False)
        self.advance(0.0)


def _describe(totals: Mapping[str, Any], done: str) -> str:
    return (
        "{} {}, {num_skipped} skipped, {num_failed} failed; "
        "{audio_seconds:.1f} s of audio in {wall_seconds:.1f} s, RTF {}; "
        "{num_clipped} samples clipped, {num_repaired} repaired, "
        "{num_warnings} warnings"
    ).format(totals[f"num_{done}"], done, _rtf(totals["rtf"]), **totals)


def _rtf(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _shard() -> tuple[int, int]:
    """Rank and number of the processes that torchrun starts; (0, 1) without it."""
    rank, world_size = os.getenv("RANK"), os.getenv("WORLD_SIZE")
    if rank is None or world_size is None:
        return 0, 1
    numbers = rank.isdecimal() and world_size.isdecimal()
    if not numbers or int(rank) >= int(world_size):
        raise ValueError(
            f"RANK ({rank}) in the environment must be in [0, WORLD_SIZE "
            f"({world_size}))"
        )
    return int(rank), int(world_size)


def _own_device(device: str) -> str:
    """Under torchrun, each process of a machine takes a CUDA device of its own."""
    local_rank = os.getenv("LOCAL_RANK", "")
    if device == "auto" and local_rank.isdecimal():
        import torch

        if torch.cuda.is_available():
            return f"cuda:{int(local_rank) % torch.cuda.device_count()}"
    return device
