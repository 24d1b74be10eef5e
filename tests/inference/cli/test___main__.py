import runpy
import sys

import pytest


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["absent"], 2)])
def test_running_the_package_ends_with_the_code_of_the_command(
    monkeypatch, arguments, code
):
    monkeypatch.setattr(sys, "argv", ["sesame", *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("sesame.inference.cli", run_name="__main__")
    assert caught.value.code == code
