"""Markdown of measurements, with what is needed to repeat them."""

import argparse
import datetime
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch

__all__ = ["conditions", "emit", "parse_size", "table"]

ROOT = Path(__file__).resolve().parent.parent


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are aligned right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [header, rule, *rows]
    return "\n".join(
        "| "
        + " | ".join(_cell(i, cell, widths[i]) for i, cell in enumerate(line))
        + " |"
        for line in lines
    )


def conditions(device: str = "cpu") -> str:
    """Command, commit, machine, versions and date, as a Markdown list."""
    # An interpreter of a virtual environment has a path that says nothing to others.
    script = Path(sys.argv[0]).resolve()
    if script.is_relative_to(ROOT):
        script = script.relative_to(ROOT)
    command = shlex.join(["python", str(script), *sys.argv[1:]])
    lines = {
        "command": f"`{command}`",
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
    }
    if device == "cuda":
        lines["device"] = (
            f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, "
            f"cuDNN {torch.backends.cudnn.version()}"
        )
    return "\n".join(f"- {name}: {value}" for name, value in lines.items())


def emit(text: str, output: str | None) -> None:
    """Prints a report and, if asked, writes it to a new file."""
    print(text)
    if output is not None:
        path = Path(output)
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x": a result is dated and never edited.
        with open(path, "x", encoding="utf-8") as file:
            file.write(text + "\n")


def parse_size(text: str) -> tuple[float, int]:
    """Width and depth of a sub-network out of an option, such as 1/8:4."""
    try:
        width, depth = text.split(":")
        return float(Fraction(width)), int(depth)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text} must be WIDTH:DEPTH") from error


def _cell(column: int, text: str, width: int) -> str:
    return text.ljust(width) if column == 0 else text.rjust(width)


def _commit() -> str:
    try:
        commit = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not a git checkout"
    return commit + (", with local changes" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    return f"{name} ({capability}), torch uses {threads} thread(s)"
