import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sesame
from sesame.inference.cli import train

ROOT = Path(sesame.__file__).parents[1]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Makes a checkout with this train.py."""
    monkeypatch.setattr(train, "CHECKOUT", tmp_path)
    return lambda code: (tmp_path / "train.py").write_text(code)


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.yaml", "--lr", "3", "--name=with space"],
        ["--help"],
        ["-h", "--version"],
        ["a.yaml", "--", "-x", ""],
        [],
    ],
)
def test_all_arguments_reach_the_script_as_they_are(
    checkout, call, capfd, tmp_path, arguments
):
    checkout("import sys; print(sys.argv[1:], sys.executable)")
    assert call("train", *arguments) == 0
    assert capfd.readouterr().out == f"{arguments} {sys.executable}\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import sys; sys.exit(5)", 5),
        ("raise ValueError", 1),
        ("import os; os.kill(os.getpid(), 9)", 128 + 9),
    ],
)
def test_the_code_of_the_script_is_returned(checkout, call, capfd, code, expected):
    checkout(code)
    assert call("train", "a.yaml") == expected


def test_without_the_checkout_the_message_says_what_is_missing(
    tmp_path, monkeypatch, call, one_line
):
    monkeypatch.setattr(train, "CHECKOUT", tmp_path)
    assert call("train", "a.yaml") == 1
    assert "checkout" in one_line()


def test_the_checkout_is_where_the_package_is():
    assert (train.CHECKOUT / "hparams").is_dir()


def test_after_ctrl_c_the_script_ends_in_its_own_time(tmp_path):
    script = (
        "import signal, sys, time\n"
        "def save(*_):\n"
        "    time.sleep(0.6)\n"
        "    open('saved', 'w').close()\n"
        "    sys.exit(3)\n"
        "signal.signal(signal.SIGINT, save)\n"
        "open('ready', 'w').close()\n"
        "time.sleep(60)\n"
    )
    (tmp_path / "train.py").write_text(script)
    code = (
        "import sys, pathlib\n"
        "from sesame.inference.cli import main, train\n"
        "train.CHECKOUT = pathlib.Path()\n"
        "sys.exit(main(['train']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        # A group of its own gets the signal, as that of a terminal would.
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 3
    assert (tmp_path / "saved").exists()
