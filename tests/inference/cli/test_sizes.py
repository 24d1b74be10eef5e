import pytest

TEXT = """\
task,size,gmacs_per_second,si_sdr,erle,n_si_sdr,n_erle,n_total
denoise,unprocessed,,5.0,,3,0,3
denoise,32x2,0.2,9.13,,3,0,3
denoise,8x1,0.1,9.33,,3,0,3
echo,unprocessed,,1.0,0.0,2,1,3
echo,32x2,0.2,4.0,20.0,2,1,3
echo,8x1,0.1,3.0,10.0,2,1,3
"""


@pytest.fixture
def results(tmp_path):
    (tmp_path / "task_scores.csv").write_text(TEXT)
    return tmp_path


def test_a_run_has_a_table_and_what_is_to_be_said_of_it(results, call, capsys):
    assert call("sizes", results) == 0
    table, checks = capsys.readouterr().out.split("\n\n")
    assert "9.33 (3)" in table.splitlines()[4]
    assert checks.splitlines() == [
        "- denoise, SI-SDR: not monotone within 0.1 dB: 32x2 is 0.20 dB below 8x1, "
        "which takes no more operations; all 2 sizes improve over the input",
        "- echo, SI-SDR: monotone within 0.1 dB (largest drop 0.00 dB); all 2 sizes "
        "improve over the input",
        "- echo, ERLE: monotone within 0.1 dB (largest drop 0.00 dB); all 2 sizes "
        "improve over the input",
    ]
    assert call("sizes", results / "task_scores.csv", "--tolerance", "0.3") == 0
    assert "denoise, SI-SDR: monotone within 0.3 dB" in capsys.readouterr().out


def test_a_figure_is_drawn_and_replaced_only_by_force(results, call, capsys, one_line):
    pytest.importorskip("matplotlib")
    figure = results / "sizes.png"
    command = ["sizes", results, "--figure", figure, "--metrics", "si_sdr,erle"]
    assert call(*command) == 0
    assert figure.stat().st_size > 0
    figure.write_bytes(b"precious")
    capsys.readouterr()
    assert call(*command) == 1
    assert "--force" in one_line() and figure.read_bytes() == b"precious"
    assert call(*command, "--force") == 0
    assert figure.stat().st_size > 100


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["absent"], "absent"),
        ([".", "--metrics", "mos", "--figure", "f.png"], "metric (mos)"),
        ([".", "--metrics", "", "--figure", "f.png"], "must have a value"),
        ([".", "--tolerance", "-1"], "tolerance (-1.0)"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    results, call, one_line, options, reason, monkeypatch
):
    monkeypatch.chdir(results)
    assert call("sizes", *options) == 1
    assert reason in one_line()
    assert not (results / "f.png").exists()
