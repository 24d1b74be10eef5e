"""How the tests of the command line call it."""

import pytest

from sesame.inference import cli


@pytest.fixture
def call():
    """Runs ``sesame`` with these arguments; returns the exit code."""
    return lambda *arguments: cli.main([str(argument) for argument in arguments])


@pytest.fixture
def one_line(capsys):
    """The error stream, which must hold one line."""

    def read():
        error = capsys.readouterr().err
        assert error.startswith("sesame: ") and error.count("\n") == 1
        return error

    return read
