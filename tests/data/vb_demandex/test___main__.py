import runpy
import sys

import pytest


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["x"], 1)])
def test_running_the_package_ends_with_the_code_of_the_command(
    monkeypatch, tmp_path, arguments, code
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vb_demandex", *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("sesame.data.vb_demandex", run_name="__main__")
    assert caught.value.code == code
