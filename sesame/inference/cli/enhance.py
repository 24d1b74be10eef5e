"""``sesame enhance``: files, folders, patterns and lists of noisy audio."""

import argparse
import functools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sesame

from .common import (
    add_model_options,
    load_model,
    model_path,
    note,
    refuse_to_replace,
    say,
)

if TYPE_CHECKING:
    from sesame.inference.batch import Job, Outcome

FAILED, USAGE, INTERRUPTED = 1, 2, 130
DESCRIPTION = """\
Enhances audio files; rate, channels, length and sample format stay. INPUT is a file, a
folder (searched to any depth; links to folders are not followed), a quoted pattern such
as 'calls/**/*.wav', or @FILE for a list. Results that are there already are skipped, so
that a stopped run goes on when it is called again. Under torchrun, the processes share
the files."""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds ``enhance`` to the commands.

    Arguments
    ---------
    commands : argparse._SubParsersAction
        Sub-parsers of the command line.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> parser.parse_args(["enhance", "a.wav", "--dry", "0.1"]).dry
    0.1
    """
    parser = commands.add_parser(
        "enhance", help="enhance audio files", description=DESCRIPTION
    )
    parser.set_defaults(run=run)
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
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="folder of the results; for one file also the file to make; default for "
        "one file: NAME_enhanced beside it",
    )
    add_model_options(parser)
    strength = parser.add_mutually_exclusive_group()
    strength.add_argument(
        "--max-attenuation",
        type=_decibels,
        metavar="DB",
        help="lower noise by at most this much",
    )
    strength.add_argument(
        "--dry",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="share of the noisy signal in the result, 0 to 1",
    )
    parser.add_argument(
        "--keep-highband",
        action="store_true",
        help="pass what lies above the model's bandwidth instead of dropping it",
    )
    parser.add_argument(
        "--repair-nonfinite",
        action="store_true",
        help="set NaN and infinity to 0 instead of refusing the file",
    )
    parser.add_argument(
        "--chunks",
        type=_seconds,
        metavar="SECONDS",
        help="cut into pieces that are enhanced one by one and joined with audible "
        "seams, as published evaluations do (10); not for listening",
    )
    parser.add_argument("--force", action="store_true", help="replace results")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quiet", action="store_true", help="tell only what is wrong")


def run(arguments: argparse.Namespace) -> int:
    """Enhances, tells what came of it and lists failures in ``OUT/failed.txt``.

    Arguments
    ---------
    arguments : argparse.Namespace
        Of the parser that ``add_parser`` adds.

    Returns
    -------
    int
        Exit code: 0 if every result is there, 1 if a file failed, 2 if there is nothing
        to do, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If the model cannot be loaded, or the results would not be where they belong.

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> add_parser(parser.add_subparsers())
    >>> run(parser.parse_args(["enhance"]))
    2
    """
    from sesame.inference.batch import (
        UsageError,
        plan_jobs,
        summarize,
        write_failures,
    )

    try:
        plan = plan_jobs(arguments.inputs, arguments.output, arguments.list)
        rank, world_size = _shard()
    except UsageError as error:
        note(str(error))
        return USAGE
    if plan.folder is None:
        refuse_to_replace(plan.jobs[0].target, arguments.force)
    outcomes, interrupted = _enhance(arguments, plan.jobs[rank::world_size], rank)
    totals = summarize(outcomes)
    shard = f"process {rank} of {world_size}: " * (world_size > 1)
    if arguments.json:
        totals |= {"interrupted": interrupted, "rank": rank, "world_size": world_size}
        totals |= {"model": model_path(arguments.model), "version": sesame.__version__}
        totals |= {"chunk_seconds": arguments.chunks}
        say(json.dumps(totals))
    if not arguments.quiet:
        tell = note if arguments.json else say
        tell(shard + "stopped: " * interrupted + _describe(totals))
    if plan.folder is not None:
        write_failures(plan.folder, outcomes, rank, world_size)
    if interrupted:
        return INTERRUPTED
    return FAILED if totals["num_failed"] else 0


def _enhance(
    arguments: argparse.Namespace, jobs: "Sequence[Job]", rank: int
) -> "tuple[list[Outcome], bool]":
    """What came of each file, and whether Ctrl-C ended it."""
    from sesame.inference.batch import Outcome, run_jobs

    if not arguments.force and all(os.path.isfile(job.target) for job in jobs):
        # Nobody waits for a model that has nothing to do.
        return [Outcome(*job, "skipped") for job in jobs], False
    arguments.device = _own_device(arguments.device)
    enhancer = load_model(arguments)
    if arguments.chunks is not None:
        from sesame.inference.chunks import ChunkedEnhancer

        parts = enhancer.network, enhancer.transform, enhancer.sample_rate
        enhancer = ChunkedEnhancer(*parts, enhancer.device, arguments.chunks)
    outcomes = []
    with _Progress(len(jobs), arguments.quiet, rank) as progress:
        enhance = functools.partial(
            enhancer.enhance_file,
            max_attenuation_db=arguments.max_attenuation,
            dry=arguments.dry,
            keep_highband=arguments.keep_highband,
            overwrite=arguments.force,
            repair_nonfinite=arguments.repair_nonfinite,
            progress=progress.advance,
        )
        try:
            for outcome in run_jobs(enhance, jobs, arguments.force):
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
        if self.tells_files and outcome.status == "enhanced":
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


def _describe(totals: Mapping[str, Any]) -> str:
    return (
        "{num_enhanced} enhanced, {num_skipped} skipped, {num_failed} failed; "
        "{audio_seconds:.1f} s of audio in {wall_seconds:.1f} s, RTF {}; "
        "{num_clipped} samples clipped, {num_repaired} repaired, "
        "{num_warnings} warnings"
    ).format(_rtf(totals["rtf"]), **totals)


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


def _decibels(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} dB must be at least 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} s must be above 0 and finite")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must be in [0, 1]")
    return value
