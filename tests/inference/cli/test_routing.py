import pytest


def test_routing_is_drawn_and_told(noisy_file, model_folder, tmp_path, call, capsys):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "f.png"
    command = ["routing", noisy_file, "--figure", figure, "--model", model_folder]
    assert call(*command) == 0
    assert figure.stat().st_size > 5000
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines] == ["block 1", "block 1"]
    shares = [float(word) for word in lines[0].split(":")[1].split()]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize(
    "system", ["MambAttention sparse", "TransformerMamba sparse"], indirect=True
)
def test_every_sparse_system_has_a_map(noisy_file, system, tmp_path, call, capsys):
    pytest.importorskip("matplotlib")
    command = ["routing", noisy_file, "--figure", tmp_path / "f.png"]
    assert call(*command, "--model", system.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("share")[0].strip() for line in lines]
    assert names == ["block 1, time layer", "block 1, frequency layer"]


def test_a_figure_is_replaced_only_by_force(noisy_file, tmp_path, call, one_line):
    figure = tmp_path / "f.png"
    figure.write_text("precious")
    assert call("routing", noisy_file, "--figure", figure) == 1
    assert "--force" in one_line()
    assert figure.read_text() == "precious"


def test_an_unknown_kind_of_figure_is_one_line_and_no_file(
    noisy_file, model_folder, tmp_path, call, one_line
):
    pytest.importorskip("matplotlib")
    before = sorted(tmp_path.iterdir())
    figure = tmp_path / "out.doc"
    command = ["routing", noisy_file, "--figure", figure, "--model", model_folder]
    assert call(*command) == 1
    assert "out.doc" in one_line()
    assert sorted(tmp_path.iterdir()) == before


def test_the_routing_of_a_separator_is_drawn_told_and_tabled(
    noisy_file, separator_folder, tmp_path, call, capsys
):
    pytest.importorskip("matplotlib")
    model = ["--model", separator_folder().folder, "--device", "cpu"]
    figure, table = tmp_path / "f.png", tmp_path / "usage.csv"
    command = ["routing", noisy_file, "--figure", figure, "--table", table, *model]
    assert call(*command) == 0
    assert figure.stat().st_size > 5000
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("layer ") and len(table.read_text().splitlines()) == (
        1 + len(lines)
    )
    wanted = {"all", "voiced", "unvoiced", "several speakers", "0.5-1 kHz"}
    for condition in wanted:
        assert any(f" {condition} " in line for line in lines), condition
    assert call(*command) == 1
    assert "--force" in capsys.readouterr().err


def test_a_table_is_for_separators(noisy_file, model_folder, tmp_path, call, one_line):
    command = ["routing", noisy_file, "--figure", tmp_path / "f.png"]
    command += ["--table", tmp_path / "usage.csv", "--model", model_folder]
    assert call(*command) == 1
    assert "--table is for separators" in one_line()
    assert not (tmp_path / "f.png").exists()
