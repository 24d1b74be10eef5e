from sesame.inference import showcase as work
from sesame.inference.cli import common


def test_every_line_is_told_in_order(monkeypatch, call, capsys):
    calls = []

    def told(*folders):
        calls.append([str(folder) for folder in folders])
        yield "first"
        yield "second"

    monkeypatch.setattr(work, "showcase", told)
    assert call("showcase", "run", "--data", "corpus") == 0
    assert capsys.readouterr().out == "first\nsecond\n"
    assert calls == [["run", "corpus", str(common.DEFAULT_MODEL)]]


def test_a_folder_that_is_no_run_is_one_line(call, one_line):
    assert call("showcase", "no/such/run") == 1
    assert "no/such/run" in one_line()
