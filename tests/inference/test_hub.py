import inspect
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from sesame.inference.hub import resolve_model

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch):
    """Stands in for the download; holds its arguments and what it answers."""
    real = inspect.signature(huggingface_hub.snapshot_download)
    state = {"calls": [], "answer": None}

    def download(*args, **kwargs):
        state["calls"].append(real.bind(*args, **kwargs).arguments)
        if isinstance(state["answer"], Exception):
            raise state["answer"]
        return str(state["answer"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return state


def hub_error(kind, text):
    """An error of huggingface_hub, which wants an answer of a server."""
    error = kind.__new__(kind)
    error.args = (text,)
    return error


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_folder_and_an_onnx_file_are_returned_as_they_are(
    model_folder, tmp_path, monkeypatch
):
    file = tmp_path / "core.onnx"
    file.write_bytes(b"")
    assert resolve_model(str(model_folder)) == model_folder
    assert resolve_model(file) == file
    monkeypatch.chdir(tmp_path)
    assert resolve_model("model") == Path("model")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "absent",
            "model folder absent must hold .*: there is no such folder; .* hf://",
        ),
        ("owner/name", "model folder owner/name must hold .*: there is no such folder"),
        ("model.safetensors", r"model\.safetensors must hold .*: it is a file"),
        ("absent.onnx", r"there is no file absent\.onnx"),
    ],
)
def test_what_is_not_there_is_named(model_folder, monkeypatch, hub, name, reason):
    monkeypatch.chdir(model_folder)
    with pytest.raises(ValueError, match=reason):
        resolve_model(name)
    assert not hub["calls"]


@pytest.mark.parametrize(
    ("model", "revision"),
    [
        ("hf://some.one/sesame-small", None),
        (f"hf://some.one/sesame-small@{COMMIT}", COMMIT),
        ("hf://some.one/sesame-small@refs/pr/1", "refs/pr/1"),
    ],
)
def test_only_data_files_of_the_named_revision_are_downloaded(
    model_folder, hub, model, revision
):
    hub["answer"] = model_folder
    assert resolve_model(model) == model_folder
    (arguments,) = hub["calls"]
    assert arguments == {
        "repo_id": "some.one/sesame-small",
        "revision": revision,
        "allow_patterns": ["config.json", "model.safetensors"],
    }


@pytest.mark.parametrize(
    "model",
    [
        "hf://",
        "hf://name",
        "hf://owner/",
        "hf:///name",
        "hf://owner/name/file",
        "hf://owner/name@",
        "hf://owner/../name",
        "hf://owner/name@../../x",
        "hf://owner/name@a b",
        "hf://owner/na me",
        "hf://owner/name\n",
    ],
)
def test_a_name_that_is_none_is_refused_before_any_access(hub, model):
    with pytest.raises(ValueError, match="must be hf://owner/name"):
        resolve_model(model)
    assert not hub["calls"]


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (hub_error(RepositoryNotFoundError, "401\nlong"), "check its name .* log in"),
        (
            LocalEntryNotFoundError("offline\nlong"),
            "connect .* HF_HUB_OFFLINE, or give",
        ),
        (RuntimeError("a proxy"), r"RuntimeError.*connect"),
        (OSError("disk is full"), r"OSError.*connect"),
    ],
)
def test_a_failed_download_is_one_line_with_the_fix(hub, error, fix):
    hub["answer"] = error
    with pytest.raises(ValueError, match=fix) as caught:
        resolve_model("hf://owner/name@v1")
    assert "hf://owner/name@v1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_repository_without_a_model_is_refused(hub, model_folder):
    (model_folder / "model.safetensors").unlink()
    hub["answer"] = model_folder
    with pytest.raises(ValueError, match=r"hf://owner/name .* no model\.safetensors"):
        resolve_model("hf://owner/name")


def test_without_huggingface_hub_the_fix_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match="pip install huggingface_hub"):
        resolve_model("hf://owner/name")


def test_a_path_does_not_import_huggingface_hub(model_folder):
    code = (
        "import sys; from sesame.inference.hub import resolve_model; "
        f"resolve_model({str(model_folder)!r}); "
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    assert run_python(code).returncode == 0


def test_offline_the_cache_is_used_and_nothing_else(model_folder, tmp_path):
    """The real huggingface_hub, with the layout of its cache."""
    cache = tmp_path / "hub" / "models--owner--cached"
    snapshot = cache / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_bytes((model_folder / name).read_bytes())
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(COMMIT)
    code = (
        "from sesame.inference.hub import resolve_model as resolve; "
        f"print(resolve('hf://owner/cached'), resolve('hf://owner/cached@{COMMIT}'));"
        "resolve('hf://owner/absent')"
    )
    offline = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    result = run_python(code, **offline)
    assert result.stdout.split() == [str(snapshot)] * 2, result.stderr
    assert "ValueError: hf://owner/absent is not in the cache" in result.stderr
