import pytest

from sesame.metrics import write_scores


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three runs with scores of a test set, two of them with scores of another."""
    monkeypatch.chdir(tmp_path)
    for number, pesq in enumerate((3.0, 3.1, 3.2)):
        rows = [{"id": i, "pesq": pesq, "estoi": 0.8, "reasons": {}} for i in "ab"]
        write_scores(rows, None, f"run{number}/test_scores.json")
        if number:
            rows = [{"id": "c", "dnsmos_sig": 3.5, "reasons": {}}]
            write_scores(rows, None, f"run{number}/real.json")
    return tmp_path


def test_the_default_is_the_test_of_the_training_runs(runs, call, capsys):
    assert call("table", "ours=run0,run1,run2", "first=run0") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "test, n = 2 (PESQ / SSNR / ESTOI / SI-SDR)" in lines[0]
    assert lines[2].startswith("| ours   | 3 ")
    assert "3.10 +- 0.10 / n/a / 0.80 +- 0.00 / n/a" in lines[2]
    assert "3.00 / n/a / 0.80 / n/a" in lines[3]


def test_each_set_is_a_column_and_a_system_may_lack_one(runs, call, capsys):
    sets = "--set", "VB=test_scores.json", "--set", "DNS real=real.json"
    assert call("table", "a=run0", "b=run1,run2", *sets) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "DNS real, n = 1 (SIG / BAK / OVRL)" in lines[0]
    assert "n/a / n/a / n/a" in lines[2]
    assert "3.50 +- 0.00 / n/a / n/a" in lines[3]


def test_metrics_can_be_chosen(runs, call, capsys):
    assert call("table", "a=run0", "--metrics", "estoi,pesq") == 0
    assert "0.80 / 3.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a=run0,run1", "--set", "real=real.json"], "run0/real.json is missing"),
        (["a=run0", "--set", "x=absent.json"], "no run has a absent.json"),
        (["a=run0", "a=run1"], "name (a) must be given once"),
        (["a=run0,run3"], "n_total"),
    ],
)
def test_what_cannot_be_compared_is_one_line(runs, call, one_line, arguments, reason):
    rows = [{"id": "a", "pesq": 1.0, "reasons": {}}]
    write_scores(rows, None, "run3/test_scores.json")
    assert call("table", *arguments) == 1
    assert reason in one_line()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run0"],
        ["a="],
        ["=run0"],
        ["a=run0,run0"],
        ["a=run0", "--set", "real.json"],
        ["a=run0", "--metrics", "mos"],
    ],
)
def test_wrong_arguments_are_2(runs, call, arguments):
    with pytest.raises(SystemExit) as stop:
        call("table", *arguments)
    assert stop.value.code == 2
