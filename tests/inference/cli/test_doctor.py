import json

import pytest

from sesame.inference import doctor as checks
from sesame.inference.cli import doctor
from sesame.inference.doctor import Check

SOUND = [Check("python", "ok", "3.11"), Check("gradio", "missing", "x", "pip i gradio")]
BROKEN = [*SOUND, Check("torch", "broken", "no", "pip i torch")]


@pytest.fixture
def found(monkeypatch):
    """Lets the checks find this; returns the models that were tried."""
    models = []

    def let(found):
        def run_checks(model):
            models.append(model)
            yield from found

        monkeypatch.setattr(checks, "run_checks", run_checks)
        return models

    return let


@pytest.mark.parametrize(("findings", "code"), [(SOUND, 0), (BROKEN, 1)])
def test_only_what_is_broken_fails(found, call, capsys, findings, code):
    found(findings)
    assert call("doctor") == code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(findings)
    assert lines[0].split() == ["ok", "python:", "3.11"]
    assert lines[1].endswith("pip i gradio")
    assert call("doctor", "--json") == code
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (code == 0)
    assert [Check(**check) for check in answer["checks"]] == findings


def test_the_model_is_the_one_asked_for_or_the_default_or_none(
    found, call, monkeypatch, tmp_path
):
    models = found(SOUND)
    call("doctor", "--model", "m")
    monkeypatch.setattr(doctor, "DEFAULT_MODEL", tmp_path)
    call("doctor")
    monkeypatch.setattr(doctor, "DEFAULT_MODEL", tmp_path / "absent")
    call("doctor")
    assert models == ["m", tmp_path, None]


def test_here_everything_is_sound(call, model_folder, capsys):
    assert call("doctor", "--model", model_folder) == 0
    assert "model: " in capsys.readouterr().out
