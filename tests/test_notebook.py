"""The notebook: stored clean, and every cell of it works."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "showcase.ipynb"


def read():
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook, folder):
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=120, resources=resources)
    return client.execute().cells


def outputs(cells, name, kind):
    """What a cell has shown, of one kind: "text/plain", "image/png", "stdout", ..."""
    shown = next(cell for cell in cells if cell["id"] == name)["outputs"]
    texts = [o["text"] for o in shown if o.get("name") == kind]
    return texts + [o["data"][kind] for o in shown if kind in o.get("data", {})]


def test_the_notebook_is_stored_without_outputs():
    notebook = read()
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 5
    for cell in cells:
        assert cell.outputs == [] and cell.execution_count is None, cell.id
        assert cell.metadata == {}, cell.id


@pytest.mark.slow
def test_every_cell_runs_and_shows_what_it_promises(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = set(ROOT.iterdir())
    cells = execute(read(), NOTEBOOK.parent)
    kinds = [o.output_type for cell in cells for o in cell.get("outputs", [])]
    assert "error" not in kinds

    assert "10 test pairs" in outputs(cells, "pairs", "stdout")[0]
    log = " ".join(outputs(cells, "train", "stdout")[0].split())
    for score in ("train loss", "valid pesq", "test si_sdr"):
        assert re.search(rf"{score}: -?\d", log), log
    for name, count in (("pairs", 2), ("enhance", 3)):
        players = [h for h in outputs(cells, name, "text/html") if "<audio" in h]
        assert len(players) == count
    (table,) = outputs(cells, "scores", "text/markdown")
    for metric in ("pesq", "stoi", "si_sdr"):
        row = next(line for line in table.splitlines() if metric in line)
        noisy, small, steps = map(float, re.findall(r"-?\d+\.\d+", row))
        assert row.count("4 / 4") == 3
        assert steps < noisy < small or metric == "stoi"
    for name in ("spectrograms", "experts"):
        assert len(outputs(cells, name, "image/png")) == 1
    assert "time layer: " in outputs(cells, "experts", "stdout")[0]
    assert set(ROOT.iterdir()) == before


def test_it_finds_the_repository_from_its_root_too():
    notebook = read()
    names = [cell["id"] for cell in notebook.cells]
    notebook.cells = notebook.cells[: names.index("pairs") + 1]
    cells = execute(notebook, ROOT)
    assert "10 test pairs" in outputs(cells, "pairs", "stdout")[0]
