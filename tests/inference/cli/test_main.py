import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import sesame
from sesame.inference.cli import convert, main

ROOT = Path(sesame.__file__).parents[1]
COMMANDS = (
    "compare convert demo doctor enhance evaluate export info routing separate "
    "showcase sizes stream table train tsne"
).split()
HEAVY = ["torch", "numpy", "soundfile", "soxr", "speechbrain", "tqdm", "gradio"]
HELP_SECONDS = 0.3


def python(*arguments):
    """Runs Python, also where the package is not installed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "train"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: sesame {command}")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    words = [line.split()[:1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(w for [w] in filter(None, words) if w in COMMANDS) == COMMANDS


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"sesame {sesame.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["denoise"],
        ["evaluate", "--clean", "a"],
        ["routing", "a.wav"],
        ["convert", "a"],
        ["enhance", "a.wav", "--dry", "1.5"],
    ],
)
def test_wrong_arguments_end_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\nlines"), "sesame: two lines\n"),
        (OSError(28, "No space left"), "sesame: [Errno 28] No space left\n"),
        (ImportError("pip install x"), "sesame: pip install x\n"),
        (ValueError(), "sesame: ValueError\n"),
    ],
)
def test_a_failure_is_one_line_and_1(monkeypatch, capsys, error, line):
    def failing(arguments):
        raise error

    monkeypatch.setattr(convert, "run", failing)
    assert main(["convert", "a", "b"]) == 1
    assert capsys.readouterr() == ("", line)


def test_a_defect_is_not_taken_for_a_failure(monkeypatch):
    def defective(arguments):
        raise KeyError("a defect of ours")

    monkeypatch.setattr(convert, "run", defective)
    with pytest.raises(KeyError):
        main(["convert", "a", "b"])


def test_ctrl_c_ends_with_130(monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "run", interrupted)
    assert main(["convert", "a", "b"]) == 130


@pytest.mark.parametrize("lines", [1, 100_000])  # few come when all is done
def test_a_reader_that_leaves_ends_it_with_141_and_no_word(lines):
    code = (
        "import sys\n"
        "from sesame.inference.cli import convert, main\n"
        f"convert.run = lambda arguments: print('line\\n' * {lines})\n"
        "sys.stdin.read()\n"
        "sys.exit(main(['convert', 'a', 'b']))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    ) as process:
        process.stdout.close()
        process.stdin.close()  # now it may write
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_the_code_of_a_command_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr(convert, "run", lambda arguments: 7)
    assert main(["convert", "a", "b"]) == 7


@pytest.mark.parametrize("arguments", [["--help"], ["enhance", "--help"], ["denoise"]])
def test_help_and_wrong_arguments_load_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from sesame.inference.cli import main\n"
        "try:\n"
        f"    main({arguments})\n"
        "except SystemExit:\n"
        f"    loaded = set({HEAVY}) & set(sys.modules)\n"
        "    sys.exit(str(loaded) if loaded else 0)\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_help_is_there_at_once():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert python("-m", "sesame.inference.cli", "--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time: what else the machine does is not counted.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < HELP_SECONDS


def test_the_package_is_light_until_the_enhancer_is_used():
    code = (
        "import sys, sesame\n"
        "assert 'torch' not in sys.modules\n"
        "from sesame import Enhancer\n"
        "from sesame.inference import Enhancer as same\n"
        "assert Enhancer is same and 'torch' in sys.modules\n"
    )
    assert python("-c", code).returncode == 0
    with pytest.raises(AttributeError, match="Enhancr"):
        sesame.Enhancr  # noqa: B018


def test_the_module_can_be_run():
    done = python("-m", "sesame.inference.cli", "convert", "absent", "x")
    assert done.returncode == 1
    assert done.stderr.startswith("sesame: results folder absent must hold")
    assert done.stderr.count("\n") == 1
