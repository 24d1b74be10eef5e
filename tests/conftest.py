"""Fixtures that several test files share."""

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from speechbrain.utils.importutils import LazyModule

# Hypothesis asks every loaded module for its file, and SpeechBrain's lazy modules
# answer by importing their target, which fails where an optional package is absent.
LazyModule.__file__ = None

ROOT = Path(__file__).resolve().parent.parent


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
