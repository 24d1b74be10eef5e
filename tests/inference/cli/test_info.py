import hashlib
import json

from sesame.inference.cli import common


def test_facts_of_a_model_are_told_line_by_line(model_folder, tiny, call, capsys):
    assert call("info", model_folder) == 0
    lines = capsys.readouterr().out.splitlines()
    total = sum(parameter.numel() for parameter in tiny.network.parameters())
    for fact in ("SESAME", str(total), "16000", str(model_folder)):
        assert any(line.split("  ")[-1].strip() == fact for line in lines), fact


def test_json_holds_the_same_facts(model_folder, call, capsys):
    assert call("info", model_folder, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    content = (model_folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() in facts.values()
    assert call("info", model_folder) == 0
    text = capsys.readouterr().out
    assert all(str(value) in text for value in facts.values())


def test_without_a_model_it_is_the_default_one(call, capsys):
    assert call("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert str(common.DEFAULT_MODEL) in facts.values()
    card = (common.DEFAULT_MODEL / "README.md").read_text().splitlines()[0]
    assert card.removeprefix("# ") in facts.values()


def test_a_damaged_model_is_one_line(model_folder, call, one_line):
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    assert call("info", model_folder) == 1
    assert "model.safetensors" in one_line()


def test_an_absent_model_is_one_line(tmp_path, monkeypatch, call, one_line):
    assert call("info", tmp_path / "absent") == 1
    assert "absent" in one_line()
    monkeypatch.setattr(common, "DEFAULT_MODEL", tmp_path / "absent")
    assert call("info") == 1
    assert "--model" in one_line()


def test_the_sizes_of_a_seflow_are_a_table(flow_folder, call, capsys):
    assert call("info", flow_folder, "--json") == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert call("info", flow_folder) == 0
    facts, table = capsys.readouterr().out.split("\n\n")
    assert "SEFlow" in facts and "GMAC/s at 48000 Hz" in facts
    heading, *rows = table.splitlines()
    assert heading.split()[:3] == ["width", "depth", "parameters"]
    assert len(rows) == len(sizes) == 12
    for row, size in zip(rows, sizes, strict=True):
        assert [float(value) for value in row.split()] == list(size.values())
