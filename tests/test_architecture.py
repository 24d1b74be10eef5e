"""The shape of the repository, as tests: one-way imports, small files, no globals."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sesame"
MAX_LINES = 400
MAY_IMPORT = {
    "data": set(),
    "features": set(),
    "metrics": set(),
    "compat": set(),
    "nnet": {"features"},
    "losses": {"features"},
    "models": {"features", "nnet"},
    "brain": {"data", "features", "nnet", "losses", "metrics"},
    "inference": {"features", "models", "metrics", "compat"},
}
KNOWS_HPARAMS = {"brain"}
BATCH_FIRST = {"MultiheadAttention", "GRU", "LSTM", "RNN", "TransformerEncoderLayer"}
RUNS_YAML = PACKAGE / "inference" / "speechbrain_interface.py"
RUN_CODE = {
    "dill.load",
    "eval",
    "exec",
    "joblib.load",
    "pickle.Unpickler",
    "pickle.load",
    "pickle.loads",
    "yaml.full_load",
    "yaml.unsafe_load",
}
MODULES = sorted(PACKAGE.rglob("*.py"))
every_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)


def _nodes(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _folder(path):
    """Sub-package of a module; None for files directly in sesame/."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def _imports(path):
    """Absolute names that a module imports, relative imports resolved."""
    package = path.relative_to(ROOT).parent.parts
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


@every_module
def test_imports_point_one_way(path):
    here = _folder(path)
    for name in _imports(path) if here else ():
        words = name.split(".")
        if words[0] == "sesame" and len(words) > 1 and words[1] in MAY_IMPORT:
            assert words[1] == here or words[1] in MAY_IMPORT[here], name


@every_module
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@every_module
def test_no_global_state(path):
    nodes = _nodes(path)
    attributes = {
        f"{ast.unparse(n.value)}.{n.attr}"
        for n in nodes
        if isinstance(n, ast.Attribute)
    }
    assert not any(isinstance(n, ast.Global) for n in nodes)
    assert not attributes & {"sys.path", "os.environ"}


@every_module
def test_nothing_below_the_brain_knows_hparams(path):
    names = {n.id for n in _nodes(path) if isinstance(n, ast.Name)}
    assert _folder(path) in KNOWS_HPARAMS or "hparams" not in names


@every_module
def test_recurrent_and_attention_layers_are_batch_first(path):
    for node in _nodes(path):
        if isinstance(node, ast.Call):
            if ast.unparse(node.func).split(".")[-1] in BATCH_FIRST:
                flags = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert flags.get("batch_first") == "True", f"line {node.lineno}"


@every_module
def test_no_pickled_code_is_read(path):
    for node in _nodes(path):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            flags = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert name not in RUN_CODE, f"line {node.lineno}"
            assert name != "load_hyperpyyaml" or path == RUNS_YAML
            if name == "torch.load":
                assert flags.get("weights_only") == "True", f"line {node.lineno}"
            if name in {"yaml.load", "yaml.compose"}:
                assert flags.get("Loader") == "yaml.SafeLoader", f"line {node.lineno}"


@every_module
def test_inference_imports_nothing_that_runs_yaml(path):
    """SpeechBrain's interface does: it is one module, and no other imports it."""
    if _folder(path) == "inference" and path != RUNS_YAML:
        for name in _imports(path):
            assert name.split(".")[0] not in {"hyperpyyaml", "speechbrain"}, name
            # The table of lazy names imports it for type checkers only.
            assert path.name == "__init__.py" or RUNS_YAML.stem not in name, name


@every_module
def test_module_has_its_test_file(path):
    if path.name != "__init__.py":
        mirror = ROOT / "tests" / path.relative_to(PACKAGE).parent / f"test_{path.name}"
        assert mirror.is_file(), mirror.relative_to(ROOT)


@pytest.mark.parametrize(
    "corpus", ["VoicebankDEMAND", "VB-DemandEx", "LibriMix", "DNS"]
)
@pytest.mark.parametrize("name", ["train.py", "hparams"])
def test_recipe_links_to_the_root(corpus, name):
    link = ROOT / "recipes" / corpus / "sesame" / name
    assert link.is_symlink()
    assert link.resolve() == ROOT / name


def test_recipes_are_not_packages():
    assert not list((ROOT / "recipes").rglob("__init__.py"))


def test_no_large_or_pickled_file_is_tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    large = [p for p in paths if p.is_file() and p.stat().st_size > 20_000_000]
    assert not large
    assert not [p for p in paths if p.suffix in {".pt", ".pth", ".ckpt", ".pkl"}]
