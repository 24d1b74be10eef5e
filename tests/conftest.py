"""Fixtures that several test files share."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from speechbrain.utils.importutils import LazyModule

# Hypothesis asks every loaded module for its file, and SpeechBrain's lazy modules
# answer by importing their target, which fails where an optional package is absent.
LazyModule.__file__ = None

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"num_bins": 33, "channels": 8, "num_blocks": 2, "num_heads": 2}


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Children start with Ctrl-C in force, also where a shell has this in the back."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state and one thread."""
    torch.manual_seed(0)
    np.random.seed(0)
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace):
    """Names that every doctest may use."""
    doctest_namespace.update(np=np, torch=torch)


@pytest.fixture(scope="session")
def minibank() -> Path:
    """The bundled corpus."""
    return ROOT / "data" / "minibank"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Fixtures and recordings that are not part of the project."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared, which holds real recordings, is absent")
    return folder


class Benchmarks:
    """Loads and runs the scripts in benchmarks/, which is no package."""

    sizes = SIZES  # of a small MPSENet or SESAME

    @staticmethod
    def load(name):
        """A module that may import its neighbours."""
        folder = ROOT / "benchmarks"
        path = folder / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        sys.path.insert(0, str(folder))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(folder))
        return module

    @staticmethod
    def run(script, *arguments):
        """Standard output of a script with --quick."""
        environment = {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(
            [sys.executable, f"benchmarks/{script}", *map(str, arguments), "--quick"],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @staticmethod
    def row_names(text):
        """First cells of all tables."""
        return re.findall(r"^\| (.+?) +\|", text, flags=re.MULTILINE)

    @staticmethod
    def table_rows(text):
        """Cells of all lines of all tables."""
        lines = re.findall(r"^\| (.+) \|$", text, flags=re.MULTILINE)
        return [[cell.strip() for cell in line.split(" | ")] for line in lines]


@pytest.fixture(scope="session")
def benchmarks() -> Benchmarks:
    """The scripts in benchmarks/."""
    return Benchmarks()
